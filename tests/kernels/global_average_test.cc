// SPDX-License-Identifier: Apache-2.0
#include "kernels/global_average.h"

#include "tests/kernels/clip_src.h"
#include "tests/kernels/global_average_cases.h"
#include "tests/reference/pool.h"
#include "tests/support/kernel_run.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

template <class T>
Output RunGlobalAverage(const GlobalAverageShape& s, const std::vector<float>& src) {
  const DeviceArray<T> input(src);
  const size_t stride = static_cast<size_t>(s.dst_stride != 0 ? s.dst_stride : s.c);
  return RunInSchedules<T>(
      "global_average", static_cast<size_t>(s.n), static_cast<size_t>(s.c), stride,
      [&](T* dst) { return LaunchGlobalAverage<T>(s, input.data(), dst, TestStream()); });
}

template <class T>
void TestCases() {
  for (const auto& c : kGlobalAverageCases) {
    CAPTURE(c.name);
    const auto& s = c.shape;
    const reference::PoolCase pool = {s.pixels, 1, s.c, s.pixels, 1, 1, 1, 0, 0, true};
    Values values(11);
    const size_t count = static_cast<size_t>(s.n) * s.pixels * s.c;
    for (const bool exact : {true, false}) {
      const auto src = exact ? values.Integers(count, -8, 8) : Rounded<T>(values.Reals(count));
      const Output got = RunGlobalAverage<T>(s, src);
      // A value passes through at most pixels / 8 + 3 additions and the division.
      const double roundings = exact ? 0.0 : s.pixels / 8 + 5;
      Mismatches mismatches;
      for (int n = 0; n < s.n; ++n)
        for (int channel = 0; channel < s.c; ++channel) {
          const auto want = reference::PoolAt(pool, src, n, 0, 0, channel);
          const size_t row = static_cast<size_t>(n);
          mismatches.Check<T>(got.at(row, channel), want.value, roundings * kEpsilon * want.magnitude, row,
                              channel);
        }
      mismatches.Report();
    }
  }
}

TEST_CASE("kernel global_average: every case against the definition, float") {
  TestCases<float>();
}
TEST_CASE("kernel global_average: every case against the definition, half") {
  TestCases<__half>();
}

TEST_CASE("kernel global_average: neither the batch nor the width of the accesses changes a bit") {
  Values values(5);
  const int pixels = 49, c = 24;
  const auto src = values.Reals(3 * pixels * c);
  const Output together = RunGlobalAverage<float>({3, pixels, c, 0}, src);
  const Output alone = RunGlobalAverage<float>({1, pixels, c, 0}, {src.begin() + 2 * pixels * c, src.end()});
  const Output scalars = RunGlobalAverage<float>({3, pixels, c, 25}, src);  // rows of dst not aligned
  for (int i = 0; i < c; ++i) {
    CHECK(SameBits(alone.at(0, i), together.at(2, i)));
    CHECK(SameBits(scalars.at(1, i), together.at(1, i)));
  }
}

TEST_CASE("kernel global_average: shapes it does not take") {
  const DeviceArray<float> src(std::vector<float>(64)), dst(64);
  const auto launch = [&](const GlobalAverageShape& s) {
    return LaunchGlobalAverage<float>(s, src.data(), dst.data(), TestStream());
  };
  CHECK(launch({1, 4, 4, 0}) == kLaunchOk);
  CHECK(launch({0, 4, 4, 0}) == kLaunchInvalidValue);
  CHECK(launch({1, 0, 4, 0}) == kLaunchInvalidValue);
  CHECK(launch({1, 4, 4, 3}) == kLaunchInvalidValue);
  CHECK(launch({65536, 4, 4, 0}) == kLaunchInvalidValue);
}

template <class T>
void CheckClips() {
  for (const int channels : {8, 5}) {
    CAPTURE(channels);
    GlobalAverageShape s;
    s.n = 2, s.pixels = 49, s.c = channels;
    CheckClipsSource<T>(size_t{2} * 49 * static_cast<size_t>(channels),
                        [&](bool clips, const std::vector<float>& src) {
                          s.clip_src = clips;
                          return RunGlobalAverage<T>(s, src);
                        });
  }
}

TEST_CASE("kernel global_average: a source clipped on reading gives what one clipped before gives") {
  CheckClips<float>();
  CheckClips<__half>();
}

}  // namespace
