// SPDX-License-Identifier: Apache-2.0
#include "models/graph_census.h"

#include "runtime/graph_passes.h"
#include "runtime/layer_cost.h"

namespace couplet {

GraphCensus CountGraph(const Graph& graph) {
  const Graph folded = Optimize(graph);
  GraphCensus census;
  for (size_t i = 0; i < folded.layers.size(); ++i) {
    const LayerAttrs& attrs = folded.layers[i].attrs;
    ++census.kinds[KindName(attrs)];
    if (std::holds_alternative<PoolAttrs>(attrs)) continue;
    census.multiply_adds += CostOf(folded, static_cast<int>(i), 4).multiply_adds;
    const auto count = [&](const auto& layer) {
      ++census.weight_layers;
      census.parameters += static_cast<int64_t>(layer.weights.count() + layer.bias.size());
    };
    if (const auto* conv = std::get_if<ConvAttrs>(&attrs)) count(*conv);
    if (const auto* depthwise = std::get_if<DepthwiseAttrs>(&attrs)) count(*depthwise);
    if (const auto* full = std::get_if<FullyConnectedAttrs>(&attrs)) count(*full);
  }
  return census;
}

}  // namespace couplet
