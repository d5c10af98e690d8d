// What the implementations of a convolution are asked for. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/cpu/gemm_kernel.h"
#include "runtime/graph.h"

namespace couplet::cpu {

// Conv, Depthwise and FullyConnected in one: dst = activation(bias + scale * src * weights).
struct Convolution {
  std::string_view layer;  // for messages
  Shape src, dst;          // of one photo; the caller has checked that they fit
  int kh = 1, kw = 1, sh = 1, sw = 1, dh = 1, dw = 1;
  Pads pads;
  int dst_stride = 0;      // channels from one pixel of the result to the next; 0: dst.c. Ours alone, and not depthwise
  bool depthwise = false;                // groups = ic, dst.c = ic * multiplier
  const ConstTensor* weights = nullptr;  // [kh, kw, ic, oc], depthwise [kh, kw, ic, multiplier]
  std::span<const float> scale, bias;    // [oc] or empty
  Activation activation = Activation::kNone;
};

// Whether each pixel sees its own place alone.
inline bool IsPointwise(const Convolution& c) {
  return c.kh == 1 && c.kw == 1 && c.sh == 1 && c.sw == 1 && c.src.h == c.dst.h && c.src.w == c.dst.w;
}

inline Clamp ClampOf(Activation activation) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  return {.low = activation == Activation::kNone ? -kInfinity : 0.0f, .high = activation == Activation::kRelu6 ? 6.0f : kInfinity};
}

// [padded]: zeros where there is none.
inline std::vector<float> BiasOf(const Convolution& c, size_t padded) {
  std::vector<float> bias(padded, 0.0f);
  std::copy(c.bias.begin(), c.bias.end(), bias.begin());
  return bias;
}

}  // namespace couplet::cpu
