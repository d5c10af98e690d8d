// The instruction sets that kernels are compiled for, those of dispatch.h: to be included before Highway.
// SPDX-License-Identifier: Apache-2.0
#pragma once

// Accumulators are arrays of vectors, which vectors without a fixed size cannot be. Between SSE2 and AVX2 there is no
// fused multiply-add either, and what AVX3_DL and later add is of no use to floats.
#define HWY_DISABLED_TARGETS \
  (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV | HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | COUPLET_LEFT_OUT)
// What threads share is the same whatever the vectors' width, and instrumenting the widest takes as long as all the rest.
#if defined(__SANITIZE_THREAD__)
#define COUPLET_LEFT_OUT HWY_AVX3
#else
#define COUPLET_LEFT_OUT 0
#endif

// Whether the instruction set that is being compiled for has 32 vector registers, not 16.
#define COUPLET_MANY_REGISTERS (HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64)
