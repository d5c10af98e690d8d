// Bands of rows of 3x3 convolutions, depthwise or of RGB, and pixels of a pool.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/cpu/gemm_kernel.h"

namespace couplet::cpu {

// Rows of the result that follow each other, of a depthwise convolution of stride 1 or 2, or of one over three channels of stride 2.
// Each value is one chain of fused multiply-adds: the window's rows, then columns, then channels; it begins with the bias where
// depthwise, else the bias is added at its end (as in gemm_kernel.h). What lies in the padding is left out. REQUIRES: at most one
// column of padding on each side.
struct Window3x3Band {
  bool depthwise;
  const float* const* rows;  // the source's, (dst_rows - 1) * stride + 3 of them, null in the padding
  int columns, channels;
  int dst_rows, dst_columns, stride, pad_left;
  const float* weights;  // [3, 3, channels], or [3, 3, 3, channels]
  const float* bias;     // [channels]
  float* dst;            // [dst_rows, dst_columns, channels]
  Clamp clamp;
  // Floats of the source that are asked for into the second cache meanwhile, a share with every few columns.
  const float* ahead;
  size_t ahead_floats;
  uint32_t* most;  // where depthwise, null or [kMostLanes]: raised so that its greatest is that of the results' bits too
  static constexpr int kMostLanes = 16;
};
void RunWindow3x3Band(const Window3x3Band& band);
// How many rows a band had best have; 0: the general kernel is faster.
int Window3x3BandRows(bool depthwise, int channels, int stride);

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
