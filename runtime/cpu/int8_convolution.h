// Convolutions with --precision=int8 (int8_kernel.h): weights are bytes by a step of their own for every channel, a photo's values by
// one that is taken from these values as they come. So there is nothing to calibrate, and a photo's result depends on no other photo.
// What comes out are floats again. docs/measured/cpu.md has what it brings, and its error.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "runtime/backend.h"
#include "runtime/cpu/convolution.h"
#include "runtime/cpu/gemm_kernel.h"

namespace couplet::cpu::own {

// By the layer's shape alone, so that every machine computes it in the same way. What does not fit is computed in floats: depthwise
// layers, and the first one, which sees three channels.
bool FitsInt8(const Convolution& convolution);
// `bias`: [dst.c]
std::unique_ptr<PreparedOp> MakeInt8Convolution(const Convolution& convolution, std::vector<float> bias, const Clamp& clamp, int threads);

}  // namespace couplet::cpu::own
