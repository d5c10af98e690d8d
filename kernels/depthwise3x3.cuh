// See depthwise3x3.h. A thread owns kVec channels of a strip of kStrip output columns and walks down `rows`
// output rows. Each input row is loaded once, in vectors of 16 bytes, and added at once to every output row
// it belongs to (three for stride 1, two or one for stride 2), whose sums wait in registers. Neighbours in a
// warp own neighbouring channels, so loads lie side by side; strips overlap by two columns and walks by two
// rows (stride 1), which L1 and L2 serve.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/depthwise3x3.h"
#include "kernels/device.h"

namespace couplet {

constexpr int kDepthwise3x3Threads = 128;
// Blocks that a multiprocessor must have room for. 0: ptxas chooses, three; from sm_100 on it spills to get there.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
constexpr int kDepthwise3x3Blocks = 1;
#else
constexpr int kDepthwise3x3Blocks = 0;
#endif

// Output columns of a thread: as many as registers allow beside 9 * kVec weights.
template <int kVec>
struct Depthwise3x3Strip {
  static constexpr int kColumns = kVec == 8 ? 2 : 4;
};

// sums[column] += row `ky` of the window times the input row in x.
template <int kStride, int kStrip, int kVec, int kColumns>
__device__ inline void AddWindowRow(const FloatVec<kVec> (&x)[kColumns], const FloatVec<kVec>* weights_row,
                                    FloatVec<kVec> (&sums)[kStrip]) {
#pragma unroll
  for (int column = 0; column < kStrip; ++column) {
#pragma unroll
    for (int kx = 0; kx < 3; ++kx) {
#pragma unroll
      for (int v = 0; v < kVec; ++v)
        sums[column][v] = fmaf(x[column * kStride + kx][v], weights_row[kx][v], sums[column][v]);
    }
  }
}

template <typename T, int kStride, int kVec>
__global__ void __launch_bounds__(kDepthwise3x3Threads, kDepthwise3x3Blocks)
    Depthwise3x3Kernel(DepthwiseShape shape, int rows, int threads, const T* __restrict__ src,
                       const float* __restrict__ weights, const float* __restrict__ bias,
                       T* __restrict__ dst) {
  constexpr int kStrip = Depthwise3x3Strip<kVec>::kColumns;
  constexpr int kColumns = (kStrip - 1) * kStride + 3;
  const int index = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (index >= threads) return;
  const int vectors = shape.ic / kVec, strips = CeilDiv(shape.ow, kStrip), walks = CeilDiv(shape.oh, rows);
  const int c = index % vectors * kVec;
  const int ox = index / vectors % strips * kStrip;
  const int oy = index / vectors / strips % walks * rows;
  const int n = index / vectors / strips / walks;

  FloatVec<kVec> window[9], start;
#pragma unroll
  for (int k = 0; k < 9; ++k) window[k] = LoadFloats<kVec>(weights + k * shape.ic + c);
#pragma unroll
  for (int v = 0; v < kVec; ++v) start[v] = 0.0f;
  if (bias != nullptr) start = LoadFloats<kVec>(bias + c);
  const Clamp clamp(shape.activation);

  // sums[a] belongs to output row (i - 2) / kStride + a, i counting input rows from the walk's first.
  constexpr int kOpen = kStride == 1 ? 3 : 2;
  FloatVec<kVec> sums[kOpen][kStrip];
#pragma unroll
  for (int a = 0; a < kOpen; ++a) {
#pragma unroll
    for (int column = 0; column < kStrip; ++column) sums[a][column] = start;
  }

  const int iy0 = oy * kStride - shape.pad_top, ix0 = ox * kStride - shape.pad_left;
  const int ends = min(rows, shape.oh - oy);
  const T* image = src + static_cast<int64_t>(n) * shape.ih * shape.iw * shape.ic + c;
  T* out = dst + ((static_cast<int64_t>(n) * shape.oh + oy) * shape.ow + ox) * shape.dst_stride + c;
  for (int i = 0; i < (ends - 1) * kStride + 3; ++i) {
    const int iy = iy0 + i;
    const bool middle = kStride == 2 && i % 2 == 1;  // belongs to one output row only
    if (iy >= 0 && iy < shape.ih) {
      FloatVec<kVec> x[kColumns];
#pragma unroll
      for (int column = 0; column < kColumns; ++column) {
        const int ix = ix0 + column;
        if (ix >= 0 && ix < shape.iw) {
          x[column] = LoadFloats<kVec>(image + (static_cast<int64_t>(iy) * shape.iw + ix) * shape.ic);
          if (shape.clip_src) ClipAtSix(x[column]);
        } else {
#pragma unroll
          for (int v = 0; v < kVec; ++v) x[column][v] = 0.0f;
        }
      }
      if (middle) {
        AddWindowRow<kStride>(x, window + 3, sums[0]);
      } else {
        AddWindowRow<kStride>(x, window + 6, sums[0]);
        if (kStride == 1) AddWindowRow<kStride>(x, window + 3, sums[1]);
        AddWindowRow<kStride>(x, window, sums[kOpen - 1]);
      }
    }
    if (middle) continue;
    if (i >= 2) {
#pragma unroll
      for (int column = 0; column < kStrip; ++column) {
        if (ox + column >= shape.ow) break;
#pragma unroll
        for (int v = 0; v < kVec; ++v) sums[0][column][v] = clamp(sums[0][column][v]);
        StoreFloats<kVec>(out + static_cast<int64_t>(column) * shape.dst_stride, sums[0][column]);
      }
      out += static_cast<int64_t>(shape.ow) * shape.dst_stride;
    }
#pragma unroll
    for (int column = 0; column < kStrip; ++column) {
#pragma unroll
      for (int a = 0; a + 1 < kOpen; ++a) sums[a][column] = sums[a + 1][column];
      sums[kOpen - 1][column] = start;
    }
  }
}

}  // namespace couplet
