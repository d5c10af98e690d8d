// SPDX-License-Identifier: Apache-2.0
#include "models/photo_checks.h"

#include <algorithm>
#include <cmath>

#include "tests/support/small_training.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

// Every pair across splits, in double; the nearest earlier one of each.
std::vector<PhotoPair> NaivePairs(const HeadData& data, float least) {
  const size_t features = static_cast<size_t>(data.features);
  std::vector<std::pair<uint32_t, size_t>> members;
  for (size_t split = 0; split < 3; ++split)
    for (const auto& rows : data.rows[split])
      for (const uint32_t row : rows) members.emplace_back(row, split);
  std::vector<double> mean(features);
  for (const auto& [row, split] : members)
    for (size_t f = 0; f < features; ++f) mean[f] += data.vectors[row * features + f] / static_cast<double>(members.size());
  const auto cosine = [&](uint32_t a, uint32_t b) {
    double ab = 0, aa = 0, bb = 0;
    for (size_t f = 0; f < features; ++f) {
      const double x = data.vectors[a * features + f] - mean[f], y = data.vectors[b * features + f] - mean[f];
      ab += x * y;
      aa += x * x;
      bb += y * y;
    }
    return ab / std::sqrt(aa * bb);
  };
  std::vector<PhotoPair> pairs;
  for (const auto& [row, split] : members) {
    PhotoPair best;
    best.cosine = -2;
    for (const auto& [other, other_split] : members) {
      const float value = static_cast<float>(cosine(row, other));
      if (other_split < split && value >= least && value > best.cosine)
        best = {row, other, static_cast<Split>(split), static_cast<Split>(other_split), value};
    }
    if (best.cosine > -2) pairs.push_back(best);
  }
  std::stable_sort(pairs.begin(), pairs.end(), [](const PhotoPair& a, const PhotoPair& b) { return a.cosine > b.cosine; });
  return pairs;
}

// Vectors of several blocks and a part of one, some of them nearly copies.
HeadData WithCopies() {
  HeadData data;
  data.features = 203;
  data.classes = 2;
  for (auto& by_class : data.rows) by_class.resize(2);
  for (uint32_t row = 0; row < 60; ++row) {
    data.rows[row < 40 ? 0 : row < 50 ? 1 : 2][row % 2].push_back(row);
    for (uint32_t f = 0; f < 203; ++f) {
      // Rows 45, 55 and 59 are photos 5, 15 and 49 with a little noise.
      const uint32_t like = row == 45 ? 5 : row == 55 ? 15 : row == 59 ? 49 : row;
      const double noise = Philox(1, row, f, 201).v[0] * 0x1p-32 - 0.5;
      data.vectors.push_back(static_cast<float>(5.0 + Philox(1, like, f, 200).v[0] * 0x1p-32 + 0.01 * row / 60 * noise));
    }
  }
  return data;
}

TEST_CASE("photo checks: near duplicates are those that a plain search finds [threads]") {
  const HeadData data = WithCopies();
  for (const float least : {0.97f, 0.15f}) {
    const auto expected = NaivePairs(data, least);
    REQUIRE(expected.size() >= 3);
    for (const int threads : {1, 3}) {
      const auto pairs = FindNearDuplicates(data, least, threads);
      REQUIRE(pairs.size() == expected.size());
      for (size_t i = 0; i < pairs.size(); ++i) {
        CHECK(pairs[i].row == expected[i].row);
        CHECK(pairs[i].other == expected[i].other);
        CHECK(pairs[i].split == expected[i].split);
        CHECK(pairs[i].other_split == expected[i].other_split);
        CHECK(!(std::fabs(pairs[i].cosine - expected[i].cosine) > 1e-5f));
      }
    }
  }
  const auto three = FindNearDuplicates(data, 0.97f, 1);
  REQUIRE(three.size() == 3);
  std::vector<uint32_t> rows;
  for (const PhotoPair& pair : three) rows.push_back(pair.row);
  std::sort(rows.begin(), rows.end());
  CHECK(rows == std::vector<uint32_t>{45, 55, 59});
}

TEST_CASE("photo checks: a photo without a direction is like none") {
  HeadData data;
  data.features = 2;
  data.classes = 1;
  data.rows[0] = {{0, 1}};
  data.rows[2] = {{2}};
  data.vectors = {0, 0, 2, 2, 1, 1};  // the last is the mean
  CHECK(FindNearDuplicates(data, 0.5f, 1).empty());
  data.vectors = std::vector<float>(6, 1.0f);
  CHECK(FindNearDuplicates(data, 0.5f, 1).empty());
}

TEST_CASE("photo checks: scores are what the head makes of each photo, the parameters stay") {
  const HeadData data = test::Clouds();
  const test::Run run = test::TrainOn(data, test::Short(60));
  const HeadParams before = run.trainer->params().value();
  const auto scores = ScorePhotos(*run.trainer, data);
  REQUIRE(scores.ok());
  CHECK(scores->size() == data.vectors.size() / test::kFeatures);
  CHECK(test::SameParams(run.trainer->params().value(), before));
  const auto test_rows = DrawBatch(data.rows[2], -1, 0, 0, kStreamTest);
  const Evaluation test = EvaluateBatch(*run.trainer, data, test_rows).value();
  const size_t first = scores->size() - test_rows.rows.size();
  for (size_t i = 0; i < test_rows.rows.size(); ++i) {
    const PhotoScore& score = (*scores)[first + i];
    CHECK(score.row == test_rows.rows[i]);
    CHECK(score.split == Split::kTesting);
    CHECK(score.label == test_rows.labels[i]);
    CHECK(score.predicted == test.predicted[i]);
    CHECK(score.predicted_probability == test.top_probability[i]);
    if (score.predicted == score.label) CHECK(score.label_probability == score.predicted_probability);
  }
}

}  // namespace
}  // namespace couplet
