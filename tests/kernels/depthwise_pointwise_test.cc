// SPDX-License-Identifier: Apache-2.0
#include "kernels/depthwise_pointwise.h"

#include <cmath>
#include <type_traits>

#include "tests/kernels/clip_src.h"
#include "tests/kernels/depthwise_pointwise_cases.h"
#include "tests/kernels/depthwise_run.h"

namespace couplet {
namespace {

using test::DepthwisePointwiseCase;
constexpr const char* kName = "depthwise_pointwise";

// What tensor cores see of a float: half's or TF32's 11 significant bits.
template <typename T>
float RoundedForProduct(float v) {
  if constexpr (std::is_same_v<T, __half>) return test::Rounded<__half>(v);
  return test::FloatOfBits((test::FloatBits(v) + 0x1000u) & 0xffffe000u);
}

struct Fused {
  std::vector<double> values, bounds;
};

// The two definitions one after the other. exact: what lies between needs no rounding. Otherwise the error of
// a depthwise result (its float sum, then half an ulp of 11 bits) counts |weight| times, and sums of k terms
// add k roundings.
template <typename T>
Fused Reference(const DepthwisePointwiseShape& shape, const std::vector<float>& src,
                const std::vector<float>& depthwise_weights, const std::vector<float>& depthwise_bias,
                const std::vector<float>& weights, const std::vector<float>& bias) {
  const DepthwiseShape& s = shape.depthwise;
  const auto middle = reference::DepthwiseConvolution(
      {s.n, s.ih, s.iw, s.ic, s.oh, s.ow, 1, 3, 3, s.sh, s.sw, 1, 1, s.pad_top, s.pad_left}, src,
      depthwise_weights, depthwise_bias);
  const size_t ic = static_cast<size_t>(s.ic), oc = static_cast<size_t>(shape.oc);
  const size_t pixels = middle.values.size() / ic;
  Fused fused;
  for (size_t p = 0; p < pixels; ++p) {
    std::vector<double> sums(oc, 0.0), errors(oc, 0.0), magnitudes(oc, 0.0);
    for (size_t i = 0; i < ic; ++i) {
      const double value = test::ApplyActivation(middle.values[p * ic + i], s.activation);
      const double error =
          11 * 0x1p-24 * middle.magnitudes[p * ic + i] + 0x1p-11 * std::fabs(value) + 0x1p-25;
      for (size_t o = 0; o < oc; ++o) {
        const double weight = static_cast<double>(weights[i * oc + o]);
        sums[o] += value * weight;
        errors[o] += error * std::fabs(weight);
        magnitudes[o] += std::fabs(value * weight);
      }
    }
    for (size_t o = 0; o < oc; ++o) {
      const double b = bias.empty() ? 0.0 : static_cast<double>(bias[o]);
      const double value = test::ApplyActivation(sums[o] + b, shape.activation);
      fused.values.push_back(value);
      fused.bounds.push_back(errors[o] +
                             static_cast<double>(ic + 2) * 0x1p-24 * (magnitudes[o] + std::fabs(b)) +
                             (std::is_same_v<T, __half> ? 0x1p-11 * std::fabs(value) + 0x1p-25 : 0.0));
    }
  }
  return fused;
}

template <typename T>
void Run(const DepthwisePointwiseCase& c, bool exact, bool with_bias = true) {
  const DepthwisePointwiseShape& shape = c.shape;
  const DepthwiseShape& s = shape.depthwise;
  INFO(c.name, ": n ", s.n, " ", s.ih, "x", s.iw, "x", s.ic, " -> ", shape.oc, " stride ", s.sh,
       exact ? " integers" : " reals", std::is_same_v<T, __half> ? " half" : " tf32");
  test::Values values(static_cast<uint64_t>(s.ih * 131 + s.ic * 7 + shape.oc + (exact ? 0 : 1)));
  const size_t ic = static_cast<size_t>(s.ic), oc = static_cast<size_t>(shape.oc);
  const size_t pixels = static_cast<size_t>(s.n) * s.oh * s.ow,
               inputs = static_cast<size_t>(s.n) * s.ih * s.iw * ic;
  // Integers small enough that depthwise results fit 11 bits and sums of 0s and 1s times them fit half's.
  const auto src = exact ? values.Integers(inputs, -2, 2) : test::Rounded<T>(values.Reals(inputs));
  const auto depthwise_weights = exact ? values.Integers(9 * ic, -1, 1) : values.Reals(9 * ic);
  auto depthwise_bias = exact ? values.Integers(ic, -1, 3) : values.Reals(ic);
  auto weights = exact ? values.Integers(ic * oc, -1, 1) : values.Reals(ic * oc);
  for (float& w : weights) w = RoundedForProduct<T>(w);
  auto bias = exact ? values.Integers(oc, -5, 5) : values.Reals(oc);
  if (!with_bias) bias.clear(), depthwise_bias.clear();
  const Fused want = Reference<T>(shape, src, depthwise_weights, depthwise_bias, weights, bias);

  using Stored = typename test::HostElement<T>::Stored;
  std::vector<Stored> packed(PackedPointwiseCount(s.ic, shape.oc, static_cast<const T*>(nullptr)));
  PackPointwise(s.ic, shape.oc, weights.data(), reinterpret_cast<T*>(packed.data()));
  test::DeviceBytes device_packed(packed.size() * sizeof(Stored));
  device_packed.Write(packed.data());
  const test::DeviceArray<T> device_src(src);
  const test::DeviceArray<float> dw(depthwise_weights), dw_bias(depthwise_bias), pw_bias(bias);
  const size_t stride = shape.dst_stride != 0 ? static_cast<size_t>(shape.dst_stride) : oc;
  test::ForEachSchedule(kName, [&] {
    test::DeviceArray<T> dst((pixels - 1) * stride + oc);
    REQUIRE(DepthwisePointwise(shape, device_src.data(), dw.data(), with_bias ? dw_bias.data() : nullptr,
                               static_cast<const T*>(device_packed.data()),
                               with_bias ? pw_bias.data() : nullptr, dst.data(), test::TestStream()) == 0);
    const auto wide = dst.Read();
    std::vector<float> got;
    bool between_untouched = true;
    for (size_t i = 0; i < wide.size(); ++i) {
      if (i % stride < oc) got.push_back(wide[i]);
      if (i % stride >= oc) between_untouched = between_untouched && std::isnan(wide[i]);
    }
    CHECK(between_untouched);
    CHECK(dst.intact());
    if (exact) {
      test::CheckEqual(got, want.values);
    } else {
      test::CheckWithin(got, want.values, want.bounds);
    }
  });
}

TEST_CASE("kernel depthwise_pointwise: integers, exactly") {
  for (const DepthwisePointwiseCase& c : test::DepthwisePointwiseCases()) {
    Run<float>(c, true);
    Run<__half>(c, true);
  }
}

TEST_CASE("kernel depthwise_pointwise: reals") {
  bool with_bias = true;
  for (const DepthwisePointwiseCase& c : test::DepthwisePointwiseCases()) {
    Run<float>(c, false, with_bias);
    Run<__half>(c, false, !with_bias);
    with_bias = !with_bias;
  }
}

TEST_CASE("kernel depthwise_pointwise: MobileNet's blocks, every width") {
  for (const int percent : {25, 50, 75, 100}) {
    if (test::Sanitized() && percent > 25) break;
    for (const DepthwisePointwiseCase& c :
         test::MobileNetFusedCases(1, percent, percent == 25 ? 128 : 224, percent == 25 ? 128 : 8)) {
      Run<float>(c, false);
      Run<__half>(c, false);
    }
  }
}

TEST_CASE("kernel depthwise_pointwise: a photo's numbers do not depend on its batch") {
  DepthwisePointwiseShape one =
      test::FusedCase("", test::SameDepthwise(1, 10, 9, 24, 1, Activation::kRelu6), 40).shape;
  DepthwisePointwiseShape many = one;
  many.depthwise.n = 4;
  test::Values values(7);
  const auto photo = values.Reals(10 * 9 * 24), dw = values.Reals(9 * 24), dw_bias = values.Reals(24),
             weights = values.Reals(24 * 40), bias = values.Reals(40);
  std::vector<float> photos;
  for (int n = 0; n < 4; ++n) photos.insert(photos.end(), photo.begin(), photo.end());
  std::vector<float> packed(PackedPointwiseCount(24, 40, static_cast<const float*>(nullptr)));
  PackPointwise(24, 40, weights.data(), packed.data());
  const test::DeviceArray<float> src(photos), d(dw), db(dw_bias), p(packed), b(bias);
  test::ForEachSchedule(kName, [&] {
    test::DeviceArray<float> alone(10 * 9 * 40), together(4 * 10 * 9 * 40);
    REQUIRE(DepthwisePointwise(one, src.data(), d.data(), db.data(), p.data(), b.data(), alone.data(),
                               test::TestStream()) == 0);
    REQUIRE(DepthwisePointwise(many, src.data(), d.data(), db.data(), p.data(), b.data(), together.data(),
                               test::TestStream()) == 0);
    const auto a = alone.Read(), t = together.Read();
    for (size_t n = 0; n < 4; ++n)
      CHECK(std::equal(a.begin(), a.end(), t.begin() + static_cast<std::ptrdiff_t>(n * a.size())));
  });
}

template <typename T>
void CheckFusedClipsSource(int stride) {
  const DepthwisePointwiseShape shape =
      test::FusedCase("", test::SameDepthwise(2, 7, 6, 72, stride, Activation::kRelu6), 16).shape;
  const DepthwiseShape& s = shape.depthwise;
  test::Values values(5);
  const auto weights = values.Reals(72 * 16);
  using Stored = typename test::HostElement<T>::Stored;
  std::vector<Stored> packed(PackedPointwiseCount(72, 16, static_cast<const T*>(nullptr)));
  PackPointwise(72, 16, weights.data(), reinterpret_cast<T*>(packed.data()));
  test::DeviceBytes device_packed(packed.size() * sizeof(Stored));
  device_packed.Write(packed.data());
  const test::DeviceArray<float> dw(values.Reals(9 * 72)), dw_bias(values.Reals(72)), bias(values.Reals(16));
  const size_t pixels = size_t{2} * s.oh * s.ow;
  test::CheckClipsSource<T>(size_t{2} * s.ih * s.iw * s.ic, [&](bool clips, const std::vector<float>& from) {
    DepthwisePointwiseShape clipping = shape;
    clipping.depthwise.clip_src = clips;
    const test::DeviceArray<T> src(from);
    return test::RunInSchedules<T>(kName, pixels, 16, 16, [&](T* dst) {
      return DepthwisePointwise(clipping, src.data(), dw.data(), dw_bias.data(),
                                static_cast<const T*>(device_packed.data()), bias.data(), dst, test::TestStream());
    });
  });
}

TEST_CASE("kernel depthwise_pointwise: the source is clipped on reading") {
  for (const int stride : {1, 2}) {
    CheckFusedClipsSource<float>(stride);
    CheckFusedClipsSource<__half>(stride);
  }
}

TEST_CASE("kernel depthwise_pointwise: a small block [threads]") {
  const auto c = test::FusedCase("small", test::SameDepthwise(1, 5, 9, 72, 1, Activation::kRelu6), 16);
  Run<float>(c, true);
  Run<__half>(c, true);
}

TEST_CASE("kernel depthwise_pointwise: packed weights are zero outside and rounded inside") {
  const std::vector<float> weights = {1.0f, 1.00048828125f, -3.0f, 5.0f, 6.0f, 7.0f};  // [3, 2]
  std::vector<float> tf32(PackedPointwiseCount(3, 2, static_cast<const float*>(nullptr)), NAN);
  REQUIRE(tf32.size() == 64);
  PackPointwise(3, 2, weights.data(), tf32.data());
  std::vector<uint16_t> half(PackedPointwiseCount(3, 2, static_cast<const __half*>(nullptr)), 0xffff);
  REQUIRE(half.size() == 128);
  PackPointwise(3, 2, weights.data(), reinterpret_cast<__half*>(half.data()));
  // Column 0 is lanes 0-3's, column 1 lanes 4-7's; terms t of TF32, 2t and 2t + 1 of half.
  CHECK(tf32[0] == 1.0f);
  CHECK(tf32[2 * 1] == -3.0f);
  CHECK(tf32[2 * 2] == 6.0f);
  CHECK(tf32[2 * 4] == 1.0009765625f);  // 1 + 2^-11: a tie, away from zero
  CHECK(tf32[2 * 5] == 5.0f);
  CHECK(half[0] == test::HalfBits(1.0f));
  CHECK(half[1] == test::HalfBits(-3.0f));
  CHECK(half[4 * 1] == test::HalfBits(6.0f));
  CHECK(half[4 * 4] == test::HalfBits(1.0f));  // the same tie, to even
  CHECK(half[4 * 4 + 1] == test::HalfBits(5.0f));
  CHECK(std::count(tf32.begin(), tf32.end(), 0.0f) == 64 - 6);
  CHECK(std::count(half.begin(), half.end(), uint16_t{0}) == 128 - 6);
}

TEST_CASE("kernel depthwise_pointwise: what it does not take") {
  const DepthwisePointwiseShape good =
      test::FusedCase("", test::SameDepthwise(1, 6, 6, 8, 1, Activation::kNone), 8).shape;
  const test::DeviceArray<float> memory(std::vector<float>(4096, 0.0f));
  test::DeviceArray<float> dst(4096);
  const auto launch = [&](const DepthwisePointwiseShape& s, size_t shift = 0, size_t packed_shift = 0) {
    return DepthwisePointwise(s, memory.data() + shift, memory.data(), memory.data(),
                              memory.data() + packed_shift, memory.data(), dst.data(), test::TestStream());
  };
  CHECK(launch(good) == 0);
  CHECK(launch(good, 1) == kLaunchInvalidValue);
  CHECK(launch(good, 0, 1) == kLaunchInvalidValue);
  DepthwisePointwiseShape bad = good;
  bad.oc = 0;
  CHECK(launch(bad) == kLaunchInvalidValue);
  bad = good, bad.dst_stride = 7;
  CHECK(launch(bad) == kLaunchInvalidValue);
  bad = good, bad.depthwise.ic = bad.depthwise.oc = 6;
  CHECK(launch(bad) == kLaunchInvalidValue);
  bad = good, bad.depthwise.sh = bad.depthwise.sw = 3;
  CHECK(launch(bad) == kLaunchInvalidValue);
}

}  // namespace
}  // namespace couplet
