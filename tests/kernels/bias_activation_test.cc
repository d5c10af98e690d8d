// SPDX-License-Identifier: Apache-2.0
#include "kernels/bias_activation.h"

#include <cmath>

#include "runtime/cpu/small_ops.h"
#include "tests/kernels/bias_activation_cases.h"
#include "tests/reference/small_ops.h"
#include "tests/support/kernel_run.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

size_t StrideOrDense(int stride, int c) {
  return static_cast<size_t>(stride != 0 ? stride : c);
}

template <class T>
Output RunBiasActivation(const BiasActivationShape& s, const std::vector<float>& src,
                         const std::vector<float>& scale, const std::vector<float>& offset) {
  const DeviceArray<T> input(Spread(src, static_cast<size_t>(s.c), StrideOrDense(s.src_stride, s.c)));
  const DeviceArray<float> scales(scale), offsets(offset);
  return RunInSchedules<T>("bias_activation", static_cast<size_t>(s.pixels), static_cast<size_t>(s.c),
                           StrideOrDense(s.dst_stride, s.c), [&](T* dst) {
                             return LaunchBiasActivation<T>(
                                 s, input.data(), scale.empty() ? nullptr : scales.data(),
                                 offset.empty() ? nullptr : offsets.data(), dst, TestStream());
                           });
}

reference::Clip ClipOf(Activation activation) {
  return activation == Activation::kNone   ? reference::Clip::kNone
         : activation == Activation::kRelu ? reference::Clip::kRelu
                                           : reference::Clip::kRelu6;
}

template <class T>
void TestCases() {
  for (const auto& c : kBiasActivationCases) {
    CAPTURE(c.name);
    const auto& s = c.shape;
    const size_t channels = static_cast<size_t>(s.c);
    Values values(13);
    for (const bool exact : {true, false}) {
      const auto draw = [&](size_t n) { return exact ? values.Integers(n, -4, 4) : values.Reals(n); };
      const auto src = Rounded<T>(draw(static_cast<size_t>(s.pixels) * channels));
      const auto scale = c.scale ? draw(channels) : std::vector<float>();
      const auto offset = c.offset ? draw(channels) : std::vector<float>();
      const Output got = RunBiasActivation<T>(s, src, scale, offset);
      Mismatches mismatches;
      for (size_t pixel = 0; pixel < static_cast<size_t>(s.pixels); ++pixel)
        for (int channel = 0; channel < s.c; ++channel) {
          const auto sum = reference::AffineAt(src[pixel * channels + static_cast<size_t>(channel)], scale,
                                               offset, channel);
          mismatches.Check<T>(got.at(pixel, channel), reference::Clipped(sum.value, ClipOf(s.activation)),
                              exact ? 0.0 : 2 * kEpsilon * sum.magnitude, pixel, channel);
        }
      mismatches.Report();
    }
  }
}

TEST_CASE("kernel bias_activation: every case against the definition, float") {
  TestCases<float>();
}
TEST_CASE("kernel bias_activation: every case against the definition, half") {
  TestCases<__half>();
}

TEST_CASE("kernel bias_activation: the CPU engine's bits, NaN included") {
  const int c = 20;
  const int64_t pixels = 33;
  Values values(17);
  auto src = values.Reals(static_cast<size_t>(pixels * c));
  for (float& v : src) v *= 9.0f;
  src[7] = NAN;
  const auto scale = values.Reals(c), offset = values.Reals(c);
  for (const Activation activation : {Activation::kNone, Activation::kRelu, Activation::kRelu6}) {
    std::vector<float> want(src.size());
    cpu::Affine(src.data(), want.data(), pixels, c, scale, offset);
    cpu::Activate(want.data(), want.data(), static_cast<int64_t>(want.size()), activation);
    const Output got = RunBiasActivation<float>({pixels, c, 0, 0, activation}, src, scale, offset);
    for (size_t i = 0; i < want.size(); ++i) {
      if (i == 7) {
        CHECK(std::isnan(got.at(0, 7)));
      } else {
        CHECK(SameBits(got.at(i / c, static_cast<int>(i % c)), want[i]));
      }
    }
  }
}

TEST_CASE("kernel bias_activation: in place, in a slice") {
  const BiasActivationShape s = {21, 8, 24, 24, Activation::kRelu6};
  Values values(19);
  const auto src = values.Integers(21 * 8, -9, 9);
  const auto offset = values.Integers(8, -2, 2);
  const Output apart = RunBiasActivation<float>(s, src, {}, offset);
  const DeviceArray<float> offsets(offset);
  const auto spread = Spread(src, 8, 24);
  ForEachSchedule("bias_activation", [&] {
    const DeviceArray<float> both(spread);
    REQUIRE(LaunchBiasActivation<float>(s, both.data(), nullptr, offsets.data(), both.data(), TestStream()) ==
            0);
    const auto got = both.Read();
    CHECK(both.intact());
    for (size_t at = 0; at < got.size(); ++at) {
      const bool inside = at % 24 < 8;
      CHECK(SameBits(got[at], inside ? apart.at(at / 24, static_cast<int>(at % 24)) : spread[at]));
    }
  });
}

TEST_CASE("kernel bias_activation: shapes it does not take") {
  const DeviceArray<float> src(std::vector<float>(64)), dst(64);
  const auto launch = [&](const BiasActivationShape& s) {
    return LaunchBiasActivation<float>(s, src.data(), nullptr, nullptr, dst.data(), TestStream());
  };
  CHECK(launch({4, 4, 0, 0, Activation::kRelu}) == kLaunchOk);
  CHECK(launch({0, 4, 0, 0, Activation::kRelu}) == kLaunchInvalidValue);
  CHECK(launch({4, 4, 3, 0, Activation::kRelu}) == kLaunchInvalidValue);
  CHECK(launch({4, 4, 0, 3, Activation::kRelu}) == kLaunchInvalidValue);
}

}  // namespace
