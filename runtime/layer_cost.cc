// SPDX-License-Identifier: Apache-2.0
#include "runtime/layer_cost.h"

namespace couplet {

LayerCost CostOf(const Graph& graph, int index, double element_bytes) {
  const Layer& layer = graph.layers[static_cast<size_t>(index)];
  const double pixels = static_cast<double>(layer.shape.h) * layer.shape.w;
  const double results = static_cast<double>(layer.shape.per_image());
  LayerCost cost;
  cost.photo_bytes = results * element_bytes;
  for (const int source : layer.inputs)
    cost.photo_bytes +=
        static_cast<double>(graph.layers[static_cast<size_t>(source)].shape.per_image()) * element_bytes;
  double weights = 0.0;
  if (const auto* conv = std::get_if<ConvAttrs>(&layer.attrs)) {
    weights = static_cast<double>(conv->weights.count());
    cost.multiply_adds = pixels * weights;  // each weight meets each pixel of the result
  } else if (const auto* depthwise = std::get_if<DepthwiseAttrs>(&layer.attrs)) {
    weights = static_cast<double>(depthwise->weights.count());
    cost.multiply_adds = pixels * weights;
  } else if (const auto* full = std::get_if<FullyConnectedAttrs>(&layer.attrs)) {
    weights = static_cast<double>(full->weights.count());
    cost.multiply_adds = weights;
  } else if (const auto* pool = std::get_if<PoolAttrs>(&layer.attrs)) {
    cost.multiply_adds = results * pool->kh * pool->kw;
  }
  cost.weight_bytes = weights * element_bytes;
  return cost;
}

}  // namespace couplet
