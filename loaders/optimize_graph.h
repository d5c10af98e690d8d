// tensorflow.python.tools.optimize_for_inference: a frozen graph without what only training needs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "loaders/graphdef.h"
#include "runtime/status.h"

namespace couplet {

struct OptimizeOptions {
  std::vector<std::string> inputs;   // nodes that become Placeholders
  std::vector<std::string> outputs;  // nodes that are wanted, and keep their names
  int placeholder_type = 1;          // TensorFlow's DataType number
  // Also batch norm written out in single operations (MobileNet's), which the original leaves.
  bool fold_decomposed = false;
};

struct OptimizedGraph {
  std::string bytes;
  size_t nodes = 0;
  int folded = 0;      // batch norms gone into the weights
  int decomposed = 0;  // of them, written out in single operations; where not asked to fold: how many there are
};

// In the original's order: what the outputs need, CheckNumerics and Identity away, batch norm folded
// (optimize_for_inference_lib.py: scale = 1 / sqrt(variance + eps) [* gamma] in double, offset = beta - mean *
// scale; the Const `<conv>_weights`, the convolution, the Const `<conv>_bn_offset` and a BiasAdd of the batch norm's
// name at the end). Its last step, ResizeBilinear fused into a convolution, is not done: it changes no score.
// A batch norm is left as it is where something else reads the convolution. kBadInput: a name that is not there.
Result<OptimizedGraph> OptimizeForInference(const GraphDef& def, const OptimizeOptions& options);

}  // namespace couplet
