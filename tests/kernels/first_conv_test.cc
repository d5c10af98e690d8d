// SPDX-License-Identifier: Apache-2.0
#include "kernels/first_conv.h"

#include "tests/kernels/first_conv_cases.h"
#include "tests/reference/convolution.h"
#include "tests/reference/small_ops.h"
#include "tests/support/kernel_run.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

struct Tensors {
  std::vector<float> src, weights, bias;  // src [n, ih, iw, 3]
};

Tensors Draw(const FirstConvCase& c, bool exact, uint64_t seed) {
  Values values(seed);
  const auto draw = [&](size_t n, int most) {
    return exact ? values.Integers(n, -most, most) : values.Reals(n);
  };
  const auto& s = c.shape;
  Tensors t;
  t.src = draw(static_cast<size_t>(s.n) * s.ih * s.iw * 3, 4);
  t.weights = draw(27 * static_cast<size_t>(s.oc), 2);
  if (c.bias) t.bias = draw(static_cast<size_t>(s.oc), 8);
  return t;
}

template <class T>
Output RunFirstConv(const FirstConvShape& s, const Tensors& t, int rounds = 0) {
  const DeviceArray<T> src(Spread(t.src, 3, static_cast<size_t>(s.src_stride)));
  const DeviceArray<float> weights(t.weights), bias(t.bias);
  const size_t channels = static_cast<size_t>(s.oc);
  return RunInSchedules<T>("first_conv", static_cast<size_t>(s.n) * s.oh * s.ow, channels,
                           s.dst_stride != 0 ? static_cast<size_t>(s.dst_stride) : channels, [&](T* dst) {
                             return LaunchFirstConv<T>(s, src.data(), weights.data(),
                                                       t.bias.empty() ? nullptr : bias.data(), dst,
                                                       TestStream(), rounds);
                           });
}

template <class T>
void Compare(const FirstConvShape& s, const Tensors& t, const Output& got, bool exact) {
  const reference::ConvolutionCase conv = {s.ih, s.iw, 3, s.oc,      3,          3,    2,
                                           2,    1,    1, s.pad_top, s.pad_left, false};
  const auto clip = static_cast<reference::Clip>(s.activation);
  Mismatches mismatches;
  size_t pixel = 0;
  for (int n = 0; n < s.n; ++n)
    for (int y = 0; y < s.oh; ++y)
      for (int x = 0; x < s.ow; ++x, ++pixel)
        for (int o = 0; o < s.oc; ++o) {
          const auto sum = reference::ConvolutionAt(conv, t.src, t.weights, {}, t.bias, n, y, x, o);
          const double bound =
              exact ? 0.0 : 28 * kEpsilon * sum.magnitude;  // 27 fused products, one to spare
          mismatches.Check<T>(got.at(pixel, o), reference::Clipped(sum.value, clip), bound, pixel, o);
        }
  mismatches.Report();
}

template <class T>
void TestCases() {
  for (const auto& c : kFirstConvCases) {
    CAPTURE(c.name);
    for (const bool exact : {true, false}) {
      Tensors t = Draw(c, exact, 53);
      t.src = Rounded<T>(t.src);
      Compare<T>(c.shape, t, RunFirstConv<T>(c.shape, t), exact);
    }
  }
}

TEST_CASE("kernel first_conv: every case against the definition, float") {
  TestCases<float>();
}
TEST_CASE("kernel first_conv: every case against the definition, half") {
  TestCases<__half>();
}

TEST_CASE("kernel first_conv: several items a thread give the same bits") {
  const FirstConvCase c = {"", {4, 33, 65, 3, 16, 32, 24, 0, 0, 0, Activation::kRelu6}, true};
  const Tensors t = Draw(c, false, 57);
  const Output one = RunFirstConv<float>(c.shape, t, 1);
  for (const int rounds : {2, 3}) {
    const Output more = RunFirstConv<float>(c.shape, t, rounds);
    for (size_t pixel = 0; pixel < 4 * 16 * 32; ++pixel)
      for (int o = 0; o < 24; ++o) CHECK(SameBits(more.at(pixel, o), one.at(pixel, o)));
  }
}

TEST_CASE("kernel first_conv: neither the batch nor the width of the accesses changes a bit") {
  FirstConvCase c = {"", {3, 11, 13, 3, 6, 7, 8, 1, 1, 0, Activation::kNone}, true};
  Tensors t = Draw(c, false, 59);
  const Output together = RunFirstConv<float>(c.shape, t);
  c.shape.src_stride = 4;
  c.shape.dst_stride = 9;
  const Output other = RunFirstConv<float>(c.shape, t);
  c.shape = {1, 11, 13, 3, 6, 7, 8, 1, 1, 0, Activation::kNone};
  t.src.erase(t.src.begin(), t.src.begin() + 2 * 11 * 13 * 3);
  const Output alone = RunFirstConv<float>(c.shape, t);
  for (size_t pixel = 0; pixel < 42; ++pixel)
    for (int o = 0; o < 8; ++o) {
      CHECK(SameBits(other.at(84 + pixel, o), together.at(84 + pixel, o)));
      CHECK(SameBits(alone.at(pixel, o), together.at(84 + pixel, o)));
    }
}

TEST_CASE("kernel first_conv: shapes it does not take") {
  const FirstConvShape good = {1, 5, 5, 3, 2, 2, 8, 0, 0, 0, Activation::kNone};
  const DeviceArray<float> src(std::vector<float>(75)), weights(std::vector<float>(27 * 8)), dst(64);
  const auto launch = [&](const FirstConvShape& s) {
    return LaunchFirstConv<float>(s, src.data(), weights.data(), nullptr, dst.data(), TestStream());
  };
  CHECK(launch(good) == kLaunchOk);
  auto bad = good;
  bad.oc = kFirstConvMaxChannels + 1;
  CHECK(launch(bad) == kLaunchInvalidValue);
  bad = good;
  bad.src_stride = 2;
  CHECK(launch(bad) == kLaunchInvalidValue);
  bad = good;
  bad.dst_stride = 7;
  CHECK(launch(bad) == kLaunchInvalidValue);
  bad = good;
  bad.pad_left = -1;
  CHECK(launch(bad) == kLaunchInvalidValue);
  bad = good;
  bad.n = 0;
  CHECK(launch(bad) == kLaunchInvalidValue);
}

}  // namespace
