// SPDX-License-Identifier: Apache-2.0
#include "loaders/optimize_graph.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <unordered_set>

#include "loaders/graph_rewrite.h"
#include "loaders/import_tf.h"
#include "loaders/node_writer.h"

namespace couplet {
namespace {

// y = convolution(x) * scale + offset, channel by channel, and the nodes that say so.
struct BatchNorm {
  size_t norm = 0, conv = 0;           // places of the last node and of the convolution
  std::vector<double> scale, offset;   // [channels]
  std::vector<size_t> between;         // places of what lies between the two
};

std::optional<tf::AttrValue> ReadAttr(const GraphNode& node, std::string_view key) {
  tf::AttrValue value;
  const std::string* bytes = node.attr(key);
  if (bytes == nullptr || !value.ParseFromString(*bytes)) return std::nullopt;
  return value;
}

class BatchNormFolder {
 public:
  BatchNormFolder(const GraphDef& def, GraphNodes nodes, const std::vector<std::string>& outputs)
      : def_(def), nodes_(std::move(nodes)), places_(PlacesOf(nodes_)), readers_(ReaderCounts(nodes_, outputs)) {}

  // Batch norms of one kind that can be folded, in the graph's order.
  std::vector<BatchNorm> Find(bool decomposed) const;
  // The graph without them.
  GraphNodes Fold(const std::vector<BatchNorm>& norms) const;

 private:
  std::optional<BatchNorm> AsSingleOp(size_t place) const;
  std::optional<BatchNorm> AsDecomposed(size_t place) const;
  // The convolution that `input` names, if it can take a scale: constant weights, NHWC, read by `readers` alone.
  std::optional<size_t> ConvolutionAt(const std::string& input) const;
  std::optional<size_t> PlaceOf(const std::string& input) const;
  // As floats of one dimension [channels]; none: not constant, or of another shape.
  std::optional<std::vector<float>> Channels(const std::string& input, size_t channels) const;
  size_t ChannelsOf(size_t conv) const;
  bool ReadOnce(size_t place) const { return readers_.at(nodes_[place].name) == 1; }

