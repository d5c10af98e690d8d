// SPDX-License-Identifier: Apache-2.0
#include "kernels/pool.h"

#include <cmath>
#include <limits>

#include "kernels/window_mean.h"
#include "tests/kernels/pool_cases.h"
#include "tests/reference/pool.h"
#include "tests/support/kernel_run.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

size_t Stride(const PoolShape& s) {
  return static_cast<size_t>(s.dst_stride != 0 ? s.dst_stride : s.c);
}

// One thread wanted: windows of 3x3 take several rows of outputs a thread, as large launches do.
template <class T>
Output RunPool(const PoolShape& s, const std::vector<float>& src, int64_t threads_wanted = 1) {
  const DeviceArray<T> input(src);
  const size_t pixels = static_cast<size_t>(s.n) * s.oh * s.ow;
  return RunInSchedules<T>("pool", pixels, static_cast<size_t>(s.c), Stride(s),
                           [&](T* dst) { return LaunchPool<T>(s, input.data(), dst, TestStream(), threads_wanted); });
}

// Every output beside the definition: correctly rounded where sums are exact, else within the bound.
template <class T>
void Compare(const PoolShape& s, const std::vector<float>& src, const Output& got, bool exact) {
  const reference::PoolCase c = {s.ih, s.iw, s.c, s.kh, s.kw, s.sh, s.sw, s.pad_top, s.pad_left, s.average};
  Mismatches mismatches;
  size_t pixel = 0;
  for (int n = 0; n < s.n; ++n)
    for (int y = 0; y < s.oh; ++y)
      for (int x = 0; x < s.ow; ++x, ++pixel)
        for (int channel = 0; channel < s.c; ++channel) {
          const auto want = reference::PoolAt(c, src, n, y, x, channel);
          const float value = got.at(pixel, channel);
          // One rounding an addition and one for the division.
          const double bound = exact || !s.average ? 0.0 : (s.kh * s.kw + 1) * kEpsilon * want.magnitude;
          mismatches.Check<T>(value, want.value, bound, pixel, channel);
        }
  mismatches.Report();
}

template <class T>
void TestCases() {
  for (const auto& c : kPoolCases) {
    CAPTURE(c.name);
    Values values(7);
    const size_t count = static_cast<size_t>(c.shape.n) * c.shape.ih * c.shape.iw * c.shape.c;
    const auto integers = values.Integers(count, -8, 8);
    Compare<T>(c.shape, integers, RunPool<T>(c.shape, integers), true);
    if (!c.shape.average) continue;
    const auto reals = Rounded<T>(values.Reals(count));
    Compare<T>(c.shape, reals, RunPool<T>(c.shape, reals), false);
  }
}

TEST_CASE("kernel pool: every case against the definition, float") {
  TestCases<float>();
}
TEST_CASE("kernel pool: every case against the definition, half") {
  TestCases<__half>();
}

TEST_CASE("kernel pool: NaN wins a maximum and an average, wherever in the window it lies") {
  for (const bool average : {false, true})
    for (size_t at = 0; at < 9; ++at) {
      std::vector<float> src(9, 1.0f);
      src[at] = NAN;
      const Output got = RunPool<float>({1, 3, 3, 1, 1, 1, 3, 3, 1, 1, 0, 0, 0, average}, src);
      CHECK(std::isnan(got.at(0, 0)));
    }
}

TEST_CASE("kernel pool: a photo's numbers do not depend on its batch") {
  PoolShape s = {3, 9, 7, 12, 5, 4, 3, 3, 2, 2, 1, 1, 0, true};
  Values values(3);
  const auto src = values.Reals(3 * 9 * 7 * 12);
  const Output together = RunPool<float>(s, src);
  s.n = 1;
  const Output alone = RunPool<float>(s, {src.begin() + 2 * 9 * 7 * 12, src.end()});
  for (size_t pixel = 0; pixel < 20; ++pixel)
    for (int c = 0; c < 12; ++c) CHECK(SameBits(alone.at(pixel, c), together.at(40 + pixel, c)));
}

