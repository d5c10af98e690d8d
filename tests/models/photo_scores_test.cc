// SPDX-License-Identifier: Apache-2.0
#include "models/photo_scores.h"

#include "tests/support/small_training.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

TEST_CASE("photo scores: are what the head makes of each photo, the parameters stay") {
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
