// The layers that are a kernel of our own. Their numbers depend on nothing but the photo.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "runtime/cuda/op.h"

namespace couplet::cuda {

// `src`, `dst`: shapes of one photo. `stride`: channels a pixel of the value that dst is a slice of; 0:
// dense.
// clip_src: the source counts as min(source, 6).
struct Place {
  std::string layer;
  Shape src, dst;
  int stride = 0;
};

// weights [3, 3, 3, oc] with batch norm folded in, bias [oc] or empty.
OpResult MakeFirstConv(const Device& device, const Place& place, const Pads& pads,
                       std::span<const float> weights, std::span<const float> bias, Activation activation);
// As DepthwiseAttrs, with weights [kh, kw, oc].
OpResult MakeDepthwise(const Device& device, const Place& place, const DepthwiseAttrs& attrs,
                       std::span<const float> weights, bool clip_src);
OpResult MakePool(const Device& device, const Place& place, const PoolAttrs& attrs);
OpResult MakeGlobalAverage(const Device& device, const Place& place, bool clip_src);
// activation(src * scale + offset); either may be empty.
OpResult MakeAffine(const Device& device, const Place& place, std::span<const float> scale,
                    std::span<const float> offset, Activation activation);
OpResult MakePad(const Device& device, const Place& place, const Pads& pads);
OpResult MakeSoftmax(const Device& device, const Place& place);
// Copies the sources of these channels that do not lie in their place already.
OpResult MakeConcat(const Device& device, const Place& place, std::vector<int> channels);

}  // namespace couplet::cuda
