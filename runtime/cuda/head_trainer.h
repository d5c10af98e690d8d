// The last layer on a GPU: vectors, labels and parameters stay there; matrix products by cuBLAS in plain
// float32 (no TF32), everything else by our own kernels. Small layers take each step in one kernel
// (kernels/head_steps.h).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "runtime/cuda/device.h"
#include "runtime/head_trainer.h"

namespace couplet::cuda {

// On the calling thread's current device, with a stream of its own; each call is over when it returns. One
// thread at a time. The same bits every time on one kind of device with the same libraries. REQUIRES:
// features, classes, heads >= 1.
// Its memory counts towards the limit of `memory`, which outlives it.
Result<std::unique_ptr<HeadTrainer>> MakeCudaHeadTrainer(const Device& memory, const HeadShape& shape);

}  // namespace couplet::cuda
