// How well a graph that ends in a softmax does on photos whose labels are known: the codelab's scripts.evaluate.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "loaders/graphdef.h"
#include "models/photo_classifier.h"
#include "runtime/status.h"

namespace couplet {

// The layer before the last softmax, whose values cross entropy is computed from. kBadInput: the output is none.
Result<std::string> LogitsLayer(const GraphDef& def, const std::string& output_layer);

struct GraphEvaluation {
  int n = 0, correct = 0;
  double cross_entropy = 0;                                   // mean; 0 when n is 0
  std::vector<std::pair<std::string, std::string>> left_out;  // path, reason
};

// Of photo `paths[i]` the right class is `classes[i]`. `logits`: opened with LogitsLayer's output. Of equal logits the
// first counts, as in TensorFlow.
Result<GraphEvaluation> EvaluateGraph(const PhotoClassifier& logits, std::span<const std::string> paths,
                                      std::span<const int> classes, const std::function<bool()>& interrupted,
                                      std::string* warning);

}  // namespace couplet
