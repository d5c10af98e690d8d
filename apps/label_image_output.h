// The three ways label_image prints what is on a photo.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "models/photo_classifier.h"

namespace couplet {

// A Prediction of this index is the answer "unknown": its score is the best label's.
inline constexpr int kUnknownIndex = -1;

// As label_image.py. `first`: the time goes before it; `several`: its path does.
void PrintText(const PhotoPrediction& photo, const std::vector<std::string>& labels, bool several,
               bool first);
// A line a label: path, rank from 1, index from 0, label, score; tabs, line ends and backslashes escaped.
void PrintTsv(const PhotoPrediction& photo, const std::vector<std::string>& labels);
// An object a line, for a photo that could not be labelled too.
void PrintJson(const PhotoPrediction& photo, const std::vector<std::string>& labels);

}  // namespace couplet
