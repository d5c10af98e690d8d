// What one worker of the CPU backend holds. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/backend.h"
#include "runtime/cpu/team.h"

namespace couplet::cpu {

struct CpuWorker final : WorkerContext {
  explicit CpuWorker(int threads) : team(threads) {}
  Team team;
};

}  // namespace couplet::cpu
