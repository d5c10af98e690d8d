// Body of the pad kernel: a thread makes V channels of one pixel of dst.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/device.h"
#include "kernels/pad.h"

namespace couplet {

template <class T, int V>
__global__ void PadKernel(PadShape shape, const T* src, T* dst) {
  const int oh = shape.pad_top + shape.ih + shape.pad_bottom,
            ow = shape.pad_left + shape.iw + shape.pad_right;
  const int chunks = shape.c / V;
  const int item = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int x = item / chunks;
  if (x >= ow) return;
  const int c = (item - x * chunks) * V, y = static_cast<int>(blockIdx.y);
  const size_t n = blockIdx.z;
  const int sy = y - shape.pad_top, sx = x - shape.pad_left;
  FloatVec<V> value;
  for (int i = 0; i < V; ++i) value[i] = 0.0f;
  if (sy >= 0 && sy < shape.ih && sx >= 0 && sx < shape.iw)
    value = LoadFloats<V>(src + ((n * shape.ih + sy) * shape.iw + sx) * shape.c + c);
  StoreFloats<V>(dst + ((n * oh + y) * ow + x) * shape.dst_stride + c, value);
}

}  // namespace couplet
