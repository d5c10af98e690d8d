// The first convolution of a network: 3x3, stride 2, three input channels, with bias and activation.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/activation.h"
#include "kernels/launch.h"

namespace couplet {

struct FirstConvShape {
  int n = 0, ih = 0, iw = 0;   // src [n, ih, iw, src_stride], of which three channels are read
  int src_stride = 3;          // >= 3
  int oh = 0, ow = 0, oc = 0;  // dst [n, oh, ow, oc]; oh and ow say how much is padded below and on the right
  int pad_top = 0, pad_left = 0;
  int dst_stride = 0;  // channels a pixel of the buffer that dst is a slice of; 0: dense
  Activation activation = Activation::kNone;
};

constexpr int kFirstConvMaxChannels = 256;  // oc: the weights lie in shared memory

// T = float or __half; sums are float32, products fused into them, in the order bias, then (ky, kx, channel).
// weights [3, 3, 3, oc] and bias [oc] (or null) are floats. kLaunchInvalidValue for sizes <= 0, oc >
// kFirstConvMaxChannels or a grid too large. `rounds`: groups of eight pixels and channels that a thread makes; 0: by the
// size of the batch. It changes no bit.
template <class T>
LaunchResult LaunchFirstConv(const FirstConvShape& shape, const T* src, const float* weights,
                             const float* bias, T* dst, DeviceStream stream, int rounds = 0);

}  // namespace couplet
