// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <string>
#include <system_error>
#include <thread>
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

// body(i) for every i < count, on at most `threads` threads, of which the caller is one; returns when all are done. Must not throw.
template <class Body>
void ForEachIndex(size_t count, int threads, const Body& body) {
  std::atomic<size_t> next{0};
  const auto work = [&](int /*thread*/) {
    for (size_t i; (i = next++) < count;) body(i);
  };
  std::vector<std::jthread> others;
  const int wanted = static_cast<int>(std::min(static_cast<size_t>(threads), count)) - 1;
  if (wanted > 0) static_cast<void>(StartThreads(wanted, work, &others));  // without them the caller does it all
  work(0);
}

// As that, share(begin, end) for consecutive shares of [0, count), `least` or more each.
template <class Share>
void ShareOut(size_t count, size_t least, int threads, const Share& share) {
  const size_t shares = std::max<size_t>(1, std::min(static_cast<size_t>(threads), count / least));
  ForEachIndex(shares, threads, [&](size_t i) { share(count * i / shares, count * (i + 1) / shares); });
}

}  // namespace couplet
