// SPDX-License-Identifier: Apache-2.0
#include "tests/support/model_layers.h"

#include <algorithm>
#include <tuple>

namespace couplet::test {

Pads SamePads(const ConvShape& s) {
  const auto needed = [](int in, int k, int stride, int dilation) {
    const int out = (in + stride - 1) / stride;
    return std::max(0, (out - 1) * stride + (k - 1) * dilation + 1 - in);
  };
  const int h = needed(s.ih, s.kh, s.sh, s.dh), w = needed(s.iw, s.kw, s.sw, s.dw);
  return {.top = h / 2, .left = w / 2, .bottom = h - h / 2, .right = w - w / 2};
}

namespace {

// Appends `shape` unless its like is there already, whatever the name.
void Add(std::vector<ConvShape>& shapes, ConvShape shape, bool same) {
  if (same) shape.pads = SamePads(shape);
  const auto key = [](const ConvShape& s) {
    return std::tuple(s.ih, s.ic, s.oc, s.kh, s.kw, s.sh, s.pads.top, s.pads.bottom, s.pads.left,
                      s.depthwise);
  };
  for (const ConvShape& other : shapes)
    if (key(other) == key(shape)) return;
  shapes.push_back(std::move(shape));
}

ConvShape Square(std::string name, int size, int ic, int oc, int kh, int kw, int stride) {
  return Named(std::move(name), size, size, ic, oc, kh, kw, stride, stride, {});
}

}  // namespace

ConvShape Named(std::string name, int ih, int iw, int ic, int oc, int kh, int kw, int sh, int sw, Pads pads) {
  return {.name = std::move(name), .ih = ih, .iw = iw, .ic = ic, .oc = oc, .kh = kh, .kw = kw, .sh = sh, .sw = sw, .pads = pads};
}

std::vector<ConvShape> MobileNetConvs(int width, int size) {
  struct Block {
    int stride, oc;
  };
  constexpr Block kBlocks[] = {{1, 64},  {2, 128}, {1, 128}, {2, 256}, {1, 256},  {2, 512}, {1, 512},
                               {1, 512}, {1, 512}, {1, 512}, {1, 512}, {2, 1024}, {1, 1024}};
  const std::string prefix = "mobilenet_" + std::to_string(width) + "_" + std::to_string(size) + "/";
  std::vector<ConvShape> shapes;
  int ic = 32 * width / 100;
  Add(shapes, Square(prefix + "stem", size, 3, ic, 3, 3, 2), true);
  size = (size + 1) / 2;
  int number = 0;
  for (const Block& block : kBlocks) {
    const std::string name = prefix + "block" + std::to_string(++number);
    ConvShape depthwise = Square(name + "/depthwise", size, ic, ic, 3, 3, block.stride);
    depthwise.depthwise = true;
    Add(shapes, std::move(depthwise), true);
    size = (size + block.stride - 1) / block.stride;
    const int oc = block.oc * width / 100;
    Add(shapes, Square(name + "/pointwise", size, ic, oc, 1, 1, 1), true);
    ic = oc;
  }
  Add(shapes, Square(prefix + "logits", 1, ic, 1001, 1, 1, 1), true);
  return shapes;
}

std::vector<ConvShape> InceptionConvs() {
  std::vector<ConvShape> shapes;
  const auto same = [&](const char* name, int size, int ic, int oc, int kh, int kw) {
    Add(shapes, Square(std::string("inception/") + name, size, ic, oc, kh, kw, 1), true);
  };
  const auto valid = [&](const char* name, int size, int ic, int oc, int k, int stride) {
    Add(shapes, Square(std::string("inception/") + name, size, ic, oc, k, k, stride), false);
  };
  valid("conv", 299, 3, 32, 3, 2);
  valid("conv_1", 149, 32, 32, 3, 1);
  same("conv_2", 147, 32, 64, 3, 3);
  valid("conv_3", 73, 64, 80, 1, 1);
  valid("conv_4", 73, 80, 192, 3, 1);
  for (const int ic : {192, 256, 288})
    for (const int oc : {64, 48, 32}) same("mixed..mixed_2/1x1", 35, ic, oc, 1, 1);
  same("mixed/tower/conv_1", 35, 48, 64, 5, 5);
  same("mixed/tower_1/conv_1", 35, 64, 96, 3, 3);
  same("mixed/tower_1/conv_2", 35, 96, 96, 3, 3);
  valid("mixed_3/conv", 35, 288, 384, 3, 2);
  valid("mixed_3/tower/conv_2", 35, 96, 96, 3, 2);
  for (const int mid : {128, 160, 192}) {
    same("mixed_4..mixed_7/1x1", 17, 768, mid, 1, 1);
    same("mixed_4..mixed_7/1x7", 17, mid, mid, 1, 7);
    same("mixed_4..mixed_7/7x1", 17, mid, mid, 7, 1);
    same("mixed_4..mixed_7/1x7 out", 17, mid, 192, 1, 7);
    same("mixed_4..mixed_7/7x1 out", 17, mid, 192, 7, 1);
  }
  valid("mixed_8/tower/conv_1", 17, 192, 320, 3, 2);
  valid("mixed_8/tower_1/conv_3", 17, 192, 192, 3, 2);
  for (const int ic : {1280, 2048})
    for (const int oc : {320, 384, 448, 192}) same("mixed_9, mixed_10/1x1", 8, ic, oc, 1, 1);
  same("mixed_9/tower/mixed/conv", 8, 384, 384, 1, 3);
  same("mixed_9/tower/mixed/conv_1", 8, 384, 384, 3, 1);
  same("mixed_9/tower_1/conv_1", 8, 448, 384, 3, 3);
  same("softmax/logits", 1, 2048, 1008, 1, 1);
  return shapes;
}

}  // namespace couplet::test
