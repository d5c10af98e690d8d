// The only inline PTX: each instruction as a function, with a twin beside it for the tests' harness. For .cuh
// only. C++14. Fragments (g = lane / 4, t = lane % 4), from the PTX ISA, "Matrix fragments for mma.m16n8k16"
// and "mma.m16n8k8":
//   d[0..1] row g, columns 2t and 2t + 1; d[2..3] row g + 8, the same columns
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/device.h"

namespace couplet {

#if defined(COUPLET_SIMT)

__device__ inline void MmaHalf(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2],
                               const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  simt::MmaHalf16x8x16({"mma.m16n8k16", file, line}, d, a, b);
}
__device__ inline void MmaTf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2],
                               const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  simt::MmaTf32_16x8x8({"mma.m16n8k8", file, line}, d, a, b);
}

#else

// d += a * b over 16 rows, 8 columns, 16 terms; halves in, float sums. a: pairs of halves at (row g, terms
// 2t, 2t + 1), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8); b: at (terms 2t, 2t + 1, column g), (2t + 8, 2t +
// 9, g). The first half of a pair in the low bits. All lanes together. Before sm_80 two instructions of 8
// terms; traps before sm_75.
__device__ inline void MmaHalf(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif __CUDA_ARCH__ >= 750
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(b[0]));
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[2]), "r"(a[3]), "r"(b[1]));
#else
  (void)d, (void)a, (void)b;
  asm volatile("trap;");
#endif
}

// d += a * b over 16 rows, 8 columns, 8 terms; a and b as ToTf32 gives them. a: (row g, term t), (g + 8, t),
// (g, t + 4), (g + 8, t + 4); b: (term t, column g), (t + 4, g). All lanes together. sm_80 and newer; traps
// before.
__device__ inline void MmaTf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  (void)d, (void)a, (void)b;
  asm volatile("trap;");
#endif
}

#endif

// The larger and the smaller of two; NaN where x is NaN; of zeros of two signs MaxOrNan gives the positive one. One
// instruction from sm_80 on, where a comparison and a choice would be two.
#if !defined(COUPLET_SIMT) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
__device__ inline float MaxOrNan(float x, float low) {
  float result;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(x), "f"(low));
  return result;
}
__device__ inline float MinOrNan(float x, float high) {
  float result;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(x), "f"(high));
  return result;
}
#else
__device__ inline float MaxOrNan(float x, float low) {
  return x <= low ? low : x;
}
__device__ inline float MinOrNan(float x, float high) {
  return x > high ? high : x;
}
#endif

// x with 10 bits of mantissa, to nearest, ties away from zero (what cvt.rna.tf32 does); by bits, so that host
// and device have it alike. NaN and infinity stay what they are.
__host__ __device__ inline unsigned Tf32Bits(unsigned x) {
  return (x & 0x7f800000u) == 0x7f800000u ? x : (x + 0x1000u) & 0xffffe000u;
}
__device__ inline unsigned ToTf32(float x) {
  return Tf32Bits(__float_as_uint(x));
}

}  // namespace couplet
