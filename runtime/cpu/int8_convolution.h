// Convolutions with --precision=int8 (int8_kernel.h): weights are bytes by a step of their own for every channel, a photo's values by
// one that is taken from these values as they come. So there is nothing to calibrate, and a photo's result depends on no other photo.
// What comes out are floats again. docs/measured/cpu.md has what it brings, and its error.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "runtime/backend.h"
#include "runtime/cpu/convolution.h"
#include "runtime/cpu/window3x3.h"

namespace couplet::cpu::own {

// By the layer's shape alone, so that every machine computes it in the same way. What does not fit is computed in floats: depthwise
// layers, and the first one, which sees three channels.
bool FitsInt8(const Convolution& convolution);
// `before`: the depthwise layer that it reads, in one op with it, to the bits of both apart; null where it reads a value that is there.
// REQUIRES: IsPointwise(convolution), or no layer before
std::unique_ptr<PreparedOp> MakeInt8Convolution(const Convolution& convolution, std::unique_ptr<Window3x3> before, int threads);

}  // namespace couplet::cpu::own
