// Convolutions and pools by kernels of our own (gemm_kernel.h, window_kernels.h), beside oneDNN's. A result is computed
// in the same way whoever computes it and with whatever others, so its bits know neither batch nor threads.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "runtime/backend.h"
#include "runtime/cpu/convolution.h"

namespace couplet::cpu::own {

// `threads`: that a run may use. `precision`: kFp32 or kInt8
std::unique_ptr<PreparedOp> MakeConvolution(const Convolution& convolution, Precision precision, int threads);
// With kInt8: both as one, to the same bits; null where they are no pair for that.
std::unique_ptr<PreparedOp> MakeInt8Pair(const Convolution& first, const Convolution& second, int threads);
// `src`, `dst`: of one photo. `dst_stride`: as Convolution::dst_stride.
std::unique_ptr<PreparedOp> MakePool(const Shape& src, const Shape& dst, const PoolAttrs& attrs, int dst_stride);
// What the kernels run on: "AVX2"
std::string InstructionSet();

}  // namespace couplet::cpu::own
