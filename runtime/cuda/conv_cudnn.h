// Dense convolutions through cuDNN's legacy API: of it, only what every version from 8.2 to 9 has. NHWC.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "runtime/cuda/op.h"

namespace couplet::cuda {

struct ConvLayer {
  std::string layer;
  Shape src, dst;  // of one photo
  int kh = 1, kw = 1, sh = 1, sw = 1, dh = 1, dw = 1;
  Pads pads;
  int dst_stride = 0;  // channels a pixel of the value that dst is a slice of; 0: dense
  int max_batch = 1;
  std::vector<float> weights;  // [kh, kw, ic, oc], batch norm folded in
  std::vector<float> bias;     // [oc] or empty
  Activation activation = Activation::kNone;

  // Channels from one pixel of dst to the next.
  int Stride() const { return dst_stride != 0 ? dst_stride : dst.c; }
};

// Asymmetric pads: the source is padded by a kernel into scratch, and cuDNN pads nothing.
// The algorithm is the first of cuDNN's own ranking that sums products as they are (no FFT, no Winograd:
// their rounding is another), is deterministic and stays within the workspace limit; or what Tuning keeps.
// Bias and ReLU are part of the convolution where cuDNN can do that and dst is dense; else a kernel does bias
// and activation afterwards.
OpResult MakeDnnConv(const Device& device, const ConvLayer& spec);

}  // namespace couplet::cuda
