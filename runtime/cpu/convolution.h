// What the implementations of a convolution are asked for. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

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

}  // namespace couplet::cpu
