// Dense convolutions that have a window: which of the two ways a layer is done.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/cuda/conv_cudnn.h"

namespace couplet::cuda {

// In fp32 one product (MakeGemm) over gathered windows, a part of the group at a time: as many photos, a power of two, as
// the workspace limit has room for. cuDNN where not one photo's windows fit, where tensor cores do the sums (TF32, fp16),
// and where a race chose it: one that Tuning keeps or, when tuning, one that is run here.
OpResult MakeConv(const Device& device, const ConvLayer& spec);

}  // namespace couplet::cuda
