// Body of the global average kernel: a block makes 32 * V channels of one photo; its eight rows of threads
// each sum every eighth pixel.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/clamp.cuh"
#include "kernels/device.h"
#include "kernels/global_average.h"

namespace couplet {

constexpr int kGlobalAverageLanes = 32, kGlobalAverageRows = 8;

template <class T, int V>
__global__ void GlobalAverageKernel(GlobalAverageShape shape, const T* src, T* dst) {
  COUPLET_SHARED(float, sums, [kGlobalAverageRows][V][kGlobalAverageLanes]);
  const int lane = static_cast<int>(threadIdx.x), row = static_cast<int>(threadIdx.y);
  const int n = static_cast<int>(blockIdx.y);
  const int c = (static_cast<int>(blockIdx.x) * kGlobalAverageLanes + lane) * V;
  const bool inside = c < shape.c;

  float sum[V];
  for (int i = 0; i < V; ++i) sum[i] = 0.0f;
  if (inside) {
    const T* photo = src + static_cast<size_t>(n) * shape.pixels * shape.c + c;
    for (int p = row; p < shape.pixels; p += kGlobalAverageRows) {
      FloatVec<V> value = LoadFloats<V>(photo + static_cast<size_t>(p) * shape.c);
      if (shape.clip_src) ClipAtSix(value);
      for (int i = 0; i < V; ++i) sum[i] += value[i];
    }
  }
  for (int i = 0; i < V; ++i) sums[row][i][lane] = sum[i];
  for (int half = kGlobalAverageRows / 2; half > 0; half /= 2) {
    __syncthreads();
    if (row < half)
      for (int i = 0; i < V; ++i) sums[row][i][lane] += sums[row + half][i][lane];
  }
  if (row != 0 || !inside) return;
  for (int i = 0; i < V; ++i) sum[i] = sums[0][i][lane] / static_cast<float>(shape.pixels);
  StoreFloats<V>(dst + static_cast<size_t>(n) * shape.dst_stride + c, sum);
}

}  // namespace couplet
