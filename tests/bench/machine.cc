// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/machine.h"

#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

namespace couplet::bench {
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

double MeasureCopyRate(int threads, double seconds) {
  constexpr size_t kBytes = size_t{64} << 20;
  return Rate(threads, seconds, [from = std::vector<char>(kBytes, 1), to = std::vector<char>(kBytes, 2)]() mutable {
    std::memcpy(to.data(), from.data(), kBytes);
    std::swap(from[0], to[1]);
    return static_cast<double>(kBytes);
  });
}

}  // namespace couplet::bench
