// The last layer: logits = x . weights + biases, softmax, plain SGD on the mean cross-entropy. One interface for
// every backend, so all train alike.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/status.h"

namespace couplet {

struct HeadShape {
  int features = 0;  // D: 1001 or 2048
  int classes = 0;   // C
  int heads = 1;     // layers side by side, each with parameters of its own; more than one where Backend::heads_together
  int threads = 1;   // of the CPU's that a step may use; they change no bit of what it gives
};

struct HeadParams {
  std::vector<float> weights;  // [features, classes], row-major: TensorFlow's final_weights
  std::vector<float> biases;   // [classes]
};

// What one pass over a batch of n rows tells.
struct BatchResult {
  double mean_loss = 0.0;  // mean softmax cross-entropy
  int correct = 0;         // rows whose largest logit is the label's (the first of equals, as TensorFlow's argmax)
  // False when a logit, the loss or, in a step, an updated parameter is not finite.
  bool finite = true;
};

// Optional outputs of a pass, for summaries and reports; null = not wanted.
struct BatchOutputs {
  float* logits = nullptr;         // [n, classes]
  float* probabilities = nullptr;  // [n, classes]
};

// Where the batches of one split come from: its rows class by class, as models/classifier_head.h draws from them.
struct BatchSource {
  std::vector<uint32_t> rows;    // of all classes that have any, one class after another; empty: there are no batches
  std::vector<uint32_t> first;   // [classes that have any + 1] where each begins in `rows`, and the end
  std::vector<int32_t> labels;   // [classes that have any]
  int size = 0;                  // of a batch; < 0: all rows, in their order
  uint32_t stream = 0;           // PhiloxStream (kernels/philox.h)
};

// A training that needs no word from its caller between steps.
struct RunPlan {
  BatchSource train, validation;
  uint64_t seed = 0;
  float learning_rate = 0.0f;
  int steps = 0;          // in all
  int eval_interval = 1;  // evaluations after steps that are a multiple of it, and after the last one
};

struct RunEvaluation {
  int step = 0;
  BatchResult train;       // of the step's batch, after its update
  BatchResult validation;  // of a batch drawn for the step; not set where the plan has none
};

struct RunResult {
  // Of each step in turn, as from HeadTrainer::step. The last one may be not finite: then the head stopped there for good,
  // with the parameters from before that step; further runs give it no steps.
  std::vector<BatchResult> steps;
  std::vector<RunEvaluation> evaluations;  // ascending; none after a step that was not finite
};

// Takes many steps on its own, of all heads together: a device draws the batches itself and keeps the results until
// the run is over. What becomes of a head does not depend on the others.
class StepRunner {
 public:
  virtual ~StepRunner() = default;
  // For runs on the trainer's vectors and parameters, until the next plans: plans[i] for head i. REQUIRES: set_vectors was
  // called; labels and rows of the plans exist, each `train` has rows; steps, eval_interval and the batches' numbers of
  // rows are equal in all plans.
  virtual Status set_plans(std::span<const RunPlan> plans) = 0;
  // Steps [first, first + count) of the plans, a result a head; count >= 1. The same parameters whatever the runs' lengths.
  virtual Result<std::vector<RunResult>> run(int first, int count) = 0;
};

// All vectors of a data set, [rows, features] floats, in a backend's own memory: Backend::make_resident. It does not
// outlive its backend.
class ResidentVectors {
 public:
  virtual ~ResidentVectors() = default;
};

class HeadTrainer {
 public:
  virtual ~HeadTrainer() = default;
  // All vectors of the data set, [count, features] row-major. The caller keeps them alive and unchanged until the
  // next call; a device copies them.
  virtual Status set_vectors(std::span<const float> vectors) = 0;
  // The same with vectors that are there already: those of this trainer's backend, which are not copied.
  virtual Status use_resident(const ResidentVectors& /*vectors*/) { return Internal("this trainer reads the host's vectors"); }
  // The head that parameters, steps and evaluations are of from now on; at first 0. The runner's are of all.
  virtual void use_head(int head) { COUPLET_CHECK(head == 0); }
  virtual Status set_params(const HeadParams& params) = 0;
  // `out`'s memory is reused.
  virtual Status read_params(HeadParams* out) const = 0;
  Result<HeadParams> params() const {
    HeadParams out;
    COUPLET_RETURN_IF_ERROR(read_params(&out));
    return out;
  }
  // One SGD step on rows[i] of the vectors with labels[i]. The result is of the forward pass, before the update.
  // What is not finite (BatchResult::finite) leaves the parameters as they were.
  virtual Result<BatchResult> step(std::span<const uint32_t> rows, std::span<const int32_t> labels,
                                   float learning_rate, const BatchOutputs& outputs) = 0;
  virtual Result<BatchResult> evaluate(std::span<const uint32_t> rows, std::span<const int32_t> labels,
                                       const BatchOutputs& outputs) = 0;
  // Null where steps are taken one at a time. Lives as long as the trainer.
  virtual StepRunner* runner() { return nullptr; }
};

}  // namespace couplet
