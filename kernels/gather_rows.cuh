// See gather_rows.h. One thread copies kWide floats of one row; a block covers a stretch of one row, so that
// its loads lie side by side. kWide = 4 where rows begin at 16 bytes, else 1.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/device.h"
#include "kernels/gather_rows.h"

namespace couplet {

constexpr int kGatherRowsThreads = 256;

template <int kWide>
__global__ void __launch_bounds__(kGatherRowsThreads)
    GatherRowsKernel(GatherRowsShape shape, const float* __restrict__ src, const uint32_t* __restrict__ rows,
                     float* __restrict__ dst) {
  const int at = (static_cast<int>(blockIdx.y) * kGatherRowsThreads + static_cast<int>(threadIdx.x)) * kWide;
  if (at >= shape.features) return;
  const int64_t row = blockIdx.x;
  const FloatVec<kWide> values =
      LoadFloats<kWide>(src + static_cast<int64_t>(rows[row]) * shape.features + at);
  StoreFloats<kWide>(dst + row * shape.features + at, values);
}

}  // namespace couplet
