// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <system_error>
#include <vector>

#include "runtime/status.h"

namespace couplet {

// How many threads this process may use: its CPU affinity, held down by a cgroup's CPU quota (containers). >= 1
int UsableThreads();

// What --threads asks for: 0 is all of them.
inline int ThreadsAskedFor(int threads) { return threads > 0 ? threads : UsableThreads(); }

// Puts `count` threads that do work(i) into *threads, which holds none; fewer where the system has no more. The error: not one.
template <class Thread, class Work>
Status StartThreads(int count, const Work& work, std::vector<Thread>* threads) {
  threads->reserve(static_cast<size_t>(count));
  try {
    for (int i = 0; i < count; ++i) threads->emplace_back(work, i);
  } catch (const std::system_error& error) {
    if (threads->empty()) return DeviceError(std::string("cannot start a thread: ") + error.what());
  }
  return {};
}

}  // namespace couplet
