// Zeros around each photo.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/launch.h"

namespace couplet {

struct PadShape {
  int n = 0, ih = 0, iw = 0, c = 0;  // src [n, ih, iw, c]
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int dst_stride = 0;  // channels a pixel of the buffer that dst is a slice of; 0: dense
};

// T = float or __half. dst [n, pad_top + ih + pad_bottom, pad_left + iw + pad_right, c]. kLaunchInvalidValue
// for sizes
// <= 0, a pad < 0 or a grid too large.
template <class T>
LaunchResult LaunchPad(const PadShape& shape, const T* src, T* dst, DeviceStream stream);

}  // namespace couplet
