// Convolutions of stride 1 whose window is a line of 3, 5 or 7 taps, 1x7 or 7x1, by Winograd's F(2, 3) along it (winograd_kernel.h):
// two results of three taps take 4 products in place of 6, of five 7 in place of 10, of seven 10 in place of 14.
// docs/measured/cpu.md has what it brings, and its error.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "runtime/backend.h"
#include "runtime/cpu/convolution.h"
#include "runtime/cpu/gemm_kernel.h"

namespace couplet::cpu::own {

// By the layer's shape alone, so that every machine computes it in the same way.
bool FitsWinogradLines(const Convolution& convolution);
std::unique_ptr<PreparedOp> MakeWinogradLines(const Convolution& convolution, int threads);

}  // namespace couplet::cpu::own
