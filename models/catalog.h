// The models that are known by name: where they come from, what their tensors are called, what they expect.
// weights/manifest.tsv lists the same for readers; a test holds it to this.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "loaders/graphdef.h"
#include "loaders/model_archive.h"
#include "runtime/graph.h"
#include "runtime/status.h"

namespace couplet {

struct ModelSpec {
  std::string architecture;       // "mobilenet_0.50_224", "inception_v3", "mobilenet_1.0_192_quantized", "couplet_0.25_128"
  std::string url;                // archive, https; "" for the graph that comes with Couplet: there is no archive
  std::string http_url;           // the address the codelab prints
  std::string archive_sha256;     // "" where no hash is known
  std::string archive_name;       // "mobilenet_v1_0.50_224_frozen.tgz"
  std::string folder;             // sub-folder of model_dir the codelab unpacks to, "" for Inception
  std::string graph_name;         // "frozen_graph.pb", "quantized_graph.pb", "classify_image_graph_def.pb"
  std::string graph_sha256;       // "" where no hash is known
  uint64_t archive_bytes = 0;     // 0 where not known
  uint64_t graph_bytes = 0;       // 0 where not known
  std::string input_layer;        // "input", "Mul"
  std::string bottleneck_layer;   // without ":0"
  int input_size = 0;
  int features = 0;               // 1001 or 2048
  Normalization normalization;
};

// kBadInput for a name that is none, saying which part is wrong and what there is. Case does not matter.
Result<ModelSpec> FindModel(const std::string& architecture);
std::vector<std::string> ModelNames();

// What ObtainGraph needs to bring the graph to model_dir.
ArchiveRequest RequestFor(const ModelSpec& spec, const std::string& model_dir, bool offline);

// Path of the graph: ObtainModel's, or where Couplet's own lies, which is never looked for in model_dir.
Result<std::string> ObtainGraph(const ModelSpec& spec, const ArchiveRequest& request, const ProgressFn& progress);

// Whether a graph is of the family and the width and size that `spec` says: for graphs whose hash nobody published.
Status CheckGraph(const ModelSpec& spec, const GraphDef& graph);

// The photos of the codelab (3,670 flowers in five folders, 229 MB), to be unpacked into tf_files.
ArchiveRequest FlowerPhotos(const std::string& dir);

// The text of weights/manifest.tsv as far as it is about downloads: a header and a line a model.
std::string ManifestText();

}  // namespace couplet
