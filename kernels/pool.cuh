// Bodies of the pool kernels. PoolKernel: any window; a thread makes V channels of one output pixel.
// Pool3x3Kernel: the windows that networks have most; a thread makes four channels of several rows and columns of
// outputs, which share what is loaded and converted.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/device.h"
#include "kernels/pool.h"
#include "kernels/window_mean.h"

namespace couplet {

constexpr int kPoolThreads = 128;
constexpr int kPool3x3Channels = 4;
constexpr int kPool3x3Columns = 2;  // of outputs a thread
// Rows of outputs a thread, or 1, where that would leave too few threads. With stride 2 fewer are shared.
__host__ __device__ constexpr int Pool3x3Rows(int stride) {
  return 4 / stride;
}
constexpr int kPool3x3Blocks = 4;  // that a multiprocessor must have room for: 128 registers a thread

template <bool kAverage, int V>
__device__ inline void PoolTake(const FloatVec<V>& value, FloatVec<V>* result) {
#pragma unroll
  for (int i = 0; i < V; ++i) {
    float& r = (*result)[i];
    if (kAverage) {
      r += value[i];
    } else if (value[i] > r || value[i] != value[i]) {  // once NaN, it stays NaN
      r = value[i];
    }
  }
}

template <class T, int V, bool kAverage>
__global__ void PoolKernel(PoolShape shape, const T* src, T* dst) {
  const int chunks = shape.c / V;
  const int item = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int x = item / chunks;
  if (x >= shape.ow) return;
  const int c = (item - x * chunks) * V, y = static_cast<int>(blockIdx.y), n = static_cast<int>(blockIdx.z);
  const int top = y * shape.sh - shape.pad_top, left = x * shape.sw - shape.pad_left;
  const int y_begin = top > 0 ? top : 0, y_end = top + shape.kh < shape.ih ? top + shape.kh : shape.ih;
  const int x_begin = left > 0 ? left : 0, x_end = left + shape.kw < shape.iw ? left + shape.kw : shape.iw;

  const T* photo = src + static_cast<size_t>(n) * shape.ih * shape.iw * shape.c + c;
  FloatVec<V> result;
  for (int i = 0; i < V; ++i) result[i] = kAverage ? 0.0f : -INFINITY;
  for (int sy = y_begin; sy < y_end; ++sy)
    for (int sx = x_begin; sx < x_end; ++sx)
      PoolTake<kAverage>(LoadFloats<V>(photo + (static_cast<size_t>(sy) * shape.iw + sx) * shape.c), &result);
  if (kAverage) {
    const float count = static_cast<float>((y_end - y_begin) * (x_end - x_begin));
    for (int i = 0; i < V; ++i) result[i] = result[i] / count;
  }
  StoreFloats<V>(dst + ((static_cast<size_t>(n) * shape.oh + y) * shape.ow + x) * shape.dst_stride + c,
                 result);
}

template <class T, bool kAverage, int kStride, int kRows>
__global__ void __launch_bounds__(kPoolThreads, kPool3x3Blocks)
    Pool3x3Kernel(PoolShape shape, const T* __restrict__ src, T* __restrict__ dst) {
  constexpr int V = kPool3x3Channels, kColumns = kPool3x3Columns;
  constexpr int kInRows = (kRows - 1) * kStride + 3, kInColumns = (kColumns - 1) * kStride + 3;
  const int chunks = shape.c / V;
  const int item = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int strip = item / chunks;
  const int ox = strip * kColumns, oy = static_cast<int>(blockIdx.y) * kRows;
  if (ox >= shape.ow) return;
  const int c = (item - strip * chunks) * V, n = static_cast<int>(blockIdx.z);
  const int iy = oy * kStride - shape.pad_top, ix = ox * kStride - shape.pad_left;

  // What lies outside the source is 0 to a sum; a maximum takes the nearest value inside once more, which is of the
  // same window.
  const T* const photo = src + static_cast<int64_t>(n) * shape.ih * shape.iw * shape.c + c;
  int at[kInColumns];
#pragma unroll
  for (int x = 0; x < kInColumns; ++x) at[x] = min(max(ix + x, 0), shape.iw - 1) * shape.c;
  // Rows in rising order, and in a row columns: each output takes its window in order, as in PoolKernel.
  FloatVec<V> result[kRows][kColumns];
#pragma unroll
  for (int y = 0; y < kInRows; ++y) {
    const T* const from = photo + static_cast<int64_t>(min(max(iy + y, 0), shape.ih - 1)) * shape.iw * shape.c;
    FloatVec<V> value[kInColumns];
#pragma unroll
    for (int x = 0; x < kInColumns; ++x) {
      const bool inside = iy + y >= 0 && iy + y < shape.ih && ix + x >= 0 && ix + x < shape.iw;
      if (!kAverage || inside) {
        value[x] = LoadFloats<V>(from + at[x]);
      } else {
#pragma unroll
        for (int i = 0; i < V; ++i) value[x][i] = 0.0f;
      }
    }
#pragma unroll
    for (int column = 0; column < kColumns; ++column) {
      const FloatVec<V>* const three = value + column * kStride;
      // A row's maximum is the same for the windows that share it; a sum would be of another order.
      FloatVec<V> most = three[0];
      if (!kAverage) {
        PoolTake<false>(three[1], &most);
        PoolTake<false>(three[2], &most);
      }
#pragma unroll
      for (int row = 0; row < kRows; ++row) {
        if (y < row * kStride || y > row * kStride + 2) continue;
        FloatVec<V>* const taken = &result[row][column];
        if (kAverage) {
          if (y == row * kStride) *taken = FloatVec<V>{};
#pragma unroll
          for (int x = 0; x < 3; ++x) PoolTake<true>(three[x], taken);
        } else if (y == row * kStride) {
          *taken = most;
        } else {
          PoolTake<false>(most, taken);
        }
      }
    }
  }

  T* to = dst + ((static_cast<int64_t>(n) * shape.oh + oy) * shape.ow + ox) * shape.dst_stride + c;
#pragma unroll
  for (int row = 0; row < kRows; ++row) {
    if (oy + row >= shape.oh) return;
    const int top = iy + row * kStride, high = min(top + 3, shape.ih) - max(top, 0);
#pragma unroll
    for (int column = 0; column < kColumns; ++column) {
      if (ox + column >= shape.ow) break;
      FloatVec<V>& mean = result[row][column];
      if (kAverage) {
        const int left = ix + column * kStride, count = high * (min(left + 3, shape.iw) - max(left, 0));
        WindowMeans(count, mean.v);
      }
      StoreFloats<V>(to + column * shape.dst_stride, mean);
    }
    to += shape.ow * shape.dst_stride;
  }
}

}  // namespace couplet
