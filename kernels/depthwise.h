// Depthwise convolution of any window, stride, dilation and multiplier: an output a thread. The slow twin of
// depthwise3x3, for what that one does not take.
//   dst[n,oy,ox,o] = activation(bias[o] + sum over ky, kx of
//                    src[n, oy*sh - pad_top + ky*dh, ox*sw - pad_left + kx*dw, o / (oc/ic)] *
//                    weights[ky,kx,o])
// where src is 0 outside the image. Sums are float whatever the element type, in the order ky, kx, from the
// bias on.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/activation.h"
#include "kernels/launch.h"

namespace couplet {

// Sizes in pixels and elements. TensorFlow's SAME pads less at the top and left than at the bottom and right,
// which follow from oh and ow: any number of rows and columns past the image's end may be read as 0.
struct DepthwiseShape {
  int n, ih, iw, ic;  // src [n, ih, iw, ic]
  int oh, ow, oc;     // dst [n, oh, ow, oc], oc a multiple of ic
  int kh, kw;         // weights [kh, kw, oc]
  int sh, sw, dh, dw;
  int pad_top, pad_left;
  int dst_stride;  // elements from a pixel of dst to the next, >= oc; 0: oc
  Activation activation;
  bool clip_src = false;  // src counts as min(src, 6)
};

// Queues the convolution on `stream`. weights [kh, kw, oc] and bias [oc] (null: 0) are float in both. dst may
// be a slice of the channels of a wider tensor. kLaunchInvalidValue for a shape that makes no sense, else a
// cudaError_t.
LaunchResult Depthwise(const DepthwiseShape& shape, const float* src, const float* weights, const float* bias,
                       float* dst, DeviceStream stream);
LaunchResult Depthwise(const DepthwiseShape& shape, const __half* src, const float* weights,
                       const float* bias, __half* dst, DeviceStream stream);

}  // namespace couplet
