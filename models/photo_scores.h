// What the trained head makes of each photo.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "loaders/image_list.h"
#include "models/training.h"

namespace couplet {

struct PhotoScore {
  uint32_t row = 0;  // of the vectors
  Split split = Split::kTraining;
  int32_t label = 0, predicted = 0;
  float label_probability = 0, predicted_probability = 0;
};

// Every photo of every split once: split by split, class by class, in the lists' order. Hands `data.vectors` to the
// trainer, whose parameters stay as they are.
Result<std::vector<PhotoScore>> ScorePhotos(HeadTrainer& trainer, const HeadData& data);

}  // namespace couplet
