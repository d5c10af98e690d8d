// What one worker of the CPU backend holds. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/backend.h"
#include "runtime/cpu/team.h"

namespace couplet::cpu {

struct CpuWorker final : WorkerContext {
  explicit CpuWorker(int threads) : team(threads) {}
  Team team;
};

// piece(lane, index) for every index < count: on the worker's threads where there are lanes for them.
template <class Piece>
void ForEachPiece(WorkerContext* worker, int lanes, int count, const Piece& piece) {
  if (lanes > 1)
    static_cast<CpuWorker*>(worker)->team.ForEach(count, piece);
  else
    for (int i = 0; i < count; ++i) piece(0, i);
}

}  // namespace couplet::cpu
