// One case of a depthwise kernel: launched in every schedule and held against the reference.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/kernels/depthwise_cases.h"
#include "tests/reference/depthwise.h"
#include "tests/support/compare.h"
#include "tests/support/device_memory.h"
#include "tests/support/values.h"

namespace couplet::test {

// The launcher of one element type; naming it picks the overload.
template <typename T>
using DepthwiseLauncher = LaunchResult (*)(const DepthwiseShape&, const T*, const float*, const float*, T*,
                                           DeviceStream);

inline double ApplyActivation(double v, Activation activation) {
  if (activation == Activation::kNone) return v;
  if (v < 0) return 0;
  return activation == Activation::kRelu6 && v > 6 ? 6 : v;
}

// exact: integers, of which every sum is a T; else reals with a bound derived from the sum of |x * w|.
template <typename T, typename Function>
void RunDepthwise(const char* kernel, const Function& function, const DepthwiseCase& c, bool exact,
                  bool with_bias = true) {
  constexpr bool kHalf = std::is_same_v<T, __half>;
  const DepthwiseShape& s = c.shape;
  INFO(kernel, ": ", c.name, " n ", s.n, " ", s.ih, "x", s.iw, "x", s.ic, " stride ", s.sh, " pads ",
       s.pad_top, " ", s.pad_left, exact ? " integers" : " reals", kHalf ? " half" : " float");
  Values values(static_cast<uint64_t>(s.ih * 131 + s.ic * 7 + s.sh + (exact ? 0 : 1)));
  const size_t oc = static_cast<size_t>(s.oc), pixels = static_cast<size_t>(s.n) * s.oh * s.ow;
  const size_t inputs = static_cast<size_t>(s.n) * s.ih * s.iw * s.ic,
               window = static_cast<size_t>(s.kh) * s.kw * oc;
  const auto src = exact ? values.Integers(inputs, -4, 4) : Rounded<T>(values.Reals(inputs));
  const auto weights = exact ? values.Integers(window, -3, 3) : values.Reals(window);
  auto bias = exact ? values.Integers(oc, -5, 5) : values.Reals(oc);
  if (!with_bias) bias.clear();
  const auto reference =
      reference::DepthwiseConvolution({s.n, s.ih, s.iw, s.ic, s.oh, s.ow, s.oc / s.ic, s.kh, s.kw, s.sh, s.sw,
                                       s.dh, s.dw, s.pad_top, s.pad_left},
                                      src, weights, bias);
  std::vector<double> want(reference.values), bounds(reference.magnitudes);
  for (double& v : want) v = ApplyActivation(v, s.activation);
  const double terms = s.kh * s.kw + 2;
  for (size_t i = 0; i < bounds.size(); ++i)
    bounds[i] = terms * 0x1p-24 * bounds[i] + (kHalf ? 0x1p-11 * std::fabs(want[i]) + 0x1p-25 : 0.0);

  const DeviceArray<T> device_src(src);
  const DeviceArray<float> device_weights(weights), device_bias(bias);
  const size_t stride = s.dst_stride != 0 ? static_cast<size_t>(s.dst_stride) : oc;
  ForEachSchedule(kernel, [&] {
    DeviceArray<T> dst((pixels - 1) * stride + oc);
    REQUIRE(function(s, device_src.data(), device_weights.data(), with_bias ? device_bias.data() : nullptr,
                     dst.data(), TestStream()) == 0);
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
      CheckEqual(got, want);
    } else {
      CheckWithin(got, want, bounds);
    }
  });
}

}  // namespace couplet::test
