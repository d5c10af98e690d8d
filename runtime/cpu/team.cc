// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/team.h"

#include <system_error>

namespace couplet::cpu {
namespace {

// Some tens of microseconds: longer than the gap between two layers, shorter than anybody minds.
constexpr int kSpins = 2000;
constexpr uint32_t kClosed = uint32_t{1} << 31;

inline void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

// Until `value` is no longer `old`.
template <class T>
void WaitWhile(const std::atomic<T>& value, T old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    Pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

Team::Team(int lanes) : inside_(kClosed) {
  try {
    for (int lane = 1; lane < lanes; ++lane) helpers_.emplace_back([this, lane] { Help(lane); });
  } catch (const std::system_error&) {
    // Those that were started do.
  }
}

Team::~Team() {
  stop_.store(true, std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void Team::Work(int lane) {
  for (int index; (index = next_.fetch_add(1, std::memory_order_relaxed)) < job_.count;)
    job_.call(job_.body, lane, index);
}

bool Team::Enter() {
  uint32_t inside = inside_.load(std::memory_order_relaxed);
  do {
    if ((inside & kClosed) != 0) return false;
  } while (!inside_.compare_exchange_weak(inside, inside + 1, std::memory_order_acquire, std::memory_order_relaxed));
  return true;
}

void Team::Leave() {
  if (inside_.fetch_sub(1, std::memory_order_acq_rel) == (kClosed | 1)) inside_.notify_one();
}

void Team::Help(int lane) {
  for (uint32_t seen = 0;;) {
    WaitWhile(round_, seen);
    seen = round_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    if (!Enter()) continue;  // too late
    Work(lane);
    Leave();
  }
}

void Team::Share(const Job& job) {
  job_ = job;
  next_.store(0, std::memory_order_relaxed);
  if (!helpers_.empty()) {
    inside_.store(0, std::memory_order_release);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
  }
  Work(0);
  for (uint32_t inside = inside_.fetch_or(kClosed, std::memory_order_acq_rel) | kClosed; inside != kClosed;
       inside = inside_.load(std::memory_order_acquire))
    WaitWhile(inside_, inside);
}

}  // namespace couplet::cpu
