// SPDX-License-Identifier: Apache-2.0
#include "kernels/gather_rows.h"

#include <algorithm>
#include <cmath>

#include "tests/kernels/gather_rows_cases.h"
#include "tests/support/device_memory.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

TEST_CASE("kernel gather_rows: the rows asked for, in that order, and nothing beside them") {
  for (const GatherRowsCase& c : kGatherRowsCases) {
    CAPTURE(c.name);
    const size_t features = static_cast<size_t>(c.shape.features), n = static_cast<size_t>(c.shape.n);
    const size_t offset = static_cast<size_t>(c.offset);
    Values values(5);
    const std::vector<float> vectors = values.Reals(offset + static_cast<size_t>(c.count) * features);
    std::vector<uint32_t> rows(n);
    for (uint32_t& row : rows) row = values.bits() % static_cast<uint32_t>(c.count);
    rows.back() = static_cast<uint32_t>(c.count) - 1;
    std::vector<float> want(offset, 7.0f);
    for (const uint32_t row : rows)
      for (size_t f = 0; f < features; ++f) want.push_back(vectors[offset + row * features + f]);
    const DeviceArray<float> src(vectors);
    const DeviceArray<uint32_t> indices(rows);
    ForEachSchedule("gather_rows", [&] {
      DeviceArray<float> dst(offset + n * features);
      std::vector<float> before(dst.size(), NAN);
      std::fill_n(before.begin(), offset, 7.0f);
      dst.Write(before);
      REQUIRE(LaunchGatherRows(c.shape, src.data() + offset, indices.data(), dst.data() + offset,
                               TestStream()) == kLaunchOk);
      CHECK(dst.Read() == want);
      CHECK(dst.intact());
    });
  }
}

TEST_CASE("kernel gather_rows: shapes it does not take") {
  CHECK(LaunchGatherRows({0, 4}, nullptr, nullptr, nullptr, TestStream()) == kLaunchInvalidValue);
  CHECK(LaunchGatherRows({4, 0}, nullptr, nullptr, nullptr, TestStream()) == kLaunchInvalidValue);
}
