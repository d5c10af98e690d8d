// Body of the conversion kernel: V elements a thread, the last ones one by one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/convert.h"
#include "kernels/device.h"

namespace couplet {

template <class S, class D, int V>
__global__ void ConvertKernel(ConvertShape shape, const S* src, D* dst) {
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * V;
  if (first + V <= shape.count) {
    StoreFloats<V>(dst + first, LoadFloats<V>(src + first));
    return;
  }
  for (int64_t i = first; i < shape.count; ++i) StoreFloats<1>(dst + i, LoadFloats<1>(src + i));
}

}  // namespace couplet
