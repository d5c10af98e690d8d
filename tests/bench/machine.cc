// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/machine.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/bench/machine.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace couplet::bench {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Twelve chains hide the latency of two FMA units. Returns the FLOPs done; `sink` keeps the work alive.
double FmaLoop(size_t iterations, float* sink) {
  const hn::ScalableTag<float> d;
  const auto a = hn::Set(d, 0.999f), b = hn::Set(d, 0.001f);
  auto x0 = hn::Set(d, *sink), x1 = x0, x2 = x0, x3 = x0, x4 = x0, x5 = x0, x6 = x0, x7 = x0, x8 = x0, x9 = x0,
       x10 = x0, x11 = x0;
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
}  // namespace couplet::bench
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace couplet::bench {
HWY_EXPORT(FmaLoop);

namespace {
using Clock = std::chrono::steady_clock;

// Sum over threads of what `work` returns a call, a second, for about `seconds`.
template <class Work>
double Rate(int threads, double seconds, Work work) {
  std::vector<double> rates(static_cast<size_t>(threads));
  std::vector<std::jthread> pool;
  for (double& rate : rates)
    pool.emplace_back([&rate, seconds, work]() mutable {
      double done = 0;
      const auto start = Clock::now();
      double elapsed = 0;
      while (elapsed < seconds) {
        done += work();
        elapsed = std::chrono::duration<double>(Clock::now() - start).count();
      }
      rate = done / elapsed;
    });
  pool.clear();
  double sum = 0;
  for (double rate : rates) sum += rate;
  return sum;
}
}  // namespace

double MeasureFmaPeak(int threads, double seconds) {
  return Rate(threads, seconds, [sink = 0.5f]() mutable { return HWY_DYNAMIC_DISPATCH(FmaLoop)(100'000, &sink); });
}

double MeasureCopyRate(int threads, double seconds) {
  constexpr size_t kBytes = size_t{64} << 20;
  return Rate(threads, seconds, [from = std::vector<char>(kBytes, 1), to = std::vector<char>(kBytes, 2)]() mutable {
    std::memcpy(to.data(), from.data(), kBytes);
    std::swap(from[0], to[1]);
    return static_cast<double>(kBytes);
  });
}

}  // namespace couplet::bench
#endif
