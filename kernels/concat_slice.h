// One source of a concatenation along channels, copied to its slice: only for what could not be written
// there.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/launch.h"

namespace couplet {

struct ConcatSliceShape {
  int64_t pixels = 0;  // n * h * w
  int c = 0;           // src [pixels, c]
  int src_stride = 0,
      dst_stride = 0;  // channels a pixel of the buffers that src and dst are slices of; 0: dense
};

// T = float or __half. src and dst do not overlap. kLaunchInvalidValue for sizes <= 0.
template <class T>
LaunchResult LaunchConcatSlice(const ConcatSliceShape& shape, const T* src, T* dst, DeviceStream stream);

}  // namespace couplet
