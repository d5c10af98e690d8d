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

class HeadTrainer {
 public:
  virtual ~HeadTrainer() = default;
  // All vectors of the data set, [count, features] row-major. The caller keeps them alive and unchanged until the
  // next call; a device copies them.
  virtual Status set_vectors(std::span<const float> vectors) = 0;
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
};

}  // namespace couplet
