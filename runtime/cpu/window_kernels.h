// Rows of a depthwise 3x3 convolution and pixels of a pool: windows that see one channel at a time.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "runtime/cpu/gemm_kernel.h"

namespace couplet::cpu {

// One row of the result. Each value is one chain of fused multiply-adds: bias, then the window's rows, then columns;
// what lies in the padding is left out. REQUIRES: stride 1 or 2, at most one column of padding on each side.
struct Depthwise3x3Row {
  const float* rows[3];  // the source's rows, null in the padding
  int columns, channels;
  int dst_columns, stride, pad_left;
  const float* weights;  // [3, 3, channels]
  const float* bias;     // [channels]
  float* dst;            // [dst_columns, channels]
  Clamp clamp;
};
void RunDepthwise3x3Row(const Depthwise3x3Row& row);

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
