// Bands of rows of a depthwise 3x3 convolution and pixels of a pool: windows that see one channel at a time.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "runtime/cpu/gemm_kernel.h"

namespace couplet::cpu {

// Rows of the result that follow each other. Each value is one chain of fused multiply-adds: bias, then the window's rows, then
// columns; what lies in the padding is left out. REQUIRES: stride 1 or 2, at most one column of padding on each side.
struct Depthwise3x3Band {
  const float* const* rows;  // the source's, (dst_rows - 1) * stride + 3 of them, null in the padding
  int columns, channels;
  int dst_rows, dst_columns, stride, pad_left;
  const float* weights;  // [3, 3, channels]
  const float* bias;     // [channels]
  float* dst;            // [dst_rows, dst_columns, channels]
  Clamp clamp;
};
void RunDepthwise3x3Band(const Depthwise3x3Band& band);
// How many rows a band had best have.
int Depthwise3x3BandRows(int channels, int stride);

// Maximum or mean of the window's `h` rows of `w` pixels that lie in the picture.
struct PoolPixel {
  const float* src;  // the first of them
  size_t row_stride;
  int h, w, channels;
  float* dst;
};
void RunMaxPool(const PoolPixel& pixel);
void RunAveragePool(const PoolPixel& pixel);

}  // namespace couplet::cpu
