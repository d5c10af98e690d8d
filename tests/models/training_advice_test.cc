// SPDX-License-Identifier: Apache-2.0
#include "models/training_advice.h"

#include "tests/support/test.h"

using namespace couplet;
using namespace couplet::test;

namespace {

TrainResult Ends(float accuracy, double entropy) {
  TrainResult training;
  training.steps = 500;
  // What came before the last five does not count.
  training.history.push_back({.step = 0, .train_accuracy = 100, .cross_entropy = 0});
  for (int i = 0; i < 5; ++i) training.history.push_back({.step = i, .train_accuracy = accuracy, .cross_entropy = entropy});
  return training;
}

// Rows: true classes.
Evaluation Confusion(int classes, std::vector<int> counts) {
  Evaluation test;
  test.classes = classes;
  for (const int count : counts) test.n += count;
  test.confusion = std::move(counts);
  return test;
}

const std::vector<std::string> kFive = {"a", "b", "c", "d", "e"}, kTwo = {"a", "b"};

}  // namespace

TEST_CASE("training_advice: a head that learnt nothing, and heads that did") {
  const Evaluation none;
  const auto advice = TrainingAdvice(Ends(22, 1.60), none, kFive, 1e-7);
  REQUIRE(advice.size() == 1);
  CHECK_HAS(advice[0], "learnt nothing: 22 % of the training photos right, where guessing gives 20 %");
  CHECK_HAS(advice[0], "--learning_rate (it was 1e-07)");
  CHECK_HAS(advice[0], "--how_many_training_steps (it was 500)");
  CHECK(TrainingAdvice(Ends(22, 1.3), none, kFive, 0.01).empty());   // better than guessing costs
  CHECK(TrainingAdvice(Ends(60, 2.0), none, kFive, 0.01).empty());   // right more often than by chance
  CHECK(TrainingAdvice(Ends(60, 0.69), none, kTwo, 0.01).size() == 1);
  CHECK(TrainingAdvice({}, none, kFive, 0.01).empty());
}

TEST_CASE("training_advice: a class that swallows the others, and one that merely is large") {
  const auto advice = TrainingAdvice({}, Confusion(2, {10, 0, 9, 1}), kTwo, 0.01);
  REQUIRE(advice.size() == 1);
  CHECK_HAS(advice[0], "'a' swallows the other labels: 19 of 20 test photos were taken for it, 10 are of it");
  CHECK(TrainingAdvice({}, Confusion(2, {15, 0, 4, 1}), kTwo, 0.01).empty());  // most photos are of it
  CHECK(TrainingAdvice({}, Confusion(2, {10, 0, 3, 7}), kTwo, 0.01).empty());
  CHECK(TrainingAdvice({}, Confusion(2, {4, 0, 4, 0}), kTwo, 0.01).empty());  // too few to tell
}
