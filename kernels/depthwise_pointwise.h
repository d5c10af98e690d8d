// A block of MobileNet in one kernel: depthwise 3x3 with its bias and activation, then 1x1 convolution with
// its own, on tensor cores. What lies between them never leaves the multiprocessor. Half in and out, or float
// with products in TF32.
//   mid[n,oy,ox,i] = depthwise of src (kernels/depthwise.h), rounded to half or TF32
//   dst[n,oy,ox,o] = activation(bias[o] + sum over i of mid[n,oy,ox,i] * weights[i,o]), sums in float
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kernels/depthwise3x3.h"
#include "kernels/launch.h"

namespace couplet {

struct DepthwisePointwiseShape {
  DepthwiseShape depthwise;  // as Depthwise3x3 takes it; its dst_stride means nothing
  int oc;                    // of the 1x1 convolution: dst [n, oh, ow, oc]
  int dst_stride;            // elements from a pixel of dst to the next, >= oc; 0: oc
  Activation activation;     // of the 1x1 convolution
};

// Elements of the packed weights of a 1x1 convolution.
size_t PackedPointwiseCount(int ic, int oc, const float* type);
size_t PackedPointwiseCount(int ic, int oc, const __half* type);
// On the host: weights [ic, oc] in the order in which tensor cores want them, rounded to TF32 or half.
void PackPointwise(int ic, int oc, const float* weights, float* packed);
void PackPointwise(int ic, int oc, const float* weights, __half* packed);

// Queues the block on `stream`. depthwise_weights [3, 3, ic]; depthwise_bias [ic] and bias [oc] may be null:
// 0. packed: what PackPointwise gave, on the device. ic is a multiple of 4; src is aligned to four
// elements, dst to two, depthwise_weights and depthwise_bias to 16 bytes, packed to 8: kLaunchInvalidValue otherwise.
// float needs sm_80: before, kLaunchNotSupported.
LaunchResult DepthwisePointwise(const DepthwisePointwiseShape& shape, const float* src,
                                const float* depthwise_weights, const float* depthwise_bias,
                                const float* packed, const float* bias, float* dst, DeviceStream stream);
LaunchResult DepthwisePointwise(const DepthwisePointwiseShape& shape, const __half* src,
                                const float* depthwise_weights, const float* depthwise_bias,
                                const __half* packed, const float* bias, __half* dst, DeviceStream stream);

}  // namespace couplet
