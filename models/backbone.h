// The frozen network in front of the trained layer: found or downloaded, opened, and what it expects of photos.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "loaders/bottleneck_store.h"
#include "loaders/graphdef.h"
#include "loaders/image.h"
#include "loaders/import_tf.h"
#include "loaders/model_archive.h"
#include "models/photo_network.h"

namespace couplet {

struct BackboneOptions {
  std::string architecture = "inception_v3";  // of models/catalog.h; its facts hold unless model_file is set
  std::string model_dir = "/tmp/imagenet";    // where archives lie or are downloaded to
  std::string model_file;                     // "" or any graph of supported ops; then what follows overrides what can be read off it
  std::optional<std::string> input_layer, bottleneck_layer;
  std::optional<int> input_size;
  std::optional<double> input_mean, input_std;  // (x - mean) * (1 / std), retrain.py's arithmetic
  bool offline = false;
  int threads = 1;  // that look through a large network's weights
  std::function<bool()> interrupted;  // polled while downloading
};

class Backbone {
 public:
  // Errors: unknown architecture, no network and no file, a graph that cannot run (file, node, op).
  static Result<Backbone> Open(const BackboneOptions& options, const ProgressFn& progress);

  const GraphDef& def() const { return def_; }
  const std::string& architecture() const { return architecture_; }  // goes into text cache names
  std::string bottleneck_tensor() const { return import_.output_layer + ":0"; }
  const std::string& input_layer() const { return import_.input_layer; }
  int input_size() const { return import_.input_height; }
  int features() const { return features_; }
  const Graph& graph() const { return graph_; }  // as imported, before any rewriting
  const Normalization& normalization() const { return import_.normalization; }
  const std::string& graph_sha256() const { return sha256_hex_; }

  // What its vectors depend on beside the photo.
  FeatureKey Key(const DecodeOptions& decode, const Backend& backend) const;
  // For jobs that send photos through it on this device, which outlives what they make, and train on the vectors of `photos`.
  Result<PhotoNetwork> Network(Backend& backend, size_t photos = 0) const {
    return MakePhotoNetwork(graph_, backend, photos * static_cast<size_t>(features()) * sizeof(float));
  }

 private:
  Backbone() = default;
  GraphDef def_;
  ImportOptions import_;
  Graph graph_;
  std::string architecture_, sha256_hex_;
  Sha256Digest sha256_{};
  int features_ = 0;
};

}  // namespace couplet
