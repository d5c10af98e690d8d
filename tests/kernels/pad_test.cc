// SPDX-License-Identifier: Apache-2.0
#include "kernels/pad.h"

#include "tests/kernels/pad_cases.h"
#include "tests/reference/small_ops.h"
#include "tests/support/kernel_run.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

template <class T>
void TestCases() {
  for (const auto& c : kPadCases) {
    CAPTURE(c.name);
    const auto& s = c.shape;
    const int oh = s.pad_top + s.ih + s.pad_bottom, ow = s.pad_left + s.iw + s.pad_right;
    Values values(29);
    const auto src = Rounded<T>(values.Reals(static_cast<size_t>(s.n) * s.ih * s.iw * s.c));
    const DeviceArray<T> input(src);
    const size_t stride = static_cast<size_t>(s.dst_stride != 0 ? s.dst_stride : s.c);
    const Output got =
        RunInSchedules<T>("pad", static_cast<size_t>(s.n) * oh * ow, static_cast<size_t>(s.c), stride,
                          [&](T* dst) { return LaunchPad<T>(s, input.data(), dst, TestStream()); });
    Mismatches mismatches;
    size_t pixel = 0;
    for (int n = 0; n < s.n; ++n)
      for (int y = 0; y < oh; ++y)
        for (int x = 0; x < ow; ++x, ++pixel)
          for (int i = 0; i < s.c; ++i)
            mismatches.Check<T>(got.at(pixel, i),
                                reference::PaddedAt(src, s.ih, s.iw, s.c, s.pad_top, s.pad_left, n, y, x, i),
                                0.0, pixel, i);
    mismatches.Report();
  }
}

TEST_CASE("kernel pad: every case against the definition, float") {
  TestCases<float>();
}
TEST_CASE("kernel pad: every case against the definition, half") {
  TestCases<__half>();
}

TEST_CASE("kernel pad: shapes it does not take") {
  const DeviceArray<float> src(std::vector<float>(64)), dst(64);
  const auto launch = [&](const PadShape& s) {
    return LaunchPad<float>(s, src.data(), dst.data(), TestStream());
  };
  CHECK(launch({1, 2, 2, 4, 0, 1, 0, 0, 0}) == kLaunchOk);
  CHECK(launch({1, 2, 2, 4, 0, -1, 0, 0, 0}) == kLaunchInvalidValue);
  CHECK(launch({1, 2, 0, 4, 0, 1, 0, 0, 0}) == kLaunchInvalidValue);
  CHECK(launch({1, 2, 2, 4, 0, 1, 0, 0, 3}) == kLaunchInvalidValue);
  CHECK(launch({1, 2, 2, 4, 65534, 0, 0, 0, 0}) == kLaunchInvalidValue);
}

}  // namespace
