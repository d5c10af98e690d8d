// Two layers in one kernel: MobileNet's depthwise and 1x1 convolution, and photos with the first convolution.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "runtime/cuda/op.h"

namespace couplet::cuda {

struct PairedLayer {
  const Layer& layer;
  const PrepareOptions& options;
};

// Null unless there is such a kernel and a race chose it: one that Tuning keeps or, when tuning, one that is run here,
// against the two layers as they are prepared apart. REQUIRES: CheckLayer passed for both.
OpResult PreparePair(const Device& device, const PairedLayer& first, const PairedLayer& second,
                     std::span<const Shape> src);

}  // namespace couplet::cuda
