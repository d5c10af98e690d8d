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
  int together = 1;                 // heads that were trained in one go
  double seconds = 0;               // that took; `threads` such goes at a time
};

// Jobs, by their place, that are trained in one go: at most `most`, of equal steps, batch sizes and evaluations, in their
// order.
std::vector<std::vector<size_t>> SweepGroups(std::span<const SweepJob> jobs, int most);

// Trains each job from the start on a head of its own, `threads` groups at a time: a head where the backend steps one at a
// time, else as many as it takes together. What a job gives does not depend on the others. `done` is called for each as it
// ends, by one thread at a time, in any order. Errors: what Train says, of the first group that has one; kInterrupted.
Result<std::vector<SweepResult>> RunSweep(Backend& backend, const HeadData& data, std::span<const SweepJob> jobs, int threads,
                                          const std::function<void(size_t job, const SweepResult&)>& done,
                                          const std::function<bool()>& interrupted);

}  // namespace couplet
