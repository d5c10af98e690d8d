// Body of the channel slice copy: a block copies whole pixels, V channels a thread at a time.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/concat_slice.h"
#include "kernels/device.h"

namespace couplet {

template <class T, int V>
__global__ void ConcatSliceKernel(ConcatSliceShape shape, int pixels_per_block, const T* src, T* dst) {
  const int chunks = shape.c / V;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * pixels_per_block;
  const int64_t left = shape.pixels - first;
  const int pixels = left < pixels_per_block ? static_cast<int>(left) : pixels_per_block;
  for (int item = static_cast<int>(threadIdx.x); item < pixels * chunks;
       item += static_cast<int>(blockDim.x)) {
    const int pixel = item / chunks, c = (item - pixel * chunks) * V;
    StoreFloats<V>(dst + (first + pixel) * shape.dst_stride + c,
                   LoadFloats<V>(src + (first + pixel) * shape.src_stride + c));
  }
}

}  // namespace couplet
