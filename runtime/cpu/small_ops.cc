// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/small_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace couplet::cpu {

void Affine(const float* src, float* dst, int64_t pixels, int channels, std::span<const float> scale,
            std::span<const float> offset) {
  for (int64_t p = 0; p < pixels; ++p, src += channels, dst += channels) {
    for (int c = 0; c < channels; ++c)
      dst[c] = scale.empty() ? src[c] : src[c] * scale[static_cast<size_t>(c)];
    if (offset.empty()) continue;
    for (int c = 0; c < channels; ++c) dst[c] += offset[static_cast<size_t>(c)];
  }
}

void Activate(const float* src, float* dst, int64_t count, Activation activation) {
  const float top = activation == Activation::kRelu6 ? 6.0f : INFINITY;
  if (activation == Activation::kNone) {
    if (src != dst) std::memcpy(dst, src, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  // Written so that NaN stays NaN: a broken weight must not turn into a plausible 0.
  for (int64_t i = 0; i < count; ++i) {
    const float x = src[i] < 0.0f ? 0.0f : src[i];
    dst[i] = x > top ? top : x;
  }
}

void GlobalAverage(const float* src, float* dst, int n, int64_t pixels, int channels) {
  const float count = static_cast<float>(pixels);
  for (int i = 0; i < n; ++i, dst += channels) {
    std::fill_n(dst, channels, 0.0f);
    for (int64_t p = 0; p < pixels; ++p, src += channels)
      for (int c = 0; c < channels; ++c) dst[c] += src[c];
    for (int c = 0; c < channels; ++c) dst[c] /= count;
  }
}

void Pad(const float* src, float* dst, int n, const Shape& src_shape, const Pads& pads) {
  const int64_t src_row = int64_t{src_shape.w} * src_shape.c;
  const int64_t left = int64_t{pads.left} * src_shape.c, right = int64_t{pads.right} * src_shape.c;
  const int64_t dst_row = left + src_row + right;
  for (int i = 0; i < n; ++i) {
    dst = std::fill_n(dst, pads.top * dst_row, 0.0f);
    for (int y = 0; y < src_shape.h; ++y, src += src_row) {
      dst = std::fill_n(dst, left, 0.0f);
      dst = std::copy_n(src, src_row, dst);
      dst = std::fill_n(dst, right, 0.0f);
    }
    dst = std::fill_n(dst, pads.bottom * dst_row, 0.0f);
  }
}

void CopyChannels(const float* src, float* dst, int64_t pixels, int channels, int dst_channels, int at) {
  dst += at;
  for (int64_t p = 0; p < pixels; ++p, src += channels, dst += dst_channels) std::copy_n(src, channels, dst);
}

void Softmax(const float* src, float* dst, int64_t rows, int channels) {
  for (int64_t row = 0; row < rows; ++row, src += channels, dst += channels) {
    const float top = *std::max_element(src, src + channels);
    double sum = 0.0;
    for (int c = 0; c < channels; ++c) {
      dst[c] = std::exp(src[c] - top);
      sum += static_cast<double>(dst[c]);
    }
    for (int c = 0; c < channels; ++c) dst[c] = static_cast<float>(static_cast<double>(dst[c]) / sum);
  }
}

}  // namespace couplet::cpu
