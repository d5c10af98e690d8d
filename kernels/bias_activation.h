// dst = activation(src * scale + offset), a channel at a time: a bias, a batch norm, an activation on their
// own.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/activation.h"
#include "kernels/launch.h"

namespace couplet {

struct BiasActivationShape {
  int64_t pixels = 0;  // n * h * w
  int c = 0;           // src, dst [pixels, c]
  int src_stride = 0,
      dst_stride = 0;  // channels a pixel of the buffers that src and dst are slices of; 0: dense
  Activation activation = Activation::kNone;
};

// T = float or __half. scale, offset: [c] floats or null (1 and 0). Product and sum are rounded one by one,
// as on the CPU. src == dst with equal strides is allowed, other overlap is not. kLaunchInvalidValue for
// sizes <= 0.
template <class T>
LaunchResult LaunchBiasActivation(const BiasActivationShape& shape, const T* src, const float* scale,
                                  const float* offset, T* dst, DeviceStream stream);

}  // namespace couplet
