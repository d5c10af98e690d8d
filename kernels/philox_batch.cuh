// See philox_batch.h. One thread draws one row.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/device.h"
#include "kernels/philox.h"
#include "kernels/philox_batch.h"

namespace couplet {

constexpr int kPhiloxBatchThreads = 128;

__global__ void __launch_bounds__(kPhiloxBatchThreads)
    PhiloxBatchKernel(PhiloxBatchShape shape, PhiloxBatchDraw draw, const uint32_t* __restrict__ list_rows,
                      const uint32_t* __restrict__ first, const int32_t* __restrict__ list_labels,
                      uint32_t* __restrict__ rows, int32_t* __restrict__ labels) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kPhiloxBatchThreads + threadIdx.x;
  if (at >= static_cast<int64_t>(shape.count) * shape.n) return;
  const uint32_t batch = static_cast<uint32_t>(at / shape.n), row = static_cast<uint32_t>(at % shape.n);
  const Philox4 u = Philox(draw.seed, row, draw.first_step + batch * draw.step_stride, draw.stream);
  const uint32_t list =
      static_cast<uint32_t>((static_cast<uint64_t>(u.v[0]) * static_cast<uint32_t>(shape.lists)) >> 32);
  const uint32_t begin = first[list], length = first[list + 1] - begin;
  rows[at] = list_rows[begin + (u.v[1] % (1u << 27)) % length];
  labels[at] = list_labels[list];
}

}  // namespace couplet
