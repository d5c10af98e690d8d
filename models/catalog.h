// The models that are known by name: where they come from, what their tensors are called, what they expect.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "runtime/graph.h"
#include "runtime/status.h"

namespace couplet {

struct ModelSpec {
  std::string architecture;       // "mobilenet_0.50_224", "inception_v3", "mobilenet_1.0_192_quantized"
  std::string url;                // archive
  std::string archive_sha256;     // "" where no hash is known
  std::string archive_name;       // "mobilenet_v1_0.50_224_frozen.tgz"
  std::string folder;             // sub-folder of model_dir the codelab unpacks to, "" for Inception
  std::string graph_name;         // "frozen_graph.pb", "quantized_graph.pb", "classify_image_graph_def.pb"
  std::string graph_sha256;       // "" where no hash is known
  std::string input_layer;        // "input", "Mul"
  std::string bottleneck_layer;   // without ":0"
  int input_size = 0;
  int features = 0;               // 1001 or 2048
  Normalization normalization;
};

// kBadInput for a name that is none, saying which part is wrong and what there is.
Result<ModelSpec> FindModel(const std::string& architecture);
std::vector<std::string> ModelNames();

}  // namespace couplet
