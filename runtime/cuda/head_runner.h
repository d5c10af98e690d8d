// Runs of training steps on the device, of all its heads: batches are drawn there, results stay there until the run is
// over, and runs of one pattern are captured once and replayed as a graph.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
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

// One split of the heads' plans: where its batches are drawn from, and the batches of one run.
class DeviceSource {
 public:
  // Room for `batches` batches a head. Waits until all is copied.
  Status Set(const HeadDevice& device, std::span<const RunPlan> plans, BatchSource RunPlan::*split, int batches);
  // Queues the drawing of a head's batches [at, at + count) for steps first_step, first_step + step_stride, ...
  Status Draw(int head, uint64_t seed, uint32_t first_step, uint32_t step_stride, int at, int count,
              cudaStream_t stream);
  bool empty() const { return n_ == 0; }
  int n() const { return n_; }
  // Elements from one batch's rows to the next one's: 0 where every batch is the whole split.
  int stride() const { return drawn_ ? n_ : 0; }
  // From one head's to the next one's.
  int head_stride() const { return batches_ * n_; }
  DeviceBatch batch(int head, int i) const;
  int parts() const { return (n_ + kEvaluateRows - 1) / kEvaluateRows; }
  DeviceBatch part(int head, int i, int p) const;

 private:
  // Where a head's begin, and how many it has.
  struct Lists {
    size_t rows, first, labels;
    int count;
  };

  int n_ = 0, batches_ = 0;
  uint32_t stream_ = 0;
  bool drawn_ = false;
  std::vector<Lists> lists_;
  DeviceBuffer list_rows_, first_, list_labels_;  // head after head
  DeviceBuffer rows_, labels_;                    // [heads, batches or 1, n]
};

class HeadRunner final : public StepRunner {
 public:
  // `device` outlives it.
  explicit HeadRunner(HeadDevice* device) : device_(device) {}

  Status set_plans(std::span<const RunPlan> plans) override;
  Result<std::vector<RunResult>> run(int first, int count) override;

 private:
  // What of a run decides the work that is queued, besides the rows it draws.
  struct Pattern {
    int count = 0;
    std::vector<int> evaluated;  // steps of the run, ascending
    std::vector<bool> stopped;   // of the heads
    int made = 0;                // HeadDevice::made()
    bool operator==(const Pattern&) const = default;
  };

  int heads() const { return static_cast<int>(seeds_.size()); }
  Status RunOnce(int first, int count, std::vector<RunResult>* out);
  Pattern PatternOf(int first, int count) const;
  Status Draw(int first, const Pattern& pattern);
  // Queues a run's work: replays it, captures it, or neither.
  Status Queue(const Pattern& pattern);
  Status QueueSteps(const Pattern& pattern);
  Status QueueFused(const Pattern& pattern);
  Status QueuePlain(int head, const Pattern& pattern);
  Status QueueEvaluation(int head, const DeviceSource& source, int i, HeadResult* results);
  int FusedRows() const { return 2 * train_.n() + validation_.n(); }
  // A head's results lie as [steps of a run], then of each evaluation [parts of train, parts of validation].
  int EvaluationResults() const { return train_.parts() + validation_.parts(); }
  int ResultsOfAHead() const { return kRunSteps * (1 + EvaluationResults()); }
  HeadResult* StepResults(int head) const { return results_.as<HeadResult>() + head * ResultsOfAHead(); }
  HeadResult* EvaluationResult(int head, int i) const {
    return StepResults(head) + kRunSteps + i * EvaluationResults();
  }
  Status Fetch(int first, const Pattern& pattern, std::vector<RunResult>* out);
  // True where the head goes on.
  bool Take(int first, const Pattern& pattern, const HeadResult* results, RunResult* out) const;
  BatchResult SumParts(const DeviceSource& source, const HeadResult* results) const;

  static constexpr int kRunSteps = 256;  // of one graph; longer runs are several

  HeadDevice* const device_;
  // A head each.
  std::vector<uint64_t> seeds_;
  std::vector<float> learning_rates_;
  std::vector<bool> stopped_;
  int steps_ = 0, eval_interval_ = 1;
  int fused_ = 0;  // heads that share launches, the others have theirs; 0: matrix products
  DeviceSource train_, validation_;
  DeviceBuffer scratch_;  // of fused steps
  DeviceBuffer results_;
  PinnedBuffer fetched_;
  Pattern last_, captured_;
  GraphExec graph_;       // of captured_
  bool captures_ = true;  // until a capture was refused
};

}  // namespace couplet::cuda
