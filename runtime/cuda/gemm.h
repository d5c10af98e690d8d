// dst = activation(src . weights + bias) through cublasLt: 1x1 convolutions, fully connected layers, and convolutions
// over gathered windows.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/im2col.h"
#include "runtime/cuda/op.h"

namespace couplet::cuda {

// Where a gathered matrix of `bytes` ends in scratch, and the product's workspace begins: cublasLt refuses one that is not
// aligned to 256 bytes (seen on an H200).
constexpr size_t GatheredRoom(size_t bytes) { return (bytes + 255) / 256 * 256; }

struct GemmLayer {
  std::string layer;
  int64_t rows = 1;    // of one photo: h * w
  int ic = 0, oc = 0;  // src [n * rows, ic], dst [n * rows, oc]
  int dst_stride = 0;  // channels from one row of dst to the next; 0: oc
  int group = 1;       // photos in one product
  // Where src is a matrix that is gathered first, into scratch: its shape, n = group. Then rows = oh * ow and
  // ic = kh * kw * window.ic.
  std::optional<Im2colShape> window;
  std::vector<float> weights;  // [ic, oc], batch norm folded in
  std::vector<float> bias;     // [oc] or empty
  Activation activation = Activation::kNone;
};

// The algorithm is cublasLt's first proposal without a split sum, or what Tuning keeps. Bias and ReLU are the
// product's own epilogue where cublasLt has one for the shape; else, and for ReLU6, a kernel comes after it.
// Scratch stays within the workspace limit; a gathered matrix must do so, too.
OpResult MakeGemm(const Device& device, const GemmLayer& spec);

}  // namespace couplet::cuda
