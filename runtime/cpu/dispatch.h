// Which of a kernel's instruction sets runs. Highway's own HWY_DYNAMIC_DISPATCH would do, but lives in a library that, being
// loaded, measures how fine the clock is (libhwy 1.0.3, TimerResolution): 3.5 ms, a quarter of what label_image takes from start
// to exit. So only Highway's headers are used. SPDX-License-Identifier: Apache-2.0
#pragma once

namespace couplet::cpu {

// Ascending. kBaseline: what every processor of the architecture has; on arm64 that is NEON, and there is nothing beyond.
enum class Simd { kBaseline, kAvx2, kAvx512 };
const char* Name(Simd simd);
// The best that the processor has and LimitSimd allows.
Simd BestSimd();
// For tests, and for counting instructions: nothing beyond `most` from now on. Not while kernels run.
void LimitSimd(Simd most);
// For what processors of equal instructions do differently. It may change no result.
bool MadeByIntel();

// The best of those that were compiled; null is one that was not.
template <class Function>
Function Choose(Function baseline, Function avx2, Function avx512) {
  const Simd best = BestSimd();
  if (best >= Simd::kAvx512 && avx512 != nullptr) return avx512;
  if (best >= Simd::kAvx2 && avx2 != nullptr) return avx2;
  return baseline;
}

}  // namespace couplet::cpu

// After Highway's headers, in the part of a file that is compiled once: COUPLET_DISPATCH(Kernel)(arguments).
#define COUPLET_DISPATCH(KERNEL)                                                          \
  couplet::cpu::Choose<decltype(&HWY_STATIC_DISPATCH(KERNEL))>(&HWY_STATIC_DISPATCH(KERNEL), \
                                                               HWY_CHOOSE_AVX2(KERNEL), HWY_CHOOSE_AVX3(KERNEL))
