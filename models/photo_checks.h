// What the vectors and the trained head tell of the photos themselves: what the head makes of each, and copies on both
// sides of a split, which make the accuracy look better than it is.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "loaders/image_list.h"
#include "models/training.h"

namespace couplet {

// What the trained head makes of one photo.
struct PhotoScore {
  uint32_t row = 0;  // of the vectors
  Split split = Split::kTraining;
  int32_t label = 0, predicted = 0;
  float label_probability = 0, predicted_probability = 0;
};

// Every photo of every split once: split by split, class by class, in the lists' order. Hands `data.vectors` to the
// trainer, whose parameters stay as they are.
Result<std::vector<PhotoScore>> ScorePhotos(HeadTrainer& trainer, const HeadData& data);

struct PhotoPair {
  uint32_t row = 0, other = 0;       // rows of the vectors; `row` of the later split
  Split split = Split::kTesting, other_split = Split::kTraining;
  float cosine = 0;
};

// Pairs of photos of different splits whose vectors point the same way: the cosine, after the mean of all vectors has
// been taken away (without that every two photos are alike), is `least` or more. Largest first, ties by row; of each photo of
// validation and testing only the nearest other. Exact: what is passed over is bounded away by Cauchy-Schwarz.
// `threads` share the work; the result does not depend on them.
std::vector<PhotoPair> FindNearDuplicates(const HeadData& data, float least, int threads);

}  // namespace couplet
