// Depthwise convolution with a 3x3 window, the memory-bound half of MobileNet's blocks. Same definition and
// same sums as kernels/depthwise.h, so either gives the same bits; this one reads each pixel about 1.3 times
// instead of 9.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/depthwise.h"

namespace couplet {

// As Depthwise, for kh = kw = 3, dh = dw = 1, sh = sw = 1 or 2, oc = ic; kLaunchInvalidValue for anything
// else. Fast when ic and dst_stride are multiples of 4, src and dst aligned to four elements, weights and bias to
// 16 bytes. rows: how many output rows a thread walks down, 0: by the size of the problem. Every
// choice gives the same bits.
LaunchResult Depthwise3x3(const DepthwiseShape& shape, const float* src, const float* weights,
                          const float* bias, float* dst, DeviceStream stream, int rows = 0);
LaunchResult Depthwise3x3(const DepthwiseShape& shape, const __half* src, const float* weights,
                          const float* bias, __half* dst, DeviceStream stream, int rows = 0);

}  // namespace couplet
