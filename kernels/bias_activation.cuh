// Body of the bias and activation kernel: a block works through whole pixels, V channels a thread at a
// time.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/bias_activation.h"
#include "kernels/clamp.cuh"
#include "kernels/device.h"

namespace couplet {

// No __restrict__: src and dst may be the same.
template <class T, int V>
__global__ void BiasActivationKernel(BiasActivationShape shape, int pixels_per_block, const T* src,
                                     const float* scale, const float* offset, T* dst) {
  const Clamp clamp(shape.activation);
  const int chunks = shape.c / V;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * pixels_per_block;
  const int64_t left = shape.pixels - first;
  const int pixels = left < pixels_per_block ? static_cast<int>(left) : pixels_per_block;
  for (int item = static_cast<int>(threadIdx.x); item < pixels * chunks;
       item += static_cast<int>(blockDim.x)) {
    const int pixel = item / chunks, c = (item - pixel * chunks) * V;
    FloatVec<V> value = LoadFloats<V>(src + (first + pixel) * shape.src_stride + c);
    for (int i = 0; i < V; ++i) {
      if (scale != nullptr) value[i] = value[i] * scale[c + i];
      if (offset != nullptr) value[i] += offset[c + i];
      value[i] = clamp(value[i]);
    }
    StoreFloats<V>(dst + (first + pixel) * shape.dst_stride + c, value);
  }
}

}  // namespace couplet
