// Runs kernel bodies on the CPU as a GPU would: one block after the other, a fiber for each thread, every
// barrier checked. This header is for tests and stand-ins: schedules, faults, the queue. Bodies see simt.h.
//
// A block's threads run one at a time on one OS thread, each until it waits or ends. Who comes next is the
// schedule's choice: a body whose result depends on it lacks a barrier. What cannot be seen: weak memory
// ordering, bank conflicts, registers, speed.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

#include "kernels/launch.h"

namespace couplet::simt {

// A rule broken by a body: a barrier not all threads reach, a shuffle from a lane that is not there, a
// misaligned vector access. what() names the line or lines. After a fault the next launch starts afresh.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The order in which threads of a block, and blocks of a grid, run.
struct Schedule {
  enum class Order { kForward, kReverse, kShuffled };
  Order order = Order::kForward;
  uint64_t seed = 0;  // of kShuffled; each round among the threads is a new permutation
};
void SetSchedule(const Schedule& schedule);
// The four every kernel test runs: forward, reverse, two shuffles.
constexpr int kSchedules = 4;
Schedule ScheduleNumber(int i);
std::string ScheduleName(int i);

struct LaunchShape {
  unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z;
  size_t shared_bytes;  // dynamic
};

// What a block may have of static and dynamic shared memory together; 227 KB (sm_90) unless set. Static
// arrays alone never have more than 48 KB.
size_t SharedLimit();
void SetSharedLimit(size_t bytes);
// The compute capability that launchers see, 10 * major + minor; 90 unless set.
int DeviceArch();
void SetDeviceArch(int arch);

// How a launch is carried out: a stand-in for the CUDA runtime keeps `run` in its stream's queue and calls it
// when the stream gets there, on any thread. Without one a launch runs at once. `run` throws Fault.
using LaunchQueue = std::function<LaunchResult(DeviceStream stream, std::function<void()> run)>;
void SetLaunchQueue(LaunchQueue queue);  // an empty one: at once

// Checks the shape as the runtime does (0, cudaErrorInvalidConfiguration, cudaErrorInvalidValue) and queues
// or runs `thread_body` once for each thread of the grid. Couplet's Launch (kernels/device.h) calls it.
LaunchResult Launch(const LaunchShape& shape, DeviceStream stream, std::function<void()> thread_body);

// Since the start of the process.
struct Counts {
  uint64_t launches = 0, blocks = 0, barriers = 0, warp_operations = 0, switches = 0;
};
Counts CountsNow();

}  // namespace couplet::simt
