// SPDX-License-Identifier: Apache-2.0
#include "runtime/graph.h"

#include <array>

namespace couplet {

const char* KindName(const LayerAttrs& attrs) {
  static constexpr std::array<const char*, std::variant_size_v<LayerAttrs>> kNames = {
      "Input", "Preprocess",    "Conv", "Depthwise", "FullyConnected", "Affine",  "Activation",
      "Pool",  "GlobalAverage", "Pad",  "Concat",    "Softmax",        "Identity"};
  return kNames[attrs.index()];
}

int FindLayer(const Graph& graph, const std::string& name) {
  for (size_t i = 0; i < graph.layers.size(); ++i)
    if (graph.layers[i].name == name) return static_cast<int>(i);
  return -1;
}

}  // namespace couplet
