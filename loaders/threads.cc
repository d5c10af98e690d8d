// SPDX-License-Identifier: Apache-2.0
#include "loaders/threads.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

namespace couplet {
namespace {

// Two numbers at the head of a file of the kernel's, false where there are none ("max" is none).
bool ReadNumbers(const char* path, int wanted, double* numbers) {
  std::FILE* file = std::fopen(path, "re");
  if (file == nullptr) return false;
  char line[64];
  const bool read = std::fgets(line, sizeof line, file) != nullptr;
  std::fclose(file);
  const char* at = line;
  for (int i = 0; read && i < wanted; ++i) {
    char* end = nullptr;
    numbers[i] = std::strtod(at, &end);
    if (end == at) return false;
    at = end;
  }
  return read;
}

// CPUs that the cgroup's quota pays for, 0 where there is no quota. Inside a container its own group is the root.
double QuotaCpus() {
  double v[2];
  if (ReadNumbers("/sys/fs/cgroup/cpu.max", 2, v) && v[1] > 0) return v[0] / v[1];
  double quota, period;
  if (ReadNumbers("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", 1, &quota) && quota > 0 &&
      ReadNumbers("/sys/fs/cgroup/cpu/cpu.cfs_period_us", 1, &period) && period > 0)
    return quota / period;
  return 0;
}

}  // namespace

int UsableThreads() {
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) threads = CPU_COUNT(&set);
  if (const double quota = QuotaCpus(); quota > 0) threads = std::min(threads, static_cast<int>(std::ceil(quota)));
  return std::max(threads, 1);
}

}  // namespace couplet
