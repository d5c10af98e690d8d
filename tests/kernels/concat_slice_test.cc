// SPDX-License-Identifier: Apache-2.0
#include "kernels/concat_slice.h"

#include "tests/kernels/concat_slice_cases.h"
#include "tests/support/kernel_run.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

// The whole destination before and after: the slice holds the source, every other channel what it held.
template <class T>
void TestCases() {
  for (const auto& c : kConcatSliceCases) {
    CAPTURE(c.name);
    const auto& s = c.shape;
    const size_t channels = static_cast<size_t>(s.c), pixels = static_cast<size_t>(s.pixels);
    const size_t src_stride = s.src_stride != 0 ? static_cast<size_t>(s.src_stride) : channels;
    const size_t dst_stride = s.dst_stride != 0 ? static_cast<size_t>(s.dst_stride) : channels;
    const size_t at = static_cast<size_t>(c.at);
    Values values(23);
    const auto src = Rounded<T>(values.Reals(pixels * src_stride));
    auto want = Rounded<T>(values.Reals(pixels * dst_stride));
    const auto before = want;
    for (size_t p = 0; p < pixels; ++p)
      for (size_t i = 0; i < channels; ++i) want[p * dst_stride + at + i] = src[p * src_stride + i];
    const DeviceArray<T> input(src);
    ForEachSchedule("concat_slice", [&] {
      const DeviceArray<T> dst(before);
      REQUIRE(LaunchConcatSlice<T>(s, input.data(), At(dst.data(), at), TestStream()) == kLaunchOk);
      CHECK(dst.intact());
      CHECK(dst.Read() == want);
    });
  }
}

TEST_CASE("kernel concat_slice: every case, the other channels untouched, float") {
  TestCases<float>();
}
TEST_CASE("kernel concat_slice: every case, the other channels untouched, half") {
  TestCases<__half>();
}

TEST_CASE("kernel concat_slice: shapes it does not take") {
  const DeviceArray<float> src(std::vector<float>(64)), dst(64);
  const auto launch = [&](const ConcatSliceShape& s) {
    return LaunchConcatSlice<float>(s, src.data(), dst.data(), TestStream());
  };
  CHECK(launch({4, 4, 0, 0}) == kLaunchOk);
  CHECK(launch({0, 4, 0, 0}) == kLaunchInvalidValue);
  CHECK(launch({4, 0, 0, 0}) == kLaunchInvalidValue);
  CHECK(launch({4, 4, 2, 0}) == kLaunchInvalidValue);
  CHECK(launch({4, 4, 0, 2}) == kLaunchInvalidValue);
}

}  // namespace
