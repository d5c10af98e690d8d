// The threads that share the work of one photo. A team belongs to one worker; between two pieces of work its helpers
// spin for a moment, as the next layer follows within microseconds, and then sleep.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace couplet::cpu {

class Team {
 public:
  // `lanes` threads work, the one that calls ForEach included. Where the system gives fewer, fewer work.
  explicit Team(int lanes);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  int lanes() const { return static_cast<int>(helpers_.size()) + 1; }

  // Calls body(lane, index) once for every index below `count`, 0 <= lane < lanes, on whichever thread is free;
  // returns when all are done, without waiting for a thread that has found no time to begin (another program may have its core).
  // One caller at a time. `body` must not throw.
  template <class Body>
  void ForEach(int count, const Body& body) {
    Share({[](const void* held, int lane, int index) { (*static_cast<const Body*>(held))(lane, index); }, &body, count});
  }

 private:
  struct Job {
    void (*call)(const void* body, int lane, int index) = nullptr;
    const void* body = nullptr;
    int count = 0;
  };
  void Share(const Job& job);
  void Work(int lane);
  void Help(int lane);

  bool Enter();
  void Leave();

  Job job_;                           // written while nobody is inside, read by who is
  std::atomic<int> next_{0};          // index to take
  std::atomic<uint32_t> round_{0};    // a job a round: what helpers wait for
  std::atomic<uint32_t> inside_;      // helpers at work on the job, and kClosed when no more may begin
  std::atomic<bool> stop_{false};
  std::vector<std::thread> helpers_;
};

}  // namespace couplet::cpu
