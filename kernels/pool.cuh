// Body of the pool kernel: a thread makes V channels of one output pixel.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/device.h"
#include "kernels/pool.h"

namespace couplet {

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
  float result[V];
  for (int i = 0; i < V; ++i) result[i] = kAverage ? 0.0f : -INFINITY;
  for (int sy = y_begin; sy < y_end; ++sy) {
    for (int sx = x_begin; sx < x_end; ++sx) {
      const FloatVec<V> value = LoadFloats<V>(photo + (static_cast<size_t>(sy) * shape.iw + sx) * shape.c);
      for (int i = 0; i < V; ++i) {
        if (kAverage) {
          result[i] += value[i];
        } else if (value[i] > result[i] || value[i] != value[i]) {  // once NaN, it stays NaN
          result[i] = value[i];
        }
      }
    }
  }
  if (kAverage) {
    const float count = static_cast<float>((y_end - y_begin) * (x_end - x_begin));
    for (int i = 0; i < V; ++i) result[i] = result[i] / count;
  }
  StoreFloats<V>(dst + ((static_cast<size_t>(n) * shape.oh + y) * shape.ow + x) * shape.dst_stride + c,
                 result);
}

}  // namespace couplet
