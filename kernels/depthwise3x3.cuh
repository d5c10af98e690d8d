// See depthwise3x3.h. A thread owns kVec channels of a strip of kStrip output columns and walks down `rows`
// output rows. Each input row is loaded once, while the one before it is worked on, and added at once to every output
// row it belongs to (three for stride 1, two or one for stride 2), whose sums wait in registers. Neighbours in a
// warp own neighbouring channels, so loads lie side by side; strips overlap by two columns and walks by two
// rows (stride 1), which L1 and L2 serve. Four channels and two columns a thread, for halves too: on an H200 eight
// channels left room for too few threads to keep its memory busy.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/clamp.cuh"
#include "kernels/depthwise3x3.h"
#include "kernels/device.h"

namespace couplet {

constexpr int kDepthwise3x3Threads = 128;
constexpr int kDepthwise3x3Channels = 4;  // of a thread, where all are multiples of it
constexpr int kDepthwise3x3Strip = 2;     // output columns of a thread
// Blocks that a multiprocessor must have room for: 128 registers a thread, with which older compilers and devices spill.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
constexpr int kDepthwise3x3Blocks = 4;
#else
constexpr int kDepthwise3x3Blocks = 1;
#endif

// Adds input column `column` of a row, window row `weights_row` on it, to the output columns it belongs to. Columns come in
// rising order, so that an output column adds its window from left to right.
template <int kStride, int kStrip, int kVec>
__device__ inline void AddColumn(const FloatVec<kVec>& x, int column, const FloatVec<kVec>* weights_row,
                                 FloatVec<kVec> (&sums)[kStrip]) {
#pragma unroll
  for (int out = 0; out < kStrip; ++out) {
    const int kx = column - out * kStride;
    if (kx < 0 || kx > 2) continue;
#pragma unroll
    for (int v = 0; v < kVec; ++v) sums[out][v] = fmaf(x[v], weights_row[kx][v], sums[out][v]);
  }
}

// A row's columns from `row` on; zeros for a row that is not inside and for columns outside.
template <typename T, int kVec, int kColumns>
__device__ inline void LoadRow(const T* row, int step, bool inside, int ix, int iw, FloatVec<kVec> (&x)[kColumns]) {
#pragma unroll
  for (int column = 0; column < kColumns; ++column) {
    if (inside && ix + column >= 0 && ix + column < iw) {
      x[column] = LoadFloats<kVec>(row + column * step);
    } else {
#pragma unroll
      for (int v = 0; v < kVec; ++v) x[column][v] = 0.0f;
    }
  }
}

template <typename T, int kStride, int kVec>
__global__ void __launch_bounds__(kDepthwise3x3Threads, kDepthwise3x3Blocks)
    Depthwise3x3Kernel(DepthwiseShape shape, int rows, int threads, const T* __restrict__ src,
                       const float* __restrict__ weights, const float* __restrict__ bias,
                       T* __restrict__ dst) {
  constexpr int kStrip = kDepthwise3x3Strip;
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
  const float most = shape.clip_src ? 6.0f : INFINITY;  // see ClipAtSix: here a branch would cost registers

  // sums[r % kOpen] belongs to output row r of the walk: an input row adds to kOpen of them at most.
  constexpr int kOpen = kStride == 1 ? 3 : 2;
  FloatVec<kVec> sums[kOpen][kStrip];
#pragma unroll
  for (int column = 0; column < kStrip; ++column) sums[0][column] = start;

  const int iy0 = oy * kStride - shape.pad_top, ix0 = ox * kStride - shape.pad_left;
  const int ends = min(rows, shape.oh - oy);
  const T* row = src + ((static_cast<int64_t>(n) * shape.ih + iy0) * shape.iw + ix0) * shape.ic + c;
  const int row_step = shape.iw * shape.ic;
  T* out = dst + ((static_cast<int64_t>(n) * shape.oh + oy) * shape.ow + ox) * shape.dst_stride + c;
  const int out_step = shape.ow * shape.dst_stride;
  // Unrolled over as many input rows as it takes for the places of sums and loaded rows to come round again.
  constexpr int kTurn = kStride == 1 ? 6 : 4;
  const int input_rows = (ends - 1) * kStride + 3;
  FloatVec<kVec> x[2][kColumns];
  const auto inside = [&](int i) { return iy0 + i >= 0 && iy0 + i < shape.ih; };
  LoadRow(row, shape.ic, inside(0), ix0, shape.iw, x[0]);
  for (int first = 0; first < input_rows; first += kTurn) {
#pragma unroll
    for (int turn = 0; turn < kTurn; ++turn) {
      const int i = first + turn;
      if (i >= input_rows) return;
      constexpr int kNone = -1;
      // Places of the output rows that this row is the last, the middle and the first one of.
      const int last = kStride == 1 ? (turn + 1) % kOpen : turn % 2 == 0 ? (turn / 2 + 1) % kOpen : kNone;
      const int middle = kStride == 1 ? (turn + 2) % kOpen : turn % 2 == 1 ? turn / 2 % kOpen : kNone;
      const int begun = kStride == 1 ? turn % kOpen : turn % 2 == 0 ? turn / 2 % kOpen : kNone;
      if (begun != kNone) {
#pragma unroll
        for (int column = 0; column < kStrip; ++column) sums[begun][column] = start;
      }
      LoadRow(row + row_step, shape.ic, i + 1 < input_rows && inside(i + 1), ix0, shape.iw, x[(turn + 1) % 2]);
      if (inside(i)) {
#pragma unroll
        for (int column = 0; column < kColumns; ++column) {
          FloatVec<kVec>& value = x[turn % 2][column];
#pragma unroll
          for (int v = 0; v < kVec; ++v) value[v] = MinOrNan(value[v], most);
          if (last != kNone) AddColumn<kStride>(value, column, window + 6, sums[last]);
          if (middle != kNone) AddColumn<kStride>(value, column, window + 3, sums[middle]);
          if (begun != kNone) AddColumn<kStride>(value, column, window, sums[begun]);
        }
      }
      row += row_step;
      if (last == kNone || i < 2) continue;
#pragma unroll
      for (int column = 0; column < kStrip; ++column) {
        if (ox + column >= shape.ow) break;
#pragma unroll
        for (int v = 0; v < kVec; ++v) sums[last][column][v] = clamp(sums[last][column][v]);
        StoreFloats<kVec>(out + column * shape.dst_stride, sums[last][column]);
      }
      out += out_step;
    }
  }
}

}  // namespace couplet
