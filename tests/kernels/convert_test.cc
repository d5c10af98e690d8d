// SPDX-License-Identifier: Apache-2.0
#include "kernels/convert.h"

#include <cmath>
#include <limits>

#include "tests/kernels/convert_cases.h"
#include "tests/support/half.h"
#include "tests/support/kernel_run.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

// From `first` elements into the arrays: 16-byte accesses where first is a multiple of 8.
template <class S, class D>
void TestCases(size_t first) {
  for (const auto& c : kConvertCases) {
    CAPTURE(c.name);
    const size_t count = static_cast<size_t>(c.shape.count);
    Values values(41);
    const auto src = Rounded<S>(values.Reals(first + count));
    const auto want = Rounded<D>(src);
    const DeviceArray<S> input(src);
    const Output got = RunInSchedules<D>("convert", first + count, 1, 1, [&](D* dst) {
      return LaunchConvert(c.shape, At(input.data(), first), At(dst, first), TestStream());
    });
    size_t wrong = 0;
    for (size_t i = first; i < first + count; ++i) wrong += !SameBits(got.at(i, 0), want[i]);
    CHECK(wrong == 0);
    for (size_t i = 0; i < first; ++i) CHECK(std::isnan(got.at(i, 0)));
  }
}

TEST_CASE("kernel convert: float to half, every case") {
  TestCases<float, __half>(0);
  TestCases<float, __half>(3);
}
TEST_CASE("kernel convert: half to float, every case") {
  TestCases<__half, float>(0);
  TestCases<__half, float>(3);
}

TEST_CASE("kernel convert: ties, subnormals, overflow, infinity, NaN") {
  // By hand: half has 11 significant bits, its largest number is 65504, its smallest 2^-24.
  const std::vector<float> src = {1.0f + 0x1p-11f, 1.0f + 0x3p-11f, 1.0f + 0x1.2p-11f, 65519.0f,
                                  65520.0f,        -65520.0f,       0x1p-24f,          0x1p-25f,
                                  0x1.1p-25f,      -0.0f,           INFINITY,          2049.0f};
  const std::vector<float> want = {1.0f,     1.0f + 0x1p-9f, 1.0f + 0x1p-10f, 65504.0f, INFINITY, -INFINITY,
                                   0x1p-24f, 0.0f,           0x1p-24f,        -0.0f,    INFINITY, 2048.0f};
  const DeviceArray<float> input(src);
  const Output got = RunInSchedules<__half>("convert", src.size(), 1, 1, [&](__half* dst) {
    return LaunchConvert({static_cast<int64_t>(src.size())}, input.data(), dst, TestStream());
  });
  for (size_t i = 0; i < src.size(); ++i) {
    CAPTURE(src[i]);
    CHECK(SameBits(got.at(i, 0), want[i]));
  }
  const DeviceArray<float> nan(std::vector<float>(9, std::numeric_limits<float>::quiet_NaN()));
  const DeviceArray<__half> dst(std::vector<float>(9, 1.0f));
  REQUIRE(LaunchConvert({9}, nan.data(), dst.data(), TestStream()) == kLaunchOk);
  for (const float v : dst.Read()) CHECK(std::isnan(v));
}

TEST_CASE("kernel convert: counts it does not take") {
  const DeviceArray<float> src(std::vector<float>(8));
  const DeviceArray<__half> dst(8);
  CHECK(LaunchConvert({0}, src.data(), dst.data(), TestStream()) == kLaunchInvalidValue);
  CHECK(LaunchConvert({-1}, dst.data(), src.data(), TestStream()) == kLaunchInvalidValue);
}

}  // namespace
