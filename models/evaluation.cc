// SPDX-License-Identifier: Apache-2.0
#include "models/evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "models/graph_facts.h"

namespace couplet {

Result<std::string> LogitsLayer(const GraphDef& def, const std::string& output_layer) {
  const std::string name(NodeNameOf(output_layer.empty() ? InspectGraph(def).output_layer : output_layer));
  const NodeView* node = def.Find(name);
  if (node == nullptr)
    return BadInput(fmt::format("{}: {}; give --output_layer", def.path(),
                                name.empty() ? "the output layer cannot be read off this graph"
                                             : fmt::format("has no output layer '{}'", name)));
  // MobileNet's own head reshapes the probabilities.
  for (int hops = 0; hops < 4 && node != nullptr && (node->op == "Reshape" || node->op == "Identity" || node->op == "Squeeze"); ++hops)
    node = node->inputs.empty() ? nullptr : def.Find(NodeNameOf(node->inputs[0]));
  if (node == nullptr || node->op != "Softmax" || node->inputs.empty())
    return BadInput(fmt::format("{}: output layer '{}' is no softmax, so there is no cross entropy; give --output_layer",
                                def.path(), name));
  return std::string(NodeNameOf(node->inputs[0]));
}

Result<GraphEvaluation> EvaluateGraph(const PhotoClassifier& logits, std::span<const std::string> paths,
                                      std::span<const int> classes, const std::function<bool()>& interrupted,
                                      std::string* warning) {
  COUPLET_CHECK(paths.size() == classes.size());
  GraphEvaluation result;
  double total = 0;
  size_t next = 0;
  const auto count = [&](const PhotoPrediction& photo) {
    const int wanted = classes[next++];
    if (!photo.status.ok()) {
      result.left_out.emplace_back(photo.path, photo.status.message());
      return;
    }
    const double greatest = photo.top[0].score;
    int best = photo.top[0].index;
    double sum = 0, own = 0;
    for (const Prediction& p : photo.top) {
      if (p.score == photo.top[0].score) best = std::min(best, p.index);
      sum += std::exp(p.score - greatest);
      if (p.index == wanted) own = p.score - greatest;
    }
    ++result.n;
    result.correct += best == wanted ? 1 : 0;
    total += std::log(sum) - own;
  };
  COUPLET_RETURN_IF_ERROR(logits.Classify(paths, logits.classes(), count, interrupted, warning));
  if (result.n > 0) result.cross_entropy = total / result.n;
  return result;
}

}  // namespace couplet
