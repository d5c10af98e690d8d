// What the vectors and the trained head tell of the photos themselves: copies on both sides of a split, which make the
// accuracy look better than it is, and photos that probably lie in the wrong folder, which make it look worse.
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

// The same with training photos scored by heads that have not seen them: each half of the training photos (every other
// one of a class) by a head that was trained on the other half as `options` say, for at most 300 steps. A head knows the
// photos it was trained on by heart, wrong labels too. kDiverged when such a training does. The trainer's parameters and `data` are
// as before when it returns.
Result<std::vector<PhotoScore>> ScoreUnseen(HeadTrainer& trainer, HeadData& data, const TrainOptions& options,
                                            std::vector<PhotoScore> scores);

// Places in `scores`, the most suspicious first: photos that the head gives to another class at least as surely as it
// does that class's own photos on average, and at 0.8 or more, while their own label gets 0.1 or less. The thresholds by
// class are those of confident learning (Northcutt, Jiang, Chuang 2021, "Confident learning: estimating uncertainty in
// dataset labels"); the two fixed ones keep the list short enough to be looked at.
std::vector<size_t> ProbableWrongLabels(std::span<const PhotoScore> scores, int classes);

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
