// SPDX-License-Identifier: Apache-2.0
#include "models/photo_scores.h"

#include <algorithm>
#include <span>

namespace couplet {
namespace {

constexpr size_t kScoredAtOnce = 4096;

// Fills in what the trainer's parameters make of them.
Status Predict(HeadTrainer& trainer, size_t classes, std::span<PhotoScore> scores) {
  std::vector<float> probabilities(std::min(scores.size(), kScoredAtOnce) * classes);
  for (size_t first = 0; first < scores.size(); first += kScoredAtOnce) {
    const std::span batch = scores.subspan(first, std::min(kScoredAtOnce, scores.size() - first));
    std::vector<uint32_t> rows;
    std::vector<int32_t> labels;
    for (const PhotoScore& score : batch) {
      rows.push_back(score.row);
      labels.push_back(score.label);
    }
    COUPLET_RETURN_IF_ERROR(trainer.evaluate(rows, labels, {.probabilities = probabilities.data()}).status());
    for (size_t i = 0; i < batch.size(); ++i) {
      const float* of_photo = probabilities.data() + i * classes;
      const float* best = std::max_element(of_photo, of_photo + classes);
      batch[i].predicted = static_cast<int32_t>(best - of_photo);
      batch[i].predicted_probability = *best;
      batch[i].label_probability = of_photo[batch[i].label];
    }
  }
  return {};
}

}  // namespace

Result<std::vector<PhotoScore>> ScorePhotos(HeadTrainer& trainer, const HeadData& data) {
  COUPLET_RETURN_IF_ERROR(UseVectors(trainer, data));
  std::vector<PhotoScore> scores;
  for (size_t split = 0; split < data.rows.size(); ++split)
    for (size_t c = 0; c < data.rows[split].size(); ++c)
      for (const uint32_t row : data.rows[split][c])
        scores.push_back({.row = row, .split = static_cast<Split>(split), .label = static_cast<int32_t>(c)});
  COUPLET_RETURN_IF_ERROR(Predict(trainer, static_cast<size_t>(data.classes), scores));
  return scores;
}

}  // namespace couplet
