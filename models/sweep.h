// Many trainings on the same vectors: learning rates, seeds, and fewer photos than there are.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "models/training.h"
#include "runtime/backend.h"

namespace couplet {

struct SweepJob {
  TrainOptions options;
  int per_class = 0;  // training photos of a class, drawn by the seed; 0: all
};

struct SweepResult {
  Status stopped;  // as TrainResult's: kDiverged is an answer, too
  std::vector<EvalPoint> history;
  int steps = 0, right = 0, n = 0;  // of the test photos, all of them
  double seconds = 0;               // of this training; `threads` of them run at a time
};

// Trains each job from the start on a head of its own, `threads` at a time; what a job gives does not depend on the
// others. `done` is called for each as it ends, by one thread at a time, in any order. Errors: what Train says, of the
// first job in order that has one; kInterrupted.
Result<std::vector<SweepResult>> RunSweep(Backend& backend, const HeadData& data, std::span<const SweepJob> jobs, int threads,
                                          const std::function<void(size_t job, const SweepResult&)>& done,
                                          const std::function<bool()>& interrupted);

}  // namespace couplet
