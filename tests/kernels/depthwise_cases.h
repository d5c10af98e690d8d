// The shapes that tests and benches of depthwise and depthwise3x3 run.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/depthwise.h"

namespace couplet::test {

struct DepthwiseCase {
  std::string name;
  DepthwiseShape shape;
};

// TensorFlow's SAME along one axis.
struct SameAxis {
  int out, before;
};
inline SameAxis Same(int in, int k, int stride, int dilation = 1) {
  const int out = (in + stride - 1) / stride;
  const int total = std::max((out - 1) * stride + (k - 1) * dilation + 1 - in, 0);
  return {out, total / 2};
}

inline DepthwiseShape SameDepthwise(int n, int ih, int iw, int c, int stride, Activation activation,
                                    int k = 3, int dilation = 1, int multiplier = 1) {
  const SameAxis y = Same(ih, k, stride, dilation), x = Same(iw, k, stride, dilation);
  return {n,      ih,       iw,       c,        y.out,    x.out, c * multiplier, k, k, stride,
          stride, dilation, dilation, y.before, x.before, 0,     activation};
}

// Tiles that end anywhere, all parities of SAME, VALID, single pixels, slices, channels that are no vectors.
inline std::vector<DepthwiseCase> Depthwise3x3Cases() {
  std::vector<DepthwiseCase> cases;
  const auto add = [&](std::string name, DepthwiseShape shape) { cases.push_back({std::move(name), shape}); };
  for (const int stride : {1, 2})
    for (const int c : {8, 16, 3, 5, 12})
      for (const int size : {1, 2, 3, 4, 7, 10, 13}) {
        add("same", SameDepthwise(1 + size % 2, size, size + 1, c, stride, Activation::kRelu6));
        if (size >= 3) {
          DepthwiseShape valid = SameDepthwise(1, size, size, c, stride, Activation::kNone);
          valid.pad_top = valid.pad_left = 0;
          valid.oh = valid.ow = (size - 3) / stride + 1;
          add("valid", valid);
        }
      }
  for (const int stride : {1, 2})
    for (int top = 0; top <= 2; ++top)
      for (int left = 0; left <= 2; ++left) {
        DepthwiseShape s = SameDepthwise(2, 9, 11, 8, stride, Activation::kRelu);
        s.pad_top = top, s.pad_left = left;
        s.oh = (9 + top + 2 - 3) / stride + 1;  // two rows and one column past the end
        s.ow = (11 + left + 1 - 3) / stride + 1;
        s.dst_stride = 8 * (1 + left);
        add("pads", s);
      }
  DepthwiseShape odd = SameDepthwise(1, 6, 6, 8, 1, Activation::kNone);
  odd.dst_stride = 11;  // no vector stores
  add("odd slice", odd);
  add("many rows", SameDepthwise(3, 37, 5, 8, 1, Activation::kRelu6));
  add("many columns", SameDepthwise(1, 5, 41, 16, 2, Activation::kRelu6));
  return cases;
}

// The depthwise layers of MobileNet v1 at 224, width in percent; `rows` (0: all) keeps tests of the widest
// short.
inline std::vector<DepthwiseCase> MobileNetDepthwiseCases(int n, int percent, int resolution) {
  struct Block {
    int divide, channels, stride;
  };
  std::vector<DepthwiseCase> cases;
  for (const Block& b : {Block{2, 32, 1},
                         {2, 64, 2},
                         {4, 128, 1},
                         {4, 128, 2},
                         {8, 256, 1},
                         {8, 256, 2},
                         {16, 512, 1},
                         {16, 512, 2},
                         {32, 1024, 1}}) {
    const int size = resolution / b.divide;
    cases.push_back({"mobilenet " + std::to_string(percent) + " % " + std::to_string(size),
                     SameDepthwise(n, size, size, b.channels * percent / 100, b.stride, Activation::kRelu6)});
  }
  return cases;
}

// What only the generic kernel takes.
inline std::vector<DepthwiseCase> DepthwiseCases() {
  std::vector<DepthwiseCase> cases = {
      {"5x5", SameDepthwise(2, 11, 9, 5, 1, Activation::kRelu6, 5)},
      {"7x7 by 3", SameDepthwise(1, 23, 20, 3, 3, Activation::kRelu, 7)},
      {"dilated", SameDepthwise(1, 13, 12, 4, 1, Activation::kNone, 3, 2)},
      {"dilated by 3", SameDepthwise(2, 9, 9, 7, 1, Activation::kRelu6, 3, 3)},
      {"multiplier 2", SameDepthwise(2, 8, 7, 6, 1, Activation::kRelu6, 3, 1, 2)},
      {"multiplier 5", SameDepthwise(1, 8, 7, 3, 2, Activation::kNone, 2, 1, 5)},
      {"1x1", SameDepthwise(1, 5, 6, 33, 1, Activation::kRelu, 1)},
      {"one pixel", SameDepthwise(3, 1, 1, 130, 1, Activation::kRelu6)},
      {"plain 3x3", SameDepthwise(1, 10, 10, 8, 2, Activation::kRelu6)},
  };
  DepthwiseShape oblong = SameDepthwise(1, 12, 17, 5, 1, Activation::kRelu6, 3);
  oblong.kw = 1, oblong.pad_left = 0, oblong.sw = 4, oblong.ow = 5, oblong.dst_stride = 9;
  cases.push_back({"oblong slice", oblong});
  return cases;
}

}  // namespace couplet::test
