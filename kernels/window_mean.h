// The means of a pool's windows. C++14 and no library: kernels include it, and their tests.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "kernels/host_device.h"

namespace couplet {

// sums[i] / count to the last bit, for the counts of values that a window of up to 3x3 can hold. Not by division, which
// takes a GPU twice the instructions, and many more for a sum of 0: one step of Newton's from sum * (1 / count) rounds
// correctly for every finite float32 (all were tried) but for sixths that are subnormal.
template <int kSums>
COUPLET_HOST_DEVICE inline void WindowMeans(int count, float (&sums)[kSums]) {
  const float whole = static_cast<float>(count);
  const float inverse = count == 9   ? 1.0f / 9.0f
                        : count == 6 ? 1.0f / 6.0f
                        : count == 4 ? 1.0f / 4.0f
                        : count == 3 ? 1.0f / 3.0f
                        : count == 2 ? 1.0f / 2.0f
                                     : 1.0f;
  bool subnormal = false;
  if (count == 6) {
    for (int i = 0; i < kSums; ++i) subnormal = subnormal || (fabsf(sums[i]) < 1e-30f && sums[i] != 0.0f);
  }
  if (subnormal) {
    for (int i = 0; i < kSums; ++i) sums[i] = sums[i] / whole;
    return;
  }
  for (int i = 0; i < kSums; ++i) {
    const float quotient = sums[i] * inverse;
    const float mean = fmaf(fmaf(-whole, quotient, sums[i]), inverse, quotient);
    sums[i] = fabsf(quotient) <= 3.402823466e+38f ? mean : quotient;  // infinity and NaN as they are
  }
}

}  // namespace couplet
