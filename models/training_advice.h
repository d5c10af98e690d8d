// What a trained head's figures give away: a head that learnt nothing, a class that swallows the others.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "models/classifier_head.h"
#include "models/training.h"

namespace couplet {

// One line each, with the way out; empty when there is nothing to say.
//  - Learnt nothing: over the last five evaluations the train accuracy is within a quarter of the way from chance to
//    100 %, and the cross entropy at least 0.9 * ln(classes), what guessing costs.
//  - Swallows: of ten test photos or more, at least 70 % are taken for one class, and at most half are of it.
std::vector<std::string> TrainingAdvice(const TrainResult& training, const Evaluation& test,
                                        const std::vector<std::string>& labels, double learning_rate);

}  // namespace couplet
