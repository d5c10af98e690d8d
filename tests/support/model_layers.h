// The convolutions of the networks Couplet is made for, as shapes: MobileNet v1 of any width and size, and
// Inception v3 of 2015. Every shape once.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "runtime/graph.h"

namespace couplet::test {

struct ConvShape {
  std::string name;
  int ih = 1, iw = 1, ic = 1, oc = 1;  // depthwise: oc = ic * multiplier
  int kh = 1, kw = 1, sh = 1, sw = 1, dh = 1, dw = 1;
  Pads pads;
  bool depthwise = false;
  int oh() const { return (ih + pads.top + pads.bottom - (kh - 1) * dh - 1) / sh + 1; }
  int ow() const { return (iw + pads.left + pads.right - (kw - 1) * dw - 1) / sw + 1; }
};

ConvShape Named(std::string name, int ih, int iw, int ic, int oc, int kh, int kw, int sh, int sw, Pads pads);

// TensorFlow's SAME for the shape's kernel, stride and dilation.
Pads SamePads(const ConvShape& shape);

// Stem, 13 blocks, 1001 logits. `width` in percent: 25, 50, 75, 100.
std::vector<ConvShape> MobileNetConvs(int width, int size);
std::vector<ConvShape> InceptionConvs();

}  // namespace couplet::test
