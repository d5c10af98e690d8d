// The last layer, trained: batches drawn as retrain.py draws them, SGD, evaluation, the numbers people ask
// for. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "models/zeroed_vector.h"
#include "runtime/head_trainer.h"
#include "runtime/status.h"

namespace couplet {

// Which rows of the vectors belong to which class and split: [split][class] -> row indices.
using HeadRows = std::array<std::vector<std::vector<uint32_t>>, 3>;

struct HeadData {
  int features = 0, classes = 0;
  ZeroedVector vectors;  // [count, features]
  // The same where the device's trainers read them; null: they are handed `vectors`. Of that device's backend alone, which
  // outlives it.
  std::shared_ptr<const ResidentVectors> resident;
  HeadRows rows;
};

struct HeadBatch {
  std::vector<uint32_t> rows;
  std::vector<int32_t> labels;
};

// A batch of `size` rows drawn class by class as retrain.py draws: row i takes u = Philox(seed, i, step,
// stream); class = (u0 * C) >> 32 over the C classes that have rows, index = (u1 mod 2^27) mod n in that
// class's list of n. `size` < 0: every row, class by class, in the lists' order. No rows at all: an empty
// batch.
HeadBatch DrawBatch(const std::vector<std::vector<uint32_t>>& rows_by_class, int size, uint64_t seed,
                    uint32_t step, uint32_t stream);

// The same lists for a trainer that draws batches itself (runtime/head_trainer.h).
BatchSource MakeBatchSource(const std::vector<std::vector<uint32_t>>& rows_by_class, int size,
                            uint32_t stream);

// Weights: truncated normal of stddev 0.001; biases 0. Weight k (row-major [features, classes]) looks at
// u = Philox(seed, k, attempt, kStreamWeights) for attempt 0, 1, ... and of each at the four normals
//   r(u0) cos(a(u1)), r(u0) sin(a(u1)), r(u2) cos(a(u3)), r(u2) sin(a(u3)),
//   r(u) = sqrt(-2 ln((u + 1) / 2^32)), a(u) = 2 pi u / 2^32   (Box and Muller 1958; all in double),
// and takes the first that lies within (-2, 2), times 0.001, rounded to float32.
// Test vectors with the script that made them: tests/golden/draws.txt, draws.py.
HeadParams InitialParams(const HeadShape& shape, uint64_t seed);

// A batch looked at in full: the final test and the report.
struct Evaluation {
  int classes = 0;
  int n = 0, correct = 0;
  double mean_loss = 0.0;              // 0 when n is 0
  std::vector<int32_t> predicted;      // [n] class with the largest logit, the first of equals
  std::vector<float> top_probability;  // [n] of the predicted class
  std::vector<int> confusion;          // [classes, classes]: photos of class (row) taken for class (column)
  std::vector<size_t> misclassified;   // places in the batch, ascending

  int actual(int c) const;     // photos of class c
  int taken_for(int c) const;  // photos taken for class c
  int right(int c) const { return confusion[static_cast<size_t>(c) * classes + c]; }
  // Of the photos taken for c those that are c; of the photos of c those that were taken for c. None: no such
  // photos.
  std::optional<double> precision(int c) const;
  std::optional<double> recall(int c) const;
};
// Has the trainer use the data's vectors, where they are.
Status UseVectors(HeadTrainer& trainer, const HeadData& data);

// Has the trainer use the data's vectors first. An empty batch: n = 0.
Result<Evaluation> EvaluateBatch(HeadTrainer& trainer, const HeadData& data, const HeadBatch& batch);

// retrain.py's accuracy in percent, in its float32 arithmetic, so that "%.1f" rounds as there. REQUIRES: n >
// 0
float AccuracyPercent(int correct, int n);

}  // namespace couplet
