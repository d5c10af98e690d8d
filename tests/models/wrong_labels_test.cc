// SPDX-License-Identifier: Apache-2.0
#include "models/wrong_labels.h"

#include <cmath>

#include "tests/support/small_training.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

double Uniform(uint32_t i, uint32_t what) { return (Philox(3, i, what, 200).v[0] + 0.5) * 0x1p-32; }

// Logits of `count` photos, and labels as LabelNoise says that they come about.
struct Drawn {
  Drawn(uint32_t count, int classes, LabelNoise noise) {
    for (uint32_t i = 0; i < count; ++i) {
      std::vector<double> odds;
      double sum = 0;
      for (int c = 0; c < classes; ++c) {
        // Sure of one class, more or less.
        const double logit = 8 * Uniform(i, 10 + static_cast<uint32_t>(c)) + (static_cast<int>(i) % classes == c ? 30 * Uniform(i, 0) : 0);
        logits.push_back(static_cast<float>(logit));
        odds.push_back(std::exp(logit / noise.temperature));
        sum += odds.back();
      }
      int32_t label = 0;
      for (double at = Uniform(i, 1) * sum - odds[0]; at > 0 && label + 1 < classes;) at -= odds[static_cast<size_t>(++label)];
      replaced.push_back(Uniform(i, 2) < noise.share);
      if (replaced.back()) label = (label + 1 + static_cast<int>(Uniform(i, 3) * (classes - 1))) % classes;
      labels.push_back(label);
    }
  }
  std::vector<float> logits;
  std::vector<int32_t> labels;
  std::vector<bool> replaced;
};

TEST_CASE("wrong labels: the fit finds the temperature and the share that labels were drawn with") {
  for (const LabelNoise noise : {LabelNoise{2, 0.05}, LabelNoise{0.5, 0.2}, LabelNoise{3, 0}}) {
    CAPTURE(noise.temperature);
    const Drawn drawn(6000, 4, noise);
    const LabelNoise fitted = FitLabelNoise(drawn.logits, drawn.labels, 4);
    // Of 6,000 draws a share of 0.2 is found to 0.005 (a standard deviation), a temperature to some per cent.
    CHECK(!(std::fabs(fitted.share - noise.share) > 0.015));
    CHECK(!(std::fabs(fitted.temperature / noise.temperature - 1) > 0.15));
    // As many are wrong as the probabilities say.
    double expected = 0, right = 0, found = 0;
    for (size_t i = 0; i < drawn.labels.size(); ++i) {
      const double probability = fitted.WrongProbability(std::span<const float>(drawn.logits).subspan(i * 4, 4), drawn.labels[i]);
      if (probability <= 0.5) continue;
      found += 1;
      expected += probability;
      right += drawn.replaced[i];
    }
    if (noise.share > 0) REQUIRE(found > 100);
    CHECK(!(std::fabs(right - expected) > 4 * std::sqrt(expected) + 1));
  }
}

TEST_CASE("wrong labels: a photo moved to another folder is found, and it alone; the trainer is as before") {
  HeadData data = test::Clouds();
  // A training photo of class 0 among class 1's.
  const uint32_t moved = data.rows[0][0].back();
  CHECK(FindWrongLabels(data, 0).value().found.empty());
  data.rows[0][0].pop_back();
  data.rows[0][1].push_back(moved);
  const auto wrong = FindWrongLabels(data, 0).value();
  REQUIRE(wrong.found.size() == 1);
  CHECK(wrong.found[0].row == moved);
  CHECK(wrong.found[0].split == Split::kTraining);
  CHECK(wrong.found[0].label == 1);
  CHECK(wrong.found[0].looks_like == 0);
  CHECK(wrong.found[0].probability > 0.5);
}

TEST_CASE("wrong labels: a class of one photo, vectors of nothing, and no photo at all") {
  HeadData data = test::Clouds();
  for (auto& rows : data.rows) rows[2].clear();
  data.rows[1][2] = {0};  // like those of class 0; no head can judge it unseen
  const WrongLabels wrong = FindWrongLabels(data, 0).value();
  for (const WrongLabel& one : wrong.found) CHECK(one.label != 2);
  std::fill(data.vectors.begin(), data.vectors.end(), 0.0f);
  CHECK(FindWrongLabels(data, 0).ok());
  for (auto& rows : data.rows)
    for (auto& of_class : rows) of_class.clear();
  CHECK(FindWrongLabels(data, 0).value().found.empty());
}

}  // namespace
}  // namespace couplet
