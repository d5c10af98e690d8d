// Gathers windows: src [n, ih, iw, ic] -> [n * oh * ow, kh * kw * ic], so that a convolution is one matrix product with
// its weights as they are. A row is an output pixel's window in the order ky, kx, channel.
//   dst[(n,oy,ox), (ky,kx,c)] = src[n, oy*sh - pad_top + ky*dh, ox*sw - pad_left + kx*dw, c]
// where src is 0 outside the image.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/launch.h"

namespace couplet {

// Sizes in pixels and elements. Rows and columns past the image's end are read as 0, however many oh and ow ask for.
struct Im2colShape {
  int n = 0, ih = 0, iw = 0, ic = 0;  // src
  int oh = 0, ow = 0;
  int kh = 1, kw = 1, sh = 1, sw = 1, dh = 1, dw = 1;
  int pad_top = 0, pad_left = 0;
};

// T = float or __half. src and dst, both dense, do not overlap. Any size as a whole, but a row of pixels, of src as of
// dst, has less than 2^31 elements. kLaunchInvalidValue for a row with more, for sizes <= 0, a pad < 0 or a grid too large.
template <class T>
LaunchResult LaunchIm2col(const Im2colShape& shape, const T* src, T* dst, DeviceStream stream);

}  // namespace couplet
