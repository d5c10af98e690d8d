// 3x3 and 5x5 convolutions of stride 1 by Winograd's F(2x2, 3x3) (winograd_kernel.h): 2.25 and 2.04 times fewer products than
// gemm_kernel.h alone takes. docs/measured/cpu.md has what it brings, and its error.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "runtime/backend.h"
#include "runtime/cpu/convolution.h"
#include "runtime/cpu/gemm_kernel.h"

namespace couplet::cpu::own {

// By the layer's shape alone, so that every machine computes it in the same way.
bool FitsWinograd(const Convolution& convolution);
std::unique_ptr<PreparedOp> MakeWinograd(const Convolution& convolution, int threads);

}  // namespace couplet::cpu::own
