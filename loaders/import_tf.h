// GraphDef -> Graph: one table row a TensorFlow op. Only what the wanted output needs is judged.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "loaders/graphdef.h"
#include "runtime/graph.h"
#include "runtime/status.h"

namespace couplet {

struct ImportOptions {
  std::string input_layer;    // node that is fed ("input", "Mul"), with or without ":0"
  std::string output_layer;   // wanted node
  int input_height = 0, input_width = 0;
  // Fed with photos: the graph begins with Preprocess. Otherwise with Input (floats, 3 channels).
  bool photos = true;
  Normalization normalization;
  bool allow_nonfinite = false;
  int threads = 1;  // that look through a large network's weights for what is not finite
};

// Errors (kBadInput) name file, node and op: unknown layer (the nearest name is offered), unsupported op,
// a cycle, an input that does not exist, shapes that do not fit, weights that are not finite.
Result<Graph> ImportGraph(const GraphDef& def, const ImportOptions& options);

// What a node comes to that depends on constants alone. kBadInput: it does not, or Couplet does not fold one of
// the ops, or it is not finite floats.
Result<ConstTensor> EvaluateConstant(const GraphDef& def, std::string_view node);

}  // namespace couplet
