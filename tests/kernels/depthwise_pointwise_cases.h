// The shapes that tests and benches of depthwise_pointwise run.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/depthwise_pointwise.h"
#include "tests/kernels/depthwise_cases.h"

namespace couplet::test {

struct DepthwisePointwiseCase {
  std::string name;
  DepthwisePointwiseShape shape;
};

inline DepthwisePointwiseCase FusedCase(std::string name, const DepthwiseShape& depthwise, int oc,
                                        Activation activation = Activation::kRelu6, int dst_stride = 0) {
  return {std::move(name), {depthwise, oc, dst_stride, activation}};
}

// Tiles of 8x8 pixels, chunks of 64 channels, 64, 128 and 256 output channels: below, at and above each.
inline std::vector<DepthwisePointwiseCase> DepthwisePointwiseCases() {
  std::vector<DepthwisePointwiseCase> cases;
  const Activation relu6 = Activation::kRelu6;
  for (const int stride : {1, 2}) {
    cases.push_back(FusedCase("one pixel", SameDepthwise(1, 1, 1, 8, stride, relu6), 8));
    cases.push_back(FusedCase("a tile", SameDepthwise(1, 8 * stride, 8 * stride, 16, stride, relu6), 16));
    cases.push_back(
        FusedCase("above a tile", SameDepthwise(2, 9 * stride, 17 * stride, 24, stride, relu6), 24));
    cases.push_back(FusedCase("odd channels", SameDepthwise(1, 7, 10, 8, stride, Activation::kNone), 13,
                              Activation::kNone));
    cases.push_back(FusedCase("a chunk", SameDepthwise(1, 5, 6, 64, stride, relu6), 64));
    cases.push_back(
        FusedCase("above a chunk", SameDepthwise(1, 5, 6, 72, stride, relu6), 72, Activation::kRelu));
    cases.push_back(FusedCase("three chunks", SameDepthwise(1, 3, 5, 136, stride, relu6), 129));
    cases.push_back(FusedCase("wide", SameDepthwise(1, 4, 4, 8, stride, relu6), 264));
    cases.push_back(FusedCase("wider", SameDepthwise(1, 3, 3, 16, stride, relu6), 520, Activation::kNone));
    cases.push_back(FusedCase("slice", SameDepthwise(2, 6, 7, 16, stride, relu6), 24, relu6, 37));
  }
  for (int pad = 0; pad <= 2; ++pad) {
    DepthwiseShape s = SameDepthwise(1, 11, 9, 8, 2, relu6);
    s.pad_top = pad, s.pad_left = 2 - pad;
    s.oh = (11 + pad) / 2, s.ow = (9 + 2 - pad) / 2;
    cases.push_back(FusedCase("pads", s, 16));
  }
  return cases;
}

// MobileNet v1's thirteen blocks (equal ones once), width in percent. most: the largest side kept of a
// photo's picture, so that tests of the early blocks stay short; a side stays odd or even.
inline std::vector<DepthwisePointwiseCase> MobileNetFusedCases(int n, int percent, int resolution, int most) {
  std::vector<DepthwisePointwiseCase> cases;
  for (const DepthwiseCase& c : MobileNetDepthwiseCases(n, percent, resolution)) {
    DepthwiseShape s = c.shape;
    const int side = s.ih <= most ? s.ih : most + (s.ih - most) % 2;
    s = SameDepthwise(n, side, side, s.ic, s.sh, Activation::kRelu6);
    const int full = 1024 * percent / 100;
    // A block widens where it strides, the first one too; the last keeps its width.
    const bool widens = s.sh == 2 || s.ic == 32 * percent / 100;
    cases.push_back(FusedCase(c.name, s, std::min(widens ? 2 * s.ic : s.ic, full)));
  }
  return cases;
}

}  // namespace couplet::test
