// Dense convolutions that have a window: which of the two ways a layer is done.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/cuda/conv_cudnn.h"

namespace couplet::cuda {

// cuDNN, or in fp32, where a race chose it (one that Tuning keeps or, when tuning, one that is run here), one product
// (MakeGemm) over gathered windows, a part of the group at a time: as many photos, a power of two, as the workspace limit
// has room for. The gathering has run on a GPU, its product has not.
OpResult MakeConv(const Device& device, const ConvLayer& spec);

}  // namespace couplet::cuda
