// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/dispatch.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <atomic>

namespace couplet::cpu {
namespace {

#if defined(__x86_64__) || defined(__i386__)
// clang 14's __builtin_cpu_supports knows neither.
bool HasF16cAndLzcnt() {
  constexpr unsigned kF16c = 1u << 29, kLzcnt = 1u << 5;
  unsigned a = 0, b = 0, basic = 0, extended = 0, d = 0;
  return __get_cpuid(1, &a, &b, &basic, &d) != 0 && (basic & kF16c) != 0 && __get_cpuid(0x80000001, &a, &b, &extended, &d) != 0 &&
         (extended & kLzcnt) != 0;
}
#endif

// What Highway compiles its targets of these names for.
Simd Detect() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_cpu_init();
  const auto all = [](auto... has) { return (has && ...); };
  if (!all(__builtin_cpu_supports("avx2"), __builtin_cpu_supports("fma"), __builtin_cpu_supports("bmi"), __builtin_cpu_supports("bmi2"),
           HasF16cAndLzcnt()))
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

bool MadeByIntel() {
#if defined(__x86_64__) || defined(__i386__)
  static const bool intel = (__builtin_cpu_init(), __builtin_cpu_is("intel"));
  return intel;
#else
  return false;
#endif
}

}  // namespace couplet::cpu
