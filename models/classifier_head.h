// The last layer, trained: batches drawn as retrain.py draws them, SGD, evaluation, the numbers people ask for.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/head_trainer.h"
#include "runtime/status.h"

namespace couplet {

// Which rows of the vectors belong to which class and split: rows[split][class] -> row indices.
struct HeadData {
  int features = 0, classes = 0;
  std::vector<float> vectors;  // [count, features]
  std::array<std::vector<std::vector<uint32_t>>, 3> rows;
};

struct HeadBatch {
  std::vector<uint32_t> rows;
  std::vector<int32_t> labels;
};

// BEHAVIOUR "Numbers": for row i, class = (u0 * C) >> 32 over the classes with photos in that split, index =
// (u1 mod 2^27) mod n. `size` < 0: every row of the split, class by class.
HeadBatch DrawBatch(const std::vector<std::vector<uint32_t>>& rows_by_class, int size, uint64_t seed, uint32_t step,
                    uint32_t stream);
// Truncated normal of stddev 0.001, biases 0.
HeadParams InitialParams(const HeadShape& shape, uint64_t seed);

}  // namespace couplet
