// SPDX-License-Identifier: Apache-2.0
#include "models/photo_checks.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <numeric>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>

namespace couplet {
namespace {

constexpr size_t kScoredAtOnce = 4096;

// Features are compared a block at a time: after a few, most pairs cannot come near any more.
constexpr size_t kBlock = 64;

struct Member {
  uint32_t row = 0;
  Split split = Split::kTraining;
};

// Vectors without their mean and of length 1, in blocks: value f of photo i is at
// [(f / kBlock) * photos + i][f % kBlock], features in order of falling variance, padded with zeros.
struct Directions {
  size_t blocks = 0;
  std::vector<Member> members;
  std::vector<float> values;
  std::vector<float> rest;  // [blocks, photos] length of what lies behind a block, never too small

  const float* Block(size_t block, size_t photo) const {
    return values.data() + (block * members.size() + photo) * kBlock;
  }
  float Rest(size_t block, size_t photo) const { return rest[block * members.size() + photo]; }
};

// Sixteen sums, which the compiler keeps in vectors; their order is the same on every machine.
float Dot(const float* a, const float* b) {
  float sums[16] = {};
  for (size_t i = 0; i < kBlock; i += 16)
    for (size_t k = 0; k < 16; ++k) sums[k] += a[i + k] * b[i + k];
  for (size_t width = 8; width > 0; width /= 2)
    for (size_t k = 0; k < width; ++k) sums[k] += sums[k + width];
  return sums[0];
}

std::vector<Member> MembersOf(const HeadData& data) {
  std::vector<Member> members;
  for (size_t split = 0; split < data.rows.size(); ++split)
    for (const auto& rows : data.rows[split])
      for (const uint32_t row : rows) members.push_back({row, static_cast<Split>(split)});
  return members;
}

struct Moments {
  std::vector<double> mean;
  std::vector<uint32_t> order;  // features by falling variance
};
Moments MomentsOf(const HeadData& data, std::span<const Member> members) {
  const size_t features = static_cast<size_t>(data.features);
  std::vector<double> squares(features);
  Moments moments{std::vector<double>(features), std::vector<uint32_t>(features)};
  for (const Member& member : members) {
    const float* vector = data.vectors.data() + member.row * features;
    for (size_t f = 0; f < features; ++f) {
      const double value = vector[f];
      moments.mean[f] += value;
      squares[f] += value * value;
    }
  }
  const double count = static_cast<double>(members.size());
  for (size_t f = 0; f < features; ++f) {
    moments.mean[f] /= count;
    squares[f] = squares[f] / count - moments.mean[f] * moments.mean[f];
  }
  std::iota(moments.order.begin(), moments.order.end(), 0u);
  std::stable_sort(moments.order.begin(), moments.order.end(),
                   [&](uint32_t a, uint32_t b) { return squares[a] > squares[b]; });
  return moments;
}

Directions MakeDirections(const HeadData& data) {
  const size_t features = static_cast<size_t>(data.features);
  Directions to;
  to.members = MembersOf(data);
  to.blocks = (features + kBlock - 1) / kBlock;
  const size_t photos = to.members.size();
  to.values.resize(to.blocks * photos * kBlock);
  to.rest.resize(to.blocks * photos);
  const Moments moments = MomentsOf(data, to.members);
  std::vector<double> centred(to.blocks * kBlock);
  for (size_t i = 0; i < photos; ++i) {
    const float* vector = data.vectors.data() + to.members[i].row * features;
    double squared = 0.0;
    for (size_t f = 0; f < features; ++f) {
      centred[f] = vector[moments.order[f]] - moments.mean[moments.order[f]];
      squared += centred[f] * centred[f];
    }
    // A photo that is the mean itself has no direction, and is like none.
    const double scale = squared > 0.0 ? 1.0 / std::sqrt(squared) : 0.0;
    double behind = squared * scale * scale;
    for (size_t block = 0; block < to.blocks; ++block) {
      float* values = to.values.data() + (block * photos + i) * kBlock;
      for (size_t k = 0; k < kBlock; ++k) {
        const double value = centred[block * kBlock + k] * scale;
        values[k] = static_cast<float>(value);
        behind -= value * value;
      }
      // Roundings of float sums stay far below 1e-4.
      to.rest[block * photos + i] = static_cast<float>(std::sqrt(std::max(behind, 0.0)) + 1e-4);
    }
  }
  return to;
}

// The cosine, or less than `least` as soon as it is sure to be.
float CosineAtLeast(const Directions& at, size_t a, size_t b, float least) {
  float sum = 0.0f;
  for (size_t block = 0; block < at.blocks; ++block) {
    sum += Dot(at.Block(block, a), at.Block(block, b));
    if (sum + at.Rest(block, a) * at.Rest(block, b) < least) return -1.0f;
  }
  return std::min(sum, 1.0f);
}

// The nearest photo of an earlier split, if it is near enough.
bool NearestOf(const Directions& at, size_t i, float least, PhotoPair* pair) {
  const Member& member = at.members[i];
  bool found = false;
  for (size_t other = 0; other < i && at.members[other].split < member.split; ++other) {
    const float cosine = CosineAtLeast(at, i, other, least);
    if (cosine < least || (found && cosine <= pair->cosine)) continue;
    found = true;
    *pair = {member.row, at.members[other].row, member.split, at.members[other].split, cosine};
  }
  return found;
}

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

std::vector<PhotoPair> FindNearDuplicates(const HeadData& data, float least, int threads) {
  const Directions at = MakeDirections(data);
  std::vector<PhotoPair> nearest(at.members.size());
  std::vector<uint8_t> has_one(at.members.size());
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < at.members.size(); i = next++)
      has_one[i] = at.members[i].split != Split::kTraining && NearestOf(at, i, least, &nearest[i]);
  };
  std::vector<std::thread> helpers;
  try {
    for (int i = 1; i < threads; ++i) helpers.emplace_back(work);
  } catch (const std::system_error&) {
    // Fewer will do.
  }
  work();
  for (std::thread& helper : helpers) helper.join();
  std::vector<PhotoPair> pairs;
  for (size_t i = 0; i < nearest.size(); ++i)
    if (has_one[i] != 0) pairs.push_back(nearest[i]);
  std::sort(pairs.begin(), pairs.end(), [](const PhotoPair& a, const PhotoPair& b) {
    return std::tuple(-a.cosine, a.row, a.other) < std::tuple(-b.cosine, b.row, b.other);
  });
  return pairs;
}

}  // namespace couplet
