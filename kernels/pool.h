// Maximum and average pooling, NHWC, any window. Padding never wins a maximum and is not counted in an
// average (TensorFlow: core/kernels/maxpooling_op_gpu.cu.cc, avgpooling_op_gpu.cu.cc). NaN stays NaN in both.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/launch.h"

namespace couplet {

struct PoolShape {
  int n = 0, ih = 0, iw = 0, c = 0;  // src [n, ih, iw, c]
  int oh = 0, ow = 0;                // dst [n, oh, ow, c]; these say how much is padded below and on the right
  int kh = 1, kw = 1, sh = 1, sw = 1;
  int pad_top = 0, pad_left = 0;
  int dst_stride = 0;  // channels a pixel of the buffer that dst is a slice of; 0: dense
  bool average = false;
};

// T = float or __half. An average is a float32 sum in window order divided by the number of values summed.
// kLaunchInvalidValue where a window would hold padding alone or the grid would be too large. Where the window is 3x3 a
// thread makes several rows of outputs if `threads_wanted` threads are left, else one; the numbers are the same.
template <class T>
LaunchResult LaunchPool(const PoolShape& shape, const T* src, T* dst, DeviceStream stream,
                        int64_t threads_wanted = 1 << 17);

}  // namespace couplet
