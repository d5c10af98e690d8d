// SPDX-License-Identifier: Apache-2.0
#include "models/training_advice.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace couplet {
namespace {

constexpr size_t kLast = 5;           // evaluations looked at
constexpr int kEnoughPhotos = 10;     // fewer say nothing about a class

bool LearntNothing(const TrainResult& training, double chance, double* accuracy) {
  const size_t count = std::min(kLast, training.history.size());
  if (count == 0) return false;
  double entropy = 0;
  *accuracy = 0;
  for (size_t i = training.history.size() - count; i < training.history.size(); ++i) {
    *accuracy += static_cast<double>(training.history[i].train_accuracy) / 100 / static_cast<double>(count);
    entropy += training.history[i].cross_entropy / static_cast<double>(count);
  }
  return *accuracy <= chance + 0.25 * (1 - chance) && entropy >= -0.9 * std::log(chance);
}

}  // namespace

std::vector<std::string> TrainingAdvice(const TrainResult& training, const Evaluation& test,
                                        const std::vector<std::string>& labels, double learning_rate) {
  std::vector<std::string> advice;
  const double chance = 1.0 / static_cast<double>(labels.size());
  double accuracy = 0;
  if (LearntNothing(training, chance, &accuracy))
    advice.push_back(fmt::format(
        "the training learnt nothing: {:.0f} % of the training photos right, where guessing gives {:.0f} %. Try another "
        "--learning_rate (it was {}) or more --how_many_training_steps (it was {}), and look whether the photos lie in "
        "the right folders",
        accuracy * 100, chance * 100, learning_rate, training.steps));
  for (int c = 0; c < test.classes && test.n >= kEnoughPhotos; ++c)
    if (test.taken_for(c) * 10 >= test.n * 7 && test.actual(c) * 2 <= test.n)
      advice.push_back(fmt::format(
          "'{}' swallows the other labels: {} of {} test photos were taken for it, {} are of it. Look for foreign photos "
          "in its folder, give the others more photos, or train longer",
          labels[static_cast<size_t>(c)], test.taken_for(c), test.n, test.actual(c)));
  return advice;
}

}  // namespace couplet
