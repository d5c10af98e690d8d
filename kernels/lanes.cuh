// Sums of the lanes of a warp. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/device.h"

namespace couplet {

// Over each kLanes neighbouring lanes (a power of two), the same in all of them: lane t with t + kLanes / 2,
// then the pairs of those, and so on, in the order of a tree in shared memory.
template <int kLanes, typename N>
__device__ inline N SumOfLanes(N x) {
  for (int offset = kLanes / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}

}  // namespace couplet
