// TensorFlow's ResizeBilinear (align_corners and half_pixel_centers false) and retrain.py's normalisation,
// one value at a time in float32: every operation is rounded, so the engine has to give these very bits.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace couplet::reference {

struct Axis {
  int lo, hi;
  float t;
};

inline Axis SourceOf(int out, int in_size, int out_size) {
  volatile float scale = static_cast<float>(in_size) / static_cast<float>(out_size);
  volatile float at = static_cast<float>(out) * scale;
  const int lo = static_cast<int>(std::floor(at));
  return {lo, std::min(lo + 1, in_size - 1), at - static_cast<float>(lo)};
}

// volatile: each step is rounded to float32 and no two are fused.
inline float Between(float a, float b, float t) {
  volatile float difference = b - a;
  volatile float part = difference * t;
  volatile float sum = a + part;
  return sum;
}

// Value (y, x, c) of the photo resized to oh x ow.
inline float ResizedAt(const std::vector<uint8_t>& rgb, int ih, int iw, int oh, int ow, int y, int x, int c) {
  const Axis row = SourceOf(y, ih, oh), column = SourceOf(x, iw, ow);
  const auto pixel = [&](int py, int px) {
    return static_cast<float>(rgb[(static_cast<size_t>(py) * iw + px) * 3 + c]);
  };
  const float top = Between(pixel(row.lo, column.lo), pixel(row.lo, column.hi), column.t);
  const float bottom = Between(pixel(row.hi, column.lo), pixel(row.hi, column.hi), column.t);
  return Between(top, bottom, row.t);
}

inline float NormalizedBy(float value, float mean, float std, bool divide) {
  volatile float centred = value - mean;
  if (divide) {
    volatile float quotient = centred / std;
    return quotient;
  }
  volatile float factor = static_cast<float>(1.0 / static_cast<double>(std));
  volatile float product = centred * factor;
  return product;
}

}  // namespace couplet::reference
