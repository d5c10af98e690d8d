// The last layer's two matrix products where lanes are classes (head_layout.h). A logit is summed as a convolution's result is
// (gemm_kernel.h), a gradient in one chain over the batch: neither depends on the vectors' width.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/cpu/head_kernels.h"

namespace couplet::head {

// As Forward and Update. REQUIRES: layout.by_panels().
void ForwardPanels(const Layout& layout, const Batch& batch, const float* weights, const float* biases, float* logits, cpu::Team& team);
bool UpdatePanels(const Layout& layout, const Batch& batch, const float* slopes, float learning_rate, const float* src, float* dst,
                  cpu::Team& team);

}  // namespace couplet::head
