// Runs of training steps on the device: batches are drawn there, results stay there until the run is over,
// and runs of one pattern are captured once and replayed as a graph.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/head_steps.h"
#include "runtime/cuda/head_device.h"

namespace couplet::cuda {

// Rows of a pass that only evaluates; more are looked at in parts.
inline constexpr int kEvaluateRows = 4096;

// Adds a part of `n` of all `of` rows.
inline void AddPart(const BatchResult& part, size_t n, size_t of, BatchResult* total) {
  total->mean_loss += part.mean_loss * static_cast<double>(n) / static_cast<double>(of);
  total->correct += part.correct;
  total->finite = total->finite && part.finite;
}

// One split of a plan: where its batches are drawn from, and the batches of one run.
class DeviceSource {
 public:
  // Room for `batches` batches. Waits until all is copied.
  Status Set(const HeadDevice& device, const BatchSource& source, int batches);
  // Queues the drawing of batches [at, at + count) for steps first_step, first_step + step_stride, ...
  Status Draw(uint64_t seed, uint32_t first_step, uint32_t step_stride, int at, int count,
              cudaStream_t stream);
  bool empty() const { return n_ == 0; }
  int n() const { return n_; }
  // Elements from one batch's rows to the next one's: 0 where every batch is the whole split.
  int stride() const { return drawn_ ? n_ : 0; }
  DeviceBatch batch(int i) const;
  int parts() const { return (n_ + kEvaluateRows - 1) / kEvaluateRows; }
  DeviceBatch part(int i, int p) const;

 private:
  int n_ = 0, lists_ = 0;
  uint32_t stream_ = 0;
  bool drawn_ = false;
  DeviceBuffer list_rows_, first_, list_labels_;
  DeviceBuffer rows_, labels_;  // [batches or 1, n]
};

class HeadRunner final : public StepRunner {
 public:
  // `device` outlives it.
  explicit HeadRunner(HeadDevice* device) : device_(device) {}

  Status set_plan(const RunPlan& plan) override;
  Result<RunResult> run(int first, int count) override;

 private:
  // What of a run decides the work that is queued, besides the rows it draws.
  struct Pattern {
    int count = 0;
    std::vector<int> evaluated;  // steps of the run, ascending
    int made = 0;                // HeadDevice::made()
    bool operator==(const Pattern&) const = default;
  };

  Status RunOnce(int first, int count, RunResult* out);
  Pattern PatternOf(int first, int count) const;
  Status Draw(int first, const Pattern& pattern);
  // Queues a run's work: replays it, captures it, or neither.
  Status Queue(const Pattern& pattern);
  Status QueueSteps(const Pattern& pattern);
  Status QueueFused(const Pattern& pattern);
  Status QueuePlain(const Pattern& pattern);
  Status QueueEvaluation(const DeviceSource& source, int i, HeadResult* results);
  size_t ScratchBytes() const;
  int FusedRows() const { return 2 * train_.n() + validation_.n(); }
  // Results lie as [steps of a run], then of each evaluation [parts of train, parts of validation].
  int EvaluationResults() const { return train_.parts() + validation_.parts(); }
  HeadResult* EvaluationResult(int i) const {
    return results_.as<HeadResult>() + kRunSteps + i * EvaluationResults();
  }
  Status Fetch(int first, const Pattern& pattern, RunResult* out);
  BatchResult SumParts(const DeviceSource& source, const HeadResult* results) const;

  static constexpr int kRunSteps = 256;  // of one graph; longer runs are several

  HeadDevice* const device_;
  uint64_t seed_ = 0;
  float learning_rate_ = 0.0f;
  int steps_ = 0, eval_interval_ = 1;
  bool fuses_ = false;
  DeviceSource train_, validation_;
  DeviceBuffer scratch_;  // of fused steps
  DeviceBuffer results_;
  PinnedBuffer fetched_;
  Pattern last_, captured_;
  GraphExec graph_;       // of captured_
  bool captures_ = true;  // until a capture was refused
};

}  // namespace couplet::cuda
