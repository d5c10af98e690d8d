// What can be read off a graph without being told: family, entry, size, normalisation (BEHAVIOUR "label_image").
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "loaders/graphdef.h"
#include "runtime/graph.h"

namespace couplet {

struct GraphFacts {
  enum class Family { kUnknown, kMobileNetV1, kInception2015, kHub } family = Family::kUnknown;
  std::string input_layer;       // "" where it cannot be told
  std::string output_layer;      // "final_result", "MobilenetV1/Predictions/Reshape_1", "softmax": the last layer
  std::string bottleneck_layer;  // "MobilenetV1/Predictions/Reshape", "pool_3/_reshape"
  int input_size = 0;            // 0 where it cannot be told
  bool has_normalization = false;
  Normalization normalization;   // by family, multiply mode
};

GraphFacts InspectGraph(const GraphDef& def);

// Whether that layer gives the classes that the family was trained on, ImageNet's with a background, rather than those
// of a retrained head: where it has 1001 of them, they are weights/imagenet_labels.txt.
bool GivesImageNetClasses(const GraphFacts& facts, std::string_view output_layer);

}  // namespace couplet