  const GraphDef& def_;
  const GraphNodes nodes_;
  const std::unordered_map<std::string_view, size_t> places_;
  const std::unordered_map<std::string_view, int> readers_;
};

// None for control inputs and further outputs.
std::optional<size_t> BatchNormFolder::PlaceOf(const std::string& input) const {
  const std::string_view name = NodeNameOf(input);
  if (input != name && input != std::string(name) + ":0") return std::nullopt;
  const auto found = places_.find(name);
  return found == places_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<size_t> BatchNormFolder::ConvolutionAt(const std::string& input) const {
  const auto place = PlaceOf(input);
  if (!place) return std::nullopt;
  const GraphNode& conv = nodes_[*place];
  if ((conv.op != "Conv2D" && conv.op != "DepthwiseConv2dNative") || conv.inputs.size() != 2) return std::nullopt;
  const auto format = ReadAttr(conv, "data_format");
  if ((format && format->s() != "NHWC") || !ReadOnce(*place)) return std::nullopt;
  const auto weights = PlaceOf(conv.inputs[1]);
  if (!weights || nodes_[*weights].op != "Const") return std::nullopt;
  const auto values = EvaluateConstant(def_, nodes_[*weights].name);
  return values.ok() && values->dims().size() == 4 ? place : std::nullopt;
}

size_t BatchNormFolder::ChannelsOf(size_t conv) const {
  const auto weights = EvaluateConstant(def_, NodeNameOf(nodes_[conv].inputs[1]));
  const std::vector<int64_t>& dims = weights->dims();  // [h, w, in, out] or [h, w, in, multiplier]
  const auto last = static_cast<size_t>(dims[3]);
  return nodes_[conv].op == "Conv2D" ? last : static_cast<size_t>(dims[2]) * last;
}

std::optional<std::vector<float>> BatchNormFolder::Channels(const std::string& input, size_t channels) const {
  if (!PlaceOf(input)) return std::nullopt;
  const auto values = EvaluateConstant(def_, NodeNameOf(input));
  if (!values.ok() || values->dims() != std::vector<int64_t>{static_cast<int64_t>(channels)}) return std::nullopt;
  return values->ToVector();
}

// BatchNormWithGlobalNormalization (t, m, v, beta, gamma) and FusedBatchNorm (x, scale, offset, mean, variance).
std::optional<BatchNorm> BatchNormFolder::AsSingleOp(size_t place) const {
  const GraphNode& node = nodes_[place];
  const bool global = node.op == "BatchNormWithGlobalNormalization";
  if ((!global && !node.op.starts_with("FusedBatchNorm")) || node.inputs.size() != 5) return std::nullopt;
  const auto conv = ConvolutionAt(node.inputs[0]);
  if (!conv) return std::nullopt;
  const size_t channels = ChannelsOf(*conv);
  const auto mean = Channels(node.inputs[global ? 1 : 3], channels);
  const auto variance = Channels(node.inputs[global ? 2 : 4], channels);
  const auto beta = Channels(node.inputs[global ? 3 : 2], channels);
  const auto gamma = Channels(node.inputs[global ? 4 : 1], channels);
  if (!mean || !variance || !beta || !gamma) return std::nullopt;
  const auto epsilon_attr = ReadAttr(node, global ? "variance_epsilon" : "epsilon");
  const float epsilon = epsilon_attr ? epsilon_attr->f() : global ? 0.0f : 1e-4f;
  const auto training = ReadAttr(node, "is_training");
  if (!global && (!training || training->b())) return std::nullopt;  // absent means true
  const auto scaled = ReadAttr(node, "scale_after_normalization");
  BatchNorm norm{place, *conv, {}, {}, {}};
  for (size_t c = 0; c < channels; ++c) {
    double scale = 1.0 / std::sqrt(static_cast<double>((*variance)[c] + epsilon));
    if (!global || (scaled && scaled->b())) scale *= static_cast<double>((*gamma)[c]);
    norm.scale.push_back(scale);
    norm.offset.push_back(-static_cast<double>((*mean)[c]) * scale + static_cast<double>((*beta)[c]));
  }
  return norm;
}

// Add(Mul(convolution, scale), offset), scale and offset whatever comes to constants.
std::optional<BatchNorm> BatchNormFolder::AsDecomposed(size_t place) const {
  const GraphNode& add = nodes_[place];
  if ((add.op != "Add" && add.op != "AddV2") || add.inputs.size() != 2) return std::nullopt;
  for (const size_t side : {0, 1}) {
    const auto mul = PlaceOf(add.inputs[side]);
    if (!mul || nodes_[*mul].op != "Mul" || nodes_[*mul].inputs.size() != 2 || !ReadOnce(*mul)) continue;
    for (const size_t factor : {0, 1}) {
      const auto conv = ConvolutionAt(nodes_[*mul].inputs[factor]);
      if (!conv) continue;
      const size_t channels = ChannelsOf(*conv);
      const auto scale = Channels(nodes_[*mul].inputs[1 - factor], channels);
      const auto offset = Channels(add.inputs[1 - side], channels);
      if (!scale || !offset) continue;
      return BatchNorm{place, *conv, {scale->begin(), scale->end()}, {offset->begin(), offset->end()}, {*mul}};
    }
  }
  return std::nullopt;
}

std::vector<BatchNorm> BatchNormFolder::Find(bool decomposed) const {
  std::vector<BatchNorm> norms;
  for (size_t place = 0; place < nodes_.size(); ++place)
    if (auto norm = decomposed ? AsDecomposed(place) : AsSingleOp(place)) norms.push_back(std::move(*norm));
  return norms;
}

GraphNodes BatchNormFolder::Fold(const std::vector<BatchNorm>& norms) const {
  std::unordered_set<size_t> replaced;
  GraphNodes made;
  const auto unique = [&](std::string name) {
    while (places_.contains(name)) name += "_";
    return name;
  };
  const auto attr = [](const char* key, const tf::AttrValue& value) {
    return std::pair(std::string(key), value.SerializeAsString());
  };
  const auto constant = [&](const std::string& name, const std::vector<int64_t>& dims,
                            const std::vector<float>& values) {
    made.push_back({name, "Const", {}, {attr("dtype", TypeAttr(tf::DT_FLOAT)), attr("value", FloatTensorAttr(dims, values))}, ""});
  };
  for (const BatchNorm& norm : norms) {
    GraphNode conv = nodes_[norm.conv];
    const auto weights = EvaluateConstant(def_, NodeNameOf(conv.inputs[1]));
    // Output channels are the fastest dimensions: [h, w, in, out], or [h, w, in, multiplier] with in * multiplier.
    std::vector<float> scaled = weights->ToVector(), offset(norm.offset.begin(), norm.offset.end());
    for (size_t i = 0; i < scaled.size(); ++i)
      scaled[i] = static_cast<float>(static_cast<double>(scaled[i]) * norm.scale[i % norm.scale.size()]);
    conv.inputs[1] = unique(conv.name + "_weights");
    constant(conv.inputs[1], weights->dims(), scaled);
    const std::string offset_name = unique(conv.name + "_bn_offset");
    made.push_back(conv);
    constant(offset_name, {static_cast<int64_t>(offset.size())}, offset);
    made.push_back({nodes_[norm.norm].name, "BiasAdd", {conv.name, offset_name}, {attr("T", TypeAttr(tf::DT_FLOAT))}, ""});
    replaced.insert({norm.norm, norm.conv});
    replaced.insert(norm.between.begin(), norm.between.end());
  }
  GraphNodes result;
  for (size_t i = 0; i < nodes_.size(); ++i)
    if (!replaced.contains(i)) result.push_back(nodes_[i]);
  result.insert(result.end(), std::make_move_iterator(made.begin()), std::make_move_iterator(made.end()));
  return result;
}

// strip_unused: what is fed becomes a Placeholder, of which only the type is known.
void FeedThrough(const OptimizeOptions& options, GraphNodes* nodes) {
  tf::AttrValue type;
  type.set_type(static_cast<tf::DataType>(options.placeholder_type));
  for (GraphNode& node : *nodes)
    if (std::find(options.inputs.begin(), options.inputs.end(), node.name) != options.inputs.end())
      node = {node.name, "Placeholder", {}, {{"dtype", type.SerializeAsString()}}, ""};
}

}  // namespace

Result<OptimizedGraph> OptimizeForInference(const GraphDef& def, const OptimizeOptions& options) {
  COUPLET_RETURN_IF_ERROR(CheckNames(def, options.inputs, "--input_names"));
  COUPLET_RETURN_IF_ERROR(CheckNames(def, options.outputs, "--output_names"));
  GraphNodes nodes = TakeApart(def);
  FeedThrough(options, &nodes);
  nodes = KeepNeeded(std::move(nodes), options.outputs);
  nodes = RemoveTrainingNodes(std::move(nodes), options.outputs);
  const BatchNormFolder folder(def, std::move(nodes), options.outputs);
  std::vector<BatchNorm> norms = folder.Find(/*decomposed=*/false);
  std::vector<BatchNorm> decomposed = folder.Find(/*decomposed=*/true);
  OptimizedGraph result;
  result.decomposed = static_cast<int>(decomposed.size());
  if (options.fold_decomposed)
    norms.insert(norms.end(), std::make_move_iterator(decomposed.begin()), std::make_move_iterator(decomposed.end()));
  result.folded = static_cast<int>(norms.size());
  nodes = KeepNeeded(folder.Fold(norms), options.outputs);
  result.nodes = nodes.size();
  result.bytes = Serialize(nodes);
  // As the original: whole, or not at all. Nodes that pass each other on in a ring are what can go wrong.
  const auto whole = GraphDef::Parse(std::as_bytes(std::span(result.bytes)), nullptr, def.path());
  if (!whole.ok()) return BadInput(whole.status().message() + " any more: its Identity nodes read each other");
  return result;
}

}  // namespace couplet
