// Which implementation serves which layer on the device.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "runtime/cuda/op.h"

namespace couplet::cuda {

// REQUIRES: CheckLayer passed. The error names the layer.
OpResult PrepareLayer(const Device& device, const Layer& layer, std::span<const Shape> src,
                      const PrepareOptions& options);

// A convolution that looks at one pixel at a time.
bool IsProduct(const ConvAttrs& a);
// One that kernels/first_conv.h does.
bool IsFirstConv(const ConvAttrs& a, int oc);

// See Backend::writes_slice.
bool WritesSlice(const Device& device, const Layer& layer, int at, int stride);

// See Backend::leaves_clip and takes_clip: a product's epilogue knows ReLU alone, and what reads it in
// MobileNet clips for nothing.
bool LeavesClip(const Layer& layer);
bool TakesClip(const Layer& layer, const Shape& src);

}  // namespace couplet::cuda
