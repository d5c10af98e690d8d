// SPDX-License-Identifier: Apache-2.0
#include "kernels/softmax.h"

#include <algorithm>
#include <cmath>

#include "tests/kernels/softmax_cases.h"
#include "tests/reference/small_ops.h"
#include "tests/support/kernel_run.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

template <class T>
Output RunSoftmax(const SoftmaxShape& s, const std::vector<float>& src) {
  const size_t c = static_cast<size_t>(s.c);
  const DeviceArray<T> input(Spread(src, c, s.src_stride != 0 ? static_cast<size_t>(s.src_stride) : c));
  return RunInSchedules<T>("softmax", static_cast<size_t>(s.rows), c,
                           s.dst_stride != 0 ? static_cast<size_t>(s.dst_stride) : c,
                           [&](T* dst) { return LaunchSoftmax<T>(s, input.data(), dst, TestStream()); });
}

template <class T>
void TestCases() {
  for (const auto& c : kSoftmaxCases) {
    CAPTURE(c.name);
    const auto& s = c.shape;
    const size_t channels = static_cast<size_t>(s.c);
    Values values(31);
    auto src = values.Reals(static_cast<size_t>(s.rows) * channels);
    for (float& v : src) v *= 12.0f;
    src = Rounded<T>(src);
    const Output got = RunSoftmax<T>(s, src);
    Mismatches mismatches;
    for (size_t row = 0; row < static_cast<size_t>(s.rows); ++row) {
      const auto want = reference::SoftmaxOf(src.data() + row * channels, s.c);
      // Relative: x - max is rounded (24 at most: 24 eps in the exponent), expf is good to 2 ulp = 4 eps,
      // both above and below the line; a term passes c / 128 + 8 additions; one division.
      const double relative = (2.0 * (24 + 4) + s.c / 128 + 8 + 1) * kEpsilon;
      for (int i = 0; i < s.c; ++i) {
        const double p = want[static_cast<size_t>(i)];
        mismatches.Check<T>(got.at(row, i), p, relative * p, row, i);
      }
    }
    mismatches.Report();
  }
}

TEST_CASE("kernel softmax: every case against the definition, float") {
  TestCases<float>();
}
TEST_CASE("kernel softmax: every case against the definition, half") {
  TestCases<__half>();
}

TEST_CASE("kernel softmax: equal logits share exactly, huge ones do not overflow") {
  const Output equal = RunSoftmax<float>({1, 256, 0, 0}, std::vector<float>(256, -3e38f));
  for (int i = 0; i < 256; ++i) CHECK(equal.at(0, i) == 1.0f / 256.0f);
  const Output apart = RunSoftmax<float>({1, 3, 0, 0}, {3e38f, -3e38f, 0.0f});
  CHECK(apart.at(0, 0) == 1.0f);
  CHECK(apart.at(0, 1) == 0.0f);
  CHECK(apart.at(0, 2) == 0.0f);
}

TEST_CASE("kernel softmax: the largest counts wherever it stands") {
  for (const int at : {0, 1, 63, 64, 127, 128, 299}) {
    CAPTURE(at);
    std::vector<float> src(300, -200.0f);
    src[static_cast<size_t>(at)] = 100.0f;
    const Output got = RunSoftmax<float>({1, 300, 0, 0}, src);
    for (int i = 0; i < 300; ++i) CHECK(got.at(0, i) == (i == at ? 1.0f : 0.0f));
  }
}

TEST_CASE("kernel softmax: a NaN spoils its own row, all of it, and no other") {
  for (const size_t at : {size_t{0}, size_t{130}, size_t{199}}) {
    std::vector<float> src(400, 0.5f);
    src[at] = NAN;
    const Output got = RunSoftmax<float>({2, 200, 0, 0}, src);
    for (int i = 0; i < 200; ++i) {
      CHECK(std::isnan(got.at(0, i)));
      CHECK(got.at(1, i) == 1.0f / 200.0f);
    }
  }
}

TEST_CASE("kernel softmax: in place") {
  Values values(37);
  const auto src = values.Reals(3 * 150);
  const Output apart = RunSoftmax<float>({3, 150, 0, 0}, src);
  ForEachSchedule("softmax", [&] {
    const DeviceArray<float> both(src);
    REQUIRE(LaunchSoftmax<float>({3, 150, 0, 0}, both.data(), both.data(), TestStream()) == kLaunchOk);
    const auto got = both.Read();
    for (size_t at = 0; at < got.size(); ++at)
      CHECK(SameBits(got[at], apart.at(at / 150, static_cast<int>(at % 150))));
  });
}

TEST_CASE("kernel softmax: shapes it does not take") {
  const DeviceArray<float> src(std::vector<float>(64)), dst(64);
  const auto launch = [&](const SoftmaxShape& s) {
    return LaunchSoftmax<float>(s, src.data(), dst.data(), TestStream());
  };
  CHECK(launch({4, 4, 0, 0}) == kLaunchOk);
  CHECK(launch({0, 4, 0, 0}) == kLaunchInvalidValue);
  CHECK(launch({4, 0, 0, 0}) == kLaunchInvalidValue);
  CHECK(launch({4, 4, 3, 0}) == kLaunchInvalidValue);
  CHECK(launch({4, 4, 0, 3}) == kLaunchInvalidValue);
}

}  // namespace
