// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/device.h"

namespace couplet {

// False for NaN too.
__device__ inline bool IsFinite(float x) {
  return fabsf(x) <= 3.402823466e+38f;
}

}  // namespace couplet
