// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/fma_peak.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/cpu/fma_peak.cc"
#include "runtime/cpu/kernel_targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace couplet::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Twelve chains hide the latency of two FMA units. They start apart: of equal chains the compiler makes one, and counts
// twelve. Returns the FLOPs done; `sink` keeps the work alive.
double FmaLoop(size_t iterations, float* sink) {
  const hn::ScalableTag<float> d;
  const auto a = hn::Set(d, 0.999f), b = hn::Set(d, 0.001f);
  const auto start = [&](float chain) { return hn::Set(d, *sink + chain); };
  auto x0 = start(0), x1 = start(1), x2 = start(2), x3 = start(3), x4 = start(4), x5 = start(5), x6 = start(6), x7 = start(7),
       x8 = start(8), x9 = start(9), x10 = start(10), x11 = start(11);
  for (size_t i = 0; i < iterations; ++i) {
    x0 = hn::MulAdd(x0, a, b);
    x1 = hn::MulAdd(x1, a, b);
    x2 = hn::MulAdd(x2, a, b);
    x3 = hn::MulAdd(x3, a, b);
    x4 = hn::MulAdd(x4, a, b);
    x5 = hn::MulAdd(x5, a, b);
    x6 = hn::MulAdd(x6, a, b);
    x7 = hn::MulAdd(x7, a, b);
    x8 = hn::MulAdd(x8, a, b);
    x9 = hn::MulAdd(x9, a, b);
    x10 = hn::MulAdd(x10, a, b);
    x11 = hn::MulAdd(x11, a, b);
  }
  const auto sum = hn::Add(hn::Add(hn::Add(x0, x1), hn::Add(x2, x3)),
                           hn::Add(hn::Add(hn::Add(x4, x5), hn::Add(x6, x7)), hn::Add(hn::Add(x8, x9), hn::Add(x10, x11))));
  *sink = hn::GetLane(sum);
  return 2.0 * 12.0 * static_cast<double>(hn::Lanes(d)) * static_cast<double>(iterations);
}

}  // namespace HWY_NAMESPACE
}  // namespace couplet::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "runtime/cpu/dispatch.h"

namespace couplet::cpu {

double BestFmaPeak(double seconds) {
  constexpr double kSlice = 0.002;
  double best = 0;
  const int slices = static_cast<int>(std::ceil(seconds / kSlice));
  for (int i = 0; i < slices; ++i) best = std::max(best, MeasureFmaPeak(1, kSlice));
  return best;
}

double MeasureFmaPeak(int threads, double seconds) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> rates(static_cast<size_t>(threads));
  const auto measure = [seconds](double* rate) {
    float sink = 0.5f;
    double done = 0, elapsed = 0;
    const auto start = Clock::now();
    while (elapsed < seconds) {
      done += COUPLET_DISPATCH(FmaLoop)(100'000, &sink);
      elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    }
    *rate = done / elapsed;
  };
  {
    std::vector<std::jthread> others;
    for (size_t i = 1; i < rates.size(); ++i) others.emplace_back(measure, &rates[i]);
    measure(&rates[0]);
  }
  double sum = 0;
  for (const double rate : rates) sum += rate;
  return sum;
}

}  // namespace couplet::cpu
#endif
