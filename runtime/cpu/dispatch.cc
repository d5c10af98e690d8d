// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/dispatch.h"

#include <algorithm>
#include <atomic>

namespace couplet::cpu {
namespace {

// What Highway compiles its targets of these names for.
Simd Detect() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_cpu_init();
  const auto all = [](auto... has) { return (has && ...); };
  if (!all(__builtin_cpu_supports("avx2"), __builtin_cpu_supports("fma"), __builtin_cpu_supports("bmi"), __builtin_cpu_supports("bmi2"),
           __builtin_cpu_supports("f16c"), __builtin_cpu_supports("lzcnt")))
    return Simd::kBaseline;
  if (!all(__builtin_cpu_supports("avx512f"), __builtin_cpu_supports("avx512vl"), __builtin_cpu_supports("avx512dq"),
           __builtin_cpu_supports("avx512bw"), __builtin_cpu_supports("avx512cd")))
    return Simd::kAvx2;
  return Simd::kAvx512;
#else
  return Simd::kBaseline;
#endif
}

std::atomic<Simd>& Best() {
  static std::atomic<Simd> best(Detect());
  return best;
}

}  // namespace

const char* Name(Simd simd) {
  switch (simd) {
    case Simd::kBaseline: return "baseline";
    case Simd::kAvx2: return "AVX2";
    case Simd::kAvx512: return "AVX-512";
  }
  return "";
}

Simd BestSimd() { return Best().load(std::memory_order_relaxed); }
void LimitSimd(Simd most) { Best().store(std::min(most, Detect()), std::memory_order_relaxed); }

}  // namespace couplet::cpu
