// exp(x - max) / sum over the channels of each row.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/launch.h"

namespace couplet {

struct SoftmaxShape {
  int rows = 0, c = 0;                 // src, dst [rows, c]
  int src_stride = 0, dst_stride = 0;  // from one row to the next; 0: c
};

// T = float or __half, arithmetic float32; the sum's order depends on c alone. src == dst with equal strides
// is allowed, other overlap is not. A NaN in a row makes the whole row NaN. kLaunchInvalidValue for sizes <=
// 0.
template <class T>
LaunchResult LaunchSoftmax(const SoftmaxShape& shape, const T* src, T* dst, DeviceStream stream);

}  // namespace couplet
