// SPDX-License-Identifier: Apache-2.0
#include "kernels/philox_batch.h"

#include "models/classifier_head.h"
#include "tests/kernels/philox_batch_cases.h"
#include "tests/support/device_memory.h"
#include "tests/support/test.h"

using namespace couplet;
using namespace couplet::test;

TEST_CASE("kernel philox_batch: the rows and labels that DrawBatch draws on the host") {
  for (const PhiloxBatchCase& c : kPhiloxBatchCases) {
    CAPTURE(c.name);
    std::vector<std::vector<uint32_t>> by_class;
    uint32_t row = 1000;
    for (const size_t length : c.lists) {
      by_class.emplace_back();
      for (size_t i = 0; i < length; ++i) by_class.back().push_back((row += 3) % 997);
    }
    const BatchSource source = MakeBatchSource(by_class, c.n, c.draw.stream);
    const DeviceArray<uint32_t> list_rows(source.rows), first(source.first);
    const DeviceArray<int32_t> list_labels(source.labels);
    const size_t total = static_cast<size_t>(c.count) * static_cast<size_t>(c.n);
    ForEachSchedule("philox_batch", [&] {
      const DeviceArray<uint32_t> rows(total);
      const DeviceArray<int32_t> labels(total);
      REQUIRE(LaunchPhiloxBatch({c.count, c.n, static_cast<int>(source.labels.size())}, c.draw,
                                list_rows.data(), first.data(), list_labels.data(), rows.data(),
                                labels.data(), TestStream()) == kLaunchOk);
      std::vector<uint32_t> want_rows;
      std::vector<int32_t> want_labels;
      for (int i = 0; i < c.count; ++i) {
        const uint32_t step = c.draw.first_step + static_cast<uint32_t>(i) * c.draw.step_stride;
        const HeadBatch batch = DrawBatch(by_class, c.n, c.draw.seed, step, c.draw.stream);
        want_rows.insert(want_rows.end(), batch.rows.begin(), batch.rows.end());
        want_labels.insert(want_labels.end(), batch.labels.begin(), batch.labels.end());
      }
      CHECK(rows.Read() == want_rows);
      CHECK(labels.Read() == want_labels);
      CHECK(rows.intact());
      CHECK(labels.intact());
    });
  }
}

TEST_CASE("kernel philox_batch: shapes it does not take") {
  const auto launch = [](const PhiloxBatchShape& shape) {
    return LaunchPhiloxBatch(shape, {}, nullptr, nullptr, nullptr, nullptr, nullptr, TestStream());
  };
  CHECK(launch({0, 1, 1}) == kLaunchInvalidValue);
  CHECK(launch({1, 0, 1}) == kLaunchInvalidValue);
  CHECK(launch({1, 1, 0}) == kLaunchInvalidValue);
}
