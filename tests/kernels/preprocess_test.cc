// SPDX-License-Identifier: Apache-2.0
#include "kernels/preprocess.h"

#include <cstddef>
#include <cstring>

#include "runtime/cpu/preprocess.h"
#include "tests/kernels/preprocess_photos.h"
#include "tests/support/kernel_run.h"
#include "tests/support/test.h"

using namespace couplet;
using namespace couplet::test;

// The runtime copies its table to the device as it is.
static_assert(sizeof(PhotoEntry) == sizeof(ImageEntry) &&
              offsetof(PhotoEntry, width) == offsetof(ImageEntry, width) &&
              offsetof(PhotoEntry, height) == offsetof(ImageEntry, height) &&
              offsetof(PhotoEntry, offset) == offsetof(ImageEntry, offset) &&
              offsetof(PhotoEntry, paired_rows) == offsetof(ImageEntry, paired_rows));

namespace {

std::vector<PhotoEntry> DeviceTable(const PhotoBatch& batch) {
  std::vector<PhotoEntry> table(batch.table.size());
  std::memcpy(table.data(), batch.table.data(), table.size() * sizeof(PhotoEntry));
  return table;
}

template <class T>
Output RunPreprocess(PreprocessShape s, const PhotoBatch& batch) {
  s.n = static_cast<int>(batch.table.size());
  const DeviceArray<uint8_t> bytes(batch.bytes);
  const DeviceArray<PhotoEntry> table(DeviceTable(batch));
  const size_t channels = static_cast<size_t>(s.dst_stride);
  return RunInSchedules<T>(
      "preprocess", static_cast<size_t>(s.n) * s.oh * s.ow, channels, channels,
      [&](T* dst) { return LaunchPreprocess<T>(s, bytes.data(), table.data(), dst, TestStream()); });
}

template <class T>
void TestCases() {
  for (const auto& c : kPreprocessCases) {
    CAPTURE(c.name);
    const auto& s = c.shape;
    const PhotoBatch batch(c.photos, s.oh, 43);
    const Output got = RunPreprocess<T>(s, batch);
    Mismatches mismatches;
    size_t pixel = 0;
    for (size_t n = 0; n < c.photos.size(); ++n)
      for (int y = 0; y < s.oh; ++y)
        for (int x = 0; x < s.ow; ++x, ++pixel)
          for (int channel = 0; channel < s.dst_stride; ++channel) {
            float want = 0.0f;
            if (channel < 3)
              want =
                  reference::NormalizedBy(reference::ResizedAt(batch.photos[n], c.photos[n].height,
                                                               c.photos[n].width, s.oh, s.ow, y, x, channel),
                                          s.mean, s.std, s.divide);
            mismatches.Check<T>(got.at(pixel, channel), want, 0.0, pixel, channel);
          }
    mismatches.Report();
  }
}

TEST_CASE("kernel preprocess: every case equals the definition, float") {
  TestCases<float>();
}
TEST_CASE("kernel preprocess: every case equals the definition, half") {
  TestCases<__half>();
}

TEST_CASE("kernel preprocess: the CPU engine's bits") {
  for (const auto& c : kPreprocessCases) {
    CAPTURE(c.name);
    auto s = c.shape;
    s.dst_stride = 3;
    const PhotoBatch batch(c.photos, s.oh, 47);
    const Output got = RunPreprocess<float>(s, batch);
    const size_t photo = static_cast<size_t>(s.oh) * s.ow * 3;
    std::vector<float> want(photo * c.photos.size());
    std::vector<std::byte> scratch(cpu::PreprocessScratchBytes(s.ow) + 64);
    void* aligned = scratch.data();
    size_t room = scratch.size();
    std::align(64, room - 64, aligned, room);
    Normalization normalization;
    normalization.mean = s.mean;
    normalization.std = s.std;
    normalization.mode = s.divide ? Normalization::Mode::kDivide : Normalization::Mode::kMultiply;
    for (size_t n = 0; n < c.photos.size(); ++n)
      REQUIRE(cpu::Preprocess({batch.bytes, batch.table}, n, s.oh, s.ow, normalization, aligned,
                              want.data() + n * photo)
                  .ok());
    CHECK(std::memcmp(got.values.data(), want.data(), want.size() * sizeof(float)) == 0);
  }
}

TEST_CASE("kernel preprocess: shapes it does not take") {
  const PhotoBatch batch({{4, 4, false}}, 2, 1);
  const DeviceArray<uint8_t> bytes(batch.bytes);
  const DeviceArray<PhotoEntry> table(DeviceTable(batch));
  const DeviceArray<float> dst(64);
  const auto launch = [&](const PreprocessShape& s, float* to) {
    return LaunchPreprocess<float>(s, bytes.data(), table.data(), to, TestStream());
  };
  CHECK(launch({1, 2, 2, 4, 0.0f, 1.0f, false}, dst.data()) == kLaunchOk);
  CHECK(launch({1, 2, 2, 3, 0.0f, 1.0f, false}, dst.data() + 1) == kLaunchOk);
  CHECK(launch({1, 2, 2, 4, 0.0f, 1.0f, false}, dst.data() + 1) == kLaunchInvalidValue);  // not aligned to 16
  CHECK(launch({1, 2, 2, 5, 0.0f, 1.0f, false}, dst.data()) == kLaunchInvalidValue);
  CHECK(launch({1, 2, 2, 3, 0.0f, 0.0f, true}, dst.data()) == kLaunchInvalidValue);
  CHECK(launch({0, 2, 2, 3, 0.0f, 1.0f, false}, dst.data()) == kLaunchInvalidValue);
}

}  // namespace
