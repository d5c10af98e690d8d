// Compiled without ThreadSanitizer, which is told of every fiber and every barrier instead (COUPLET_TSAN):
// what it watches are the bodies. Hence plain arrays, and no standard library where fibers run: its templates
// may be shared with instrumented code.
// SPDX-License-Identifier: Apache-2.0
#include "tests/support/simt/machine.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <mutex>

#include "tests/support/simt/control.h"
#include "tests/support/simt/fiber.h"
#include "tests/support/simt/simt.h"

#if defined(COUPLET_TSAN)
extern "C" {
void* __tsan_get_current_fiber(void);
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#else
namespace {
// Without ThreadSanitizer nobody listens.
void* __tsan_get_current_fiber() {
  return nullptr;
}
void* __tsan_create_fiber(unsigned) {
  return nullptr;
}
void __tsan_destroy_fiber(void*) {}
void __tsan_switch_to_fiber(void*, unsigned) {}
void __tsan_acquire(void*) {}
void __tsan_release(void*) {}
}  // namespace
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace couplet::simt {
namespace {

constexpr unsigned kNoSync = 1;  // a switch of fibers that orders nothing
constexpr int kTags = 1024;
#if defined(COUPLET_TSAN)
constexpr bool kOwnStacks = true;  // a stack that two threads use one after the other would look like a race
#else
constexpr bool kOwnStacks = false;
#endif
constexpr int kMaxFibers = kMaxThreads * (kOwnStacks ? 2 : 1);

enum class State : unsigned char { kNew, kReady, kAtBarrier, kAtWarp, kExited };

struct Thread {
  State state;
  int fiber;
  bool predicate;
  Place place;
  unsigned mask;
  void* operands;
};

struct Machine {
  std::mutex busy;  // one launch at a time: bodies see global threadIdx
  Schedule schedule;
  LaunchQueue queue;
  Counts counts;

  // The launch that runs.
  const std::function<void()>* body = nullptr;
  int n = 0;  // threads of a block
  uint64_t random = 0;

  // The block that runs.
  Thread threads[kMaxThreads];
  short order[kMaxThreads];
  int position = 0;  // in order
  int current = -1;
  int exited = 0, at_barrier = 0;
  int barrier_count = 0;  // result of the last barrier

  Fiber main;
  Fiber fibers[kMaxFibers];
  short idle[kMaxThreads];  // fibers that no thread is on
  int idle_count = 0;
  int prepared = 0;  // fibers that have a stack
  bool failed = false;
  char message[1024];

  void* tsan_main = nullptr;
  void* tsan[kMaxFibers] = {};
  // Addresses that stand for an order. Blocks have none among themselves, so each has tags of its own (until
  // they are used again), and a race between two blocks shows.
  char begin_tag, end_tag, block_tag[kTags], warp_tag[kTags][kWarp];
};

Machine& machine() {
  static Machine instance;
  return instance;
}

uint32_t Random(Machine& m) {
  m.random = m.random * 6364136223846793005u + 1442695040888963407u;
  return static_cast<uint32_t>(m.random >> 33);
}

void Permute(Machine& m) {
  for (int i = m.n - 1; i > 0; --i) {
    const int j = static_cast<int>(Random(m) % static_cast<uint32_t>(i + 1));
    const short kept = m.order[i];
    m.order[i] = m.order[j];
    m.order[j] = kept;
  }
}

// The next thread of this round that can run, else of a new round; -1 if none can.
int NextThread(Machine& m) {
  for (int round = 0; round < 2; ++round) {
    for (; m.position < m.n; ++m.position) {
      const int t = m.order[m.position];
      if (m.threads[t].state <= State::kReady) return t;
    }
    m.position = 0;
    if (m.schedule.order == Schedule::Order::kShuffled) Permute(m);
  }
  return -1;
}

// ThreadSanitizer's fiber of thread t (and its own stack's number): blocks take turns between two sets, so
// that thread 0 of one block is not thread 0 of the next.
int OwnFiber(const Machine& m, int t) {
  return 2 * t + static_cast<int>(m.counts.blocks % 2);
}
void SwitchTsanTo(Machine& m, int t) {
  if (kOwnStacks) __tsan_switch_to_fiber(m.tsan[OwnFiber(m, t)], kNoSync);
}

// What thread t did happened before whatever follows an acquire of the tag.
void ReleaseAs(Machine& m, int t, void* tag) {
  SwitchTsanTo(m, t);
  __tsan_release(tag);
}
[[maybe_unused]] void AcquireAs(Machine& m, int t, void* tag) {
  SwitchTsanTo(m, t);
  __tsan_acquire(tag);
}

void FiberMain();

// Lets the next thread run, on a fiber of its own unless `mine` (-1: main) is free to take it. Returns when
// it is `mine`'s turn again: the turn of the thread that waits on it, or of a new one.
void Dispatch(Machine& m, int mine, bool mine_is_free) {
  const int t = NextThread(m);
  int to = -1;
  if (t >= 0) {
    Thread& thread = m.threads[t];
    if (thread.state == State::kNew) {
      if (kOwnStacks) {
        thread.fiber = OwnFiber(m, t);
      } else if (mine_is_free) {
        thread.fiber = mine;
      } else {
        if (m.idle_count == 0) std::abort();  // there are as many fibers as threads
        thread.fiber = m.idle[--m.idle_count];
      }
    }
    to = thread.fiber;
    m.current = t;
    const unsigned u = static_cast<unsigned>(t);
    threadIdx.x = u % blockDim.x;
    threadIdx.y = u / blockDim.x % blockDim.y;
    threadIdx.z = u / blockDim.x / blockDim.y;
    SwitchTsanTo(m, t);
  } else {
    m.current = -1;
    __tsan_switch_to_fiber(m.tsan_main, kNoSync);
  }
  if (to == mine) return;
  if (mine_is_free && !kOwnStacks) m.idle[m.idle_count++] = static_cast<short>(mine);
  ++m.counts.switches;
  (mine < 0 ? m.main : m.fibers[mine]).SwitchTo(to < 0 ? m.main : m.fibers[to]);
}

void FiberMain() {
  Fiber::Arrived();
  Machine& m = machine();
  for (;;) {
    Thread& thread = m.threads[m.current];
    const int fiber = thread.fiber;
    thread.state = State::kReady;
    __tsan_acquire(&m.begin_tag);
    bool threw = false;
    try {
      (*m.body)();
    } catch (...) {
      threw = true;
    }
    if (threw) Fail("an exception left a kernel's body");
    __tsan_release(&m.end_tag);
    m.threads[m.current].state = State::kExited;
    ++m.exited;
    ++m.position;
    Dispatch(m, fiber, true);
  }
}

// The running thread waits; returns once somebody has made it ready and its turn comes.
void Wait(Machine& m) {
  const int fiber = m.threads[m.current].fiber;
  ++m.position;
  Dispatch(m, fiber, false);
}

// Names a place as messages do.
const char* Basename(const char* file) {
  const char* slash = std::strrchr(file, '/');
  return slash != nullptr ? slash + 1 : file;
}

// All threads that have not ended wait, and nobody can release them: says why.
void DescribeStall(Machine& m) {
  int first = -1, warp = -1;
  for (int t = 0; t < m.n; ++t) {
    if (m.threads[t].state == State::kAtBarrier && first < 0) first = t;
    if (m.threads[t].state == State::kAtWarp && warp < 0) warp = t;
  }
  if (first >= 0) {
    const Place& at = m.threads[first].place;
    int same = 0;
    const Place* other = nullptr;
    for (int t = 0; t < m.n; ++t) {
      if (m.threads[t].state != State::kAtBarrier) continue;
      if (m.threads[t].place == at) {
        ++same;
      } else {
        other = &m.threads[t].place;
      }
    }
    if (other != nullptr) {
      std::snprintf(
          m.message, sizeof m.message,
          "threads of a block wait at two barriers: %d at %s, %s:%d, %d at others, one of them %s, %s:%d",
          same, at.what, Basename(at.file), at.line, m.at_barrier - same, other->what, Basename(other->file),
          other->line);
    } else if (warp >= 0) {
      const Place& w = m.threads[warp].place;
      std::snprintf(m.message, sizeof m.message,
                    "deadlock: %d threads wait at %s, %s:%d, and thread %d at %s, %s:%d (mask 0x%08x)", same,
                    at.what, Basename(at.file), at.line, warp, w.what, Basename(w.file), w.line,
                    m.threads[warp].mask);
    } else {
      std::snprintf(m.message, sizeof m.message, "%s at line %d of %s but %d thread(s) already exited",
                    at.what, at.line, Basename(at.file), m.exited);
    }
    return;
  }
  // Warp operations only.
  const Thread& waiting = m.threads[warp];
  const int base = warp / kWarp * kWarp;
  for (int lane = 0; lane < kWarp; ++lane) {
    if ((waiting.mask >> lane & 1) == 0 || base + lane == warp) continue;
    const Thread& mate = m.threads[base + lane];
    if (mate.state == State::kExited) {
      std::snprintf(m.message, sizeof m.message,
                    "%s at %s:%d names lane %d in its mask 0x%08x, which has exited", waiting.place.what,
                    Basename(waiting.place.file), waiting.place.line, lane, waiting.mask);
      return;
    }
    if (!(mate.place == waiting.place) || mate.mask != waiting.mask) {
      std::snprintf(m.message, sizeof m.message,
                    "deadlock in a warp: thread %d waits at %s, %s:%d (mask 0x%08x), thread %d at %s, %s:%d "
                    "(mask 0x%08x)",
                    warp, waiting.place.what, Basename(waiting.place.file), waiting.place.line, waiting.mask,
                    base + lane, mate.place.what, Basename(mate.place.file), mate.place.line, mate.mask);
      return;
    }
  }
  std::snprintf(m.message, sizeof m.message, "deadlock in a warp at %s, %s:%d", waiting.place.what,
                Basename(waiting.place.file), waiting.place.line);
}

// Every stack is forgotten, and so are ThreadSanitizer's fibers, which know call stacks that will never be
// left.
void ForgetFibers(Machine& m) {
  m.idle_count = m.prepared = 0;
  for (void*& fiber : m.tsan) {
    if (fiber != nullptr) __tsan_destroy_fiber(fiber);
    fiber = nullptr;
  }
}

void PrepareFibers(Machine& m) {
  for (; m.prepared < m.n * (kOwnStacks ? 2 : 1); ++m.prepared) {
    m.fibers[m.prepared].Prepare(FiberMain);
    if (!kOwnStacks) m.idle[m.idle_count++] = static_cast<short>(m.prepared);
    m.tsan[m.prepared] = __tsan_create_fiber(0);
  }
}

void RunBlock(Machine& m) {
  for (int t = 0; t < m.n; ++t) {
    m.threads[t].state = State::kNew;
    m.order[t] = static_cast<short>(m.schedule.order == Schedule::Order::kReverse ? m.n - 1 - t : t);
  }
  if (m.schedule.order == Schedule::Order::kShuffled) Permute(m);
  m.position = m.exited = m.at_barrier = 0;
  ++m.counts.blocks;
  Dispatch(m, -1, false);
  if (!m.failed && m.exited != m.n) {
    DescribeStall(m);
    m.failed = true;
  }
}

void RunGrid(Machine& m, const LaunchShape& shape) {
  const uint64_t blocks = static_cast<uint64_t>(shape.grid_x) * shape.grid_y * shape.grid_z;
  for (uint64_t i = 0; i < blocks && !m.failed; ++i) {
    uint64_t b = i;
    if (m.schedule.order == Schedule::Order::kReverse) b = blocks - 1 - i;
    if (m.schedule.order == Schedule::Order::kShuffled) b = (i + m.schedule.seed * 7919) % blocks;
    blockIdx.x = static_cast<unsigned>(b % shape.grid_x);
    blockIdx.y = static_cast<unsigned>(b / shape.grid_x % shape.grid_y);
    blockIdx.z = static_cast<unsigned>(b / shape.grid_x / shape.grid_y);
    if (i != 0) RenewShared();
    RunBlock(m);
  }
}

void Run(const LaunchShape& shape, const std::function<void()>& body) {
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.busy);
  blockDim = dim3(shape.block_x, shape.block_y, shape.block_z);
  gridDim = dim3(shape.grid_x, shape.grid_y, shape.grid_z);
  m.body = &body;
  m.n = static_cast<int>(shape.block_x * shape.block_y * shape.block_z);
  m.random = m.schedule.seed;
  m.failed = false;
  ++m.counts.launches;
  m.tsan_main = __tsan_get_current_fiber();
  PrepareFibers(m);
  BeginShared(shape.shared_bytes);
  __tsan_release(&m.begin_tag);
  RunGrid(m, shape);
  for (int t = 0; m.failed && t < m.n; ++t)
    ReleaseAs(m, t, &m.end_tag);  // those that never came to their end
  __tsan_switch_to_fiber(m.tsan_main, kNoSync);
  __tsan_acquire(&m.end_tag);
  EndShared();
  m.body = nullptr;
  if (!m.failed) return;
  ForgetFibers(m);
  throw Fault(m.message);
}

}  // namespace

void Fail(const char* format, ...) {
  Machine& m = machine();
  std::va_list arguments;
  va_start(arguments, format);
  // The message is written and read outside ThreadSanitizer's eyes: its snprintf would note a write by this
  // fiber.
  std::vsnprintf(m.message, sizeof m.message, format, arguments);
  va_end(arguments);
  m.failed = true;
  __tsan_release(&m.end_tag);
  const int fiber = m.threads[m.current].fiber;
  __tsan_switch_to_fiber(m.tsan_main, kNoSync);
  m.fibers[fiber].SwitchTo(m.main);
  std::abort();  // nobody comes back
}

int ThreadIndex() {
  return machine().current;
}
int Lane() {
  return machine().current % kWarp;
}

int SyncBlock(const Place& place, bool predicate) {
  Machine& m = machine();
  Thread& thread = m.threads[m.current];
  thread.state = State::kAtBarrier;
  thread.place = place;
  thread.predicate = predicate;
  if (++m.at_barrier != m.n) {
    Wait(m);
    return m.barrier_count;
  }
  // The last one: all are here, but at the same line?
  m.barrier_count = 0;
  for (int t = 0; t < m.n; ++t) {
    if (!(m.threads[t].place == place)) {
      DescribeStall(m);
      char described[sizeof m.message];
      std::memcpy(described, m.message, sizeof described);
      Fail("%s", described);
    }
    m.barrier_count += m.threads[t].predicate ? 1 : 0;
  }
  ++m.counts.barriers;
  m.at_barrier = 0;
#if defined(COUPLET_TSAN)
  // On behalf of every thread: first all let go of what they did, then all take it up. With a release at
  // arrival and an acquire at leaving a fast thread's next release would order it before a slow one.
  char* tag = &m.block_tag[m.counts.blocks % kTags];
  for (int t = 0; t < m.n; ++t) ReleaseAs(m, t, tag);
  for (int t = 0; t < m.n; ++t) AcquireAs(m, t, tag);
  SwitchTsanTo(m, m.current);
#endif
  const int count = m.barrier_count;
  for (int t = 0; t < m.n; ++t) m.threads[t].state = State::kReady;
  Wait(m);  // or the last one would always be first
  return count;
}

void SyncWarp(const Place& place, unsigned mask, void* operands, WarpFunction complete) {
  Machine& m = machine();
  const int base = m.current / kWarp * kWarp, lane = m.current % kWarp;
  if ((mask >> lane & 1) == 0)
    Fail("%s at %s:%d: lane %d is not in its own mask 0x%08x", place.what, Basename(place.file), place.line,
         lane, mask);
  Thread& thread = m.threads[m.current];
  thread.state = State::kAtWarp;
  thread.place = place;
  thread.mask = mask;
  thread.operands = operands;
  void* collected[kWarp] = {};
  for (int i = 0; i < kWarp; ++i) {
    if ((mask >> i & 1) == 0) continue;
    if (base + i >= m.n)
      Fail("%s at %s:%d names lane %d in its mask 0x%08x, which the block does not have", place.what,
           Basename(place.file), place.line, i, mask);
    const Thread& mate = m.threads[base + i];
    if (mate.state == State::kExited)
      Fail("%s at %s:%d names lane %d in its mask 0x%08x, which has exited", place.what, Basename(place.file),
           place.line, i, mask);
    if (mate.state != State::kAtWarp || mate.mask != mask || !(mate.place == place)) {
      Wait(m);  // who comes last looks at all of them
      return;
    }
    collected[i] = mate.operands;
  }
  if (complete != nullptr) complete(collected, mask, place);
  ++m.counts.warp_operations;
#if defined(COUPLET_TSAN)
  char* tag = &m.warp_tag[(m.counts.blocks * kWarp + static_cast<unsigned>(base / kWarp)) % kTags]
                         [__builtin_ctz(mask)];
  for (int i = 0; i < kWarp; ++i)
    if ((mask >> i & 1) != 0) ReleaseAs(m, base + i, tag);
  for (int i = 0; i < kWarp; ++i)
    if ((mask >> i & 1) != 0) AcquireAs(m, base + i, tag);
  SwitchTsanTo(m, m.current);
#endif
  for (int i = 0; i < kWarp; ++i)
    if ((mask >> i & 1) != 0) m.threads[base + i].state = State::kReady;
  Wait(m);
}

void SetSchedule(const Schedule& schedule) {
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.busy);
  m.schedule = schedule;
}

void SetLaunchQueue(LaunchQueue queue) {
  machine().queue = std::move(queue);
}

Counts CountsNow() {
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.busy);
  return m.counts;
}

LaunchResult Launch(const LaunchShape& shape, DeviceStream stream, std::function<void()> thread_body) {
  constexpr LaunchResult kInvalidConfiguration = 9;  // cudaErrorInvalidConfiguration
  const uint64_t threads = static_cast<uint64_t>(shape.block_x) * shape.block_y * shape.block_z;
  if (threads == 0 || threads > kMaxThreads || shape.block_z > 64) return kInvalidConfiguration;
  if (shape.grid_x == 0 || shape.grid_y == 0 || shape.grid_z == 0 || shape.grid_x > 0x7fffffffu ||
      shape.grid_y > 65535 || shape.grid_z > 65535) {
    return kInvalidConfiguration;
  }
  if (shape.shared_bytes > SharedLimit()) return kLaunchInvalidValue;
  const auto run = [shape, body = std::move(thread_body)] { Run(shape, body); };
  if (machine().queue) return machine().queue(stream, run);
  run();
  return kLaunchOk;
}

}  // namespace couplet::simt