// Eight channels go to the kernel of 3x3 windows, seven to the one for any window.
template <class T>
void TestSameBits(PoolShape s) {
  const size_t pixels = static_cast<size_t>(s.n) * s.ih * s.iw;
  Values values(11);
  auto src = Rounded<T>(values.Reals(pixels * 8));
  const float infinity = std::numeric_limits<float>::infinity();
  const float strange[] = {-0.0f, 0.0f, s.average ? infinity : NAN, -infinity, 65504.0f};
  for (size_t i = 0; i < src.size(); i += 3) src[i] = i % 2 == 0 ? -0.0f : strange[i % 5];
  std::vector<float> seven;
  for (size_t i = 0; i < src.size(); ++i)
    if (i % 8 != 7) seven.push_back(src[i]);
  s.c = 7;
  const Output any = RunPool<T>(s, seven);
  s.c = 8;
  for (const int64_t wanted : {int64_t{1}, int64_t{1} << 40}) {
    const Output got = RunPool<T>(s, src, wanted);
    for (size_t pixel = 0; pixel < static_cast<size_t>(s.n) * s.oh * s.ow; ++pixel)
      for (int c = 0; c < 7; ++c) CHECK_MESSAGE(SameBits(got.at(pixel, c), any.at(pixel, c)), pixel, ' ', c);
  }
}

TEST_CASE("kernel pool: the kernel of 3x3 windows gives the bits of the one for any window, whatever rows a thread has") {
  for (const PoolShape& s : {PoolShape{2, 9, 7, 8, 9, 7, 3, 3, 1, 1, 1, 1, 0, true},
                             PoolShape{2, 9, 7, 8, 5, 4, 3, 3, 2, 2, 1, 1, 0, false}}) {
    TestSameBits<float>(s);
    TestSameBits<__half>(s);
  }
}

TEST_CASE("kernel pool: a window's mean is the quotient, to the bit") {
  for (const int count : {1, 2, 3, 4, 6, 9}) {
    CAPTURE(count);
    uint64_t wrong = 0;
    const auto try_bits = [&](uint32_t bits) {
      float sum[1] = {FloatOfBits(bits)};
      const float want = sum[0] / static_cast<float>(count);
      WindowMeans(count, sum);
      wrong += SameBits(sum[0], want) ? 0 : 1;
    };
    // -0 is left out: no sum that begins with 0 is it. Every 4,099th float, then the smallest ones and infinity.
    for (uint64_t bits = 0; bits < 0x7f800000; bits += 4099) try_bits(static_cast<uint32_t>(bits));
    for (uint64_t bits = 0x80000001; bits < 0xff800000; bits += 4099) try_bits(static_cast<uint32_t>(bits));
    for (uint32_t bits = 0; bits < 100; ++bits) try_bits(bits);
    for (const uint32_t bits : {0x7f7fffffu, 0xff7fffffu, 0x7f800000u, 0xff800000u}) try_bits(bits);
    CHECK(wrong == 0);
    float sum[1] = {NAN};
    WindowMeans(count, sum);
    CHECK(std::isnan(sum[0]));
  }
}

TEST_CASE("kernel pool: shapes it does not take") {
  const PoolShape good = {1, 4, 4, 4, 2, 2, 2, 2, 2, 2, 0, 0, 0, true};
  const DeviceArray<float> src(std::vector<float>(64)), dst(64);
  const auto launch = [&](const PoolShape& s) {
    return LaunchPool<float>(s, src.data(), dst.data(), TestStream());
  };
  CHECK(launch(good) == kLaunchOk);
  auto bad = good;
  bad.pad_top = 2;  // the first window would hold padding alone
  CHECK(launch(bad) == kLaunchInvalidValue);
  bad = good;
  bad.oh = 3;  // the last window too
  CHECK(launch(bad) == kLaunchInvalidValue);
  bad = good;
  bad.dst_stride = 3;
  CHECK(launch(bad) == kLaunchInvalidValue);
  bad = good;
  bad.n = 65536;
  CHECK(launch(bad) == kLaunchInvalidValue);
  bad = good;
  bad.sw = 0;
  CHECK(launch(bad) == kLaunchInvalidValue);
}

}  // namespace
