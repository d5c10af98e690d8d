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

  // Calls body(lane, index) once for every index below `count`, 0 <= lane < lanes, on whichever thread is free;
  // returns when all are done. One caller at a time. `body` must not throw.
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

  Job job_;                           // written before round_ is raised, read after it was seen
  std::atomic<uint32_t> round_{0};    // a job a round
  std::atomic<int> next_{0};          // index to take
  std::atomic<int> busy_{0};          // helpers that have not finished this round
  std::atomic<bool> stop_{false};
  std::vector<std::thread> helpers_;
};

}  // namespace couplet::cpu
