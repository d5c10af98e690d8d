// SPDX-License-Identifier: Apache-2.0
#include "models/backbone.h"

#include <fmt/format.h>

#include "models/catalog.h"
#include "models/graph_facts.h"

namespace couplet {
namespace {

// Changes whenever the resize or the normalisation can change a bit.
constexpr const char* kPreprocessVersion = "legacy-bilinear-1";

Status Missing(const std::string& file, const char* what, const char* flag) {
  return BadInput(fmt::format("{}: {} cannot be read off this graph; give {}", file, what, flag));
}

// What the flags say, else what the graph tells.
Result<ImportOptions> ResolveModelFile(const BackboneOptions& options, const GraphDef& def) {
  const GraphFacts facts = InspectGraph(def);
  ImportOptions import;
  import.input_layer = options.input_layer.value_or(facts.input_layer);
  import.output_layer = options.bottleneck_layer.value_or(facts.bottleneck_layer);
  import.input_height = import.input_width = options.input_size.value_or(facts.input_size);
  import.normalization = facts.normalization;
  if (import.input_layer.empty()) return Missing(def.path(), "the input layer", "--input_layer");
  if (import.output_layer.empty()) return Missing(def.path(), "the bottleneck layer", "--bottleneck_layer");
  if (import.input_height <= 0) return Missing(def.path(), "the input size", "--input_size");
  if (!facts.has_normalization && !(options.input_mean && options.input_std))
    return Missing(def.path(), "how pixels are normalised", "--input_mean and --input_std");
  if (options.input_mean) import.normalization.mean = static_cast<float>(*options.input_mean);
  if (options.input_std) import.normalization.std = static_cast<float>(*options.input_std);
  return import;
}

ImportOptions FromSpec(const ModelSpec& spec) {
  ImportOptions import;
  import.input_layer = spec.input_layer;
  import.output_layer = spec.bottleneck_layer;
  import.input_height = import.input_width = spec.input_size;
  import.normalization = spec.normalization;
  return import;
}

std::string WithoutPort(const std::string& layer) { return std::string(NodeNameOf(layer)); }

}  // namespace

Result<Backbone> Backbone::Open(const BackboneOptions& options, const ProgressFn& progress) {
  Backbone backbone;
  int expected_features = 0;
  if (options.model_file.empty()) {
    COUPLET_ASSIGN_OR_RETURN(const ModelSpec spec, FindModel(options.architecture));
    ArchiveRequest request = RequestFor(spec, options.model_dir, options.offline);
    request.interrupted = options.interrupted;
    COUPLET_ASSIGN_OR_RETURN(const std::string path, ObtainGraph(spec, request, progress));
    COUPLET_ASSIGN_OR_RETURN(backbone.def_, GraphDef::Open(path));
    COUPLET_RETURN_IF_ERROR(CheckGraph(spec, backbone.def_));
    backbone.import_ = FromSpec(spec);
    backbone.architecture_ = spec.architecture;
    expected_features = spec.features;
  } else {
    COUPLET_ASSIGN_OR_RETURN(backbone.def_, GraphDef::Open(options.model_file));
    COUPLET_ASSIGN_OR_RETURN(backbone.import_, ResolveModelFile(options, backbone.def_));
    const size_t slash = options.model_file.rfind('/');
    backbone.architecture_ = slash == std::string::npos ? options.model_file : options.model_file.substr(slash + 1);
  }
  backbone.import_.threads = options.threads;
  backbone.import_.output_layer = WithoutPort(backbone.import_.output_layer);
  backbone.sha256_ = Sha256(backbone.def_.bytes());
  backbone.sha256_hex_ = ToHex(backbone.sha256_);
  COUPLET_ASSIGN_OR_RETURN(backbone.graph_, ImportGraph(backbone.def_, backbone.import_));
  backbone.features_ = static_cast<int>(backbone.graph_.layers[static_cast<size_t>(backbone.graph_.output)].shape.per_image());
  if (expected_features != 0 && backbone.features_ != expected_features)
    return BadInput(fmt::format("{}: {} gives {} values a photo where {} has {}; this is another model's graph",
                                backbone.def_.path(), backbone.bottleneck_tensor(), backbone.features_,
                                options.architecture, expected_features));
  return backbone;
}

FeatureKey Backbone::Key(const DecodeOptions& decode, const Backend& backend) const {
  FeatureKey key;
  key.graph_sha256 = sha256_;
  key.tensor = bottleneck_tensor();
  key.input_size = input_size();
  key.mean = import_.normalization.mean;
  key.std = import_.normalization.std;
  key.preprocessing = fmt::format("{};{};alpha={};exif={}", kDecoderVersion, kPreprocessVersion,
                                  static_cast<int>(decode.alpha), decode.apply_exif ? 1 : 0);
  // A photo over the limit is left out, though an earlier run with a higher one has its vector.
  constexpr DecodeOptions kUsual;
  if (decode.max_pixels != kUsual.max_pixels || decode.max_pixels_buffered != kUsual.max_pixels_buffered)
    key.preprocessing += fmt::format(";max_pixels={},{}", decode.max_pixels, decode.max_pixels_buffered);
  key.precision = Name(backend.precision());
  // Algorithms chosen by measurement may change the last bits.
  if (const std::string tuning = backend.tuning(); !tuning.empty())
    key.precision += ";tuning=" + ToHex(Sha256(std::as_bytes(std::span(tuning))));
  if (const std::string numerics = backend.numerics(); !numerics.empty()) key.precision += ";kernels=" + numerics;
  key.device = backend.kind();
  return key;
}

}  // namespace couplet
