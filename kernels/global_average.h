// Mean over height and width, a channel at a time.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/launch.h"

namespace couplet {

struct GlobalAverageShape {
  int n = 0, pixels = 0, c = 0;  // src [n, pixels, c], dst [n, c]
  int dst_stride = 0;            // floats or halves from one photo's result to the next's; 0: c
  bool clip_src = false;         // src counts as min(src, 6)
};

// T = float or __half; the sum is float32. Pixels p, p + 8, p + 16 ... are added in order for p = 0..7, then
// the eight sums as a tree: an order that depends on nothing but `pixels`. kLaunchInvalidValue for sizes <= 0
// or a grid too large.
template <class T>
LaunchResult LaunchGlobalAverage(const GlobalAverageShape& shape, const T* src, T* dst, DeviceStream stream);

}  // namespace couplet
