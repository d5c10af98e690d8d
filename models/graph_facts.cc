// SPDX-License-Identifier: Apache-2.0
#include "models/graph_facts.h"

#include <algorithm>
#include <string_view>
#include <vector>

namespace couplet {
namespace {

using Family = GraphFacts::Family;

bool AnyNameStartsWith(const GraphDef& def, std::string_view prefix) {
  return std::any_of(def.nodes().begin(), def.nodes().end(),
                     [&](const NodeView& node) { return node.name.starts_with(prefix); });
}

bool HasOp(const GraphDef& def, std::string_view name, std::string_view op) {
  const NodeView* node = def.Find(name);
  return node != nullptr && node->op == op;
}

// The only node of that op; nullptr when there is none or more.
const NodeView* OnlyNodeOf(const GraphDef& def, std::string_view op) {
  const NodeView* only = nullptr;
  for (const NodeView& node : def.nodes()) {
    if (node.op != op) continue;
    if (only != nullptr) return nullptr;
    only = &node;
  }
  return only;
}

Family FamilyOf(const GraphDef& def) {
  if (HasOp(def, "Placeholder", "Placeholder") && AnyNameStartsWith(def, "final_retrain_ops/"))
    return Family::kHub;
  if (AnyNameStartsWith(def, "MobilenetV1/")) return Family::kMobileNetV1;
  // Tools that cut the head off leave `Mul` as a Placeholder.
  if (def.Find("Mul") != nullptr && def.Find("pool_3/_reshape") != nullptr) return Family::kInception2015;
  return Family::kUnknown;
}

std::string InputLayerOf(const GraphDef& def, Family family) {
  if (family == Family::kInception2015) return "Mul";
  if (family == Family::kHub) return "Placeholder";
  if (HasOp(def, "input", "Placeholder")) return "input";
  const NodeView* only = OnlyNodeOf(def, "Placeholder");
  return only == nullptr ? "" : std::string(only->name);
}

// retrain.py's node between backbone and head, through which vectors are fed while it trains.
const NodeView* FindBottleneckPlaceholder(const GraphDef& def) {
  for (const NodeView& node : def.nodes())
    if (node.op == "PlaceholderWithDefault" && node.name.ends_with("BottleneckInputPlaceholder") &&
        !node.inputs.empty())
      return &node;
  return nullptr;
}

// Marks what is computed from node `from`, which has no inputs marked before.
std::vector<bool> ComputedFrom(const GraphDef& def, int from) {
  std::vector<std::vector<int>> readers(def.nodes().size());
  for (size_t i = 0; i < def.nodes().size(); ++i)
    for (std::string_view input : def.nodes()[i].inputs)
      readers[static_cast<size_t>(def.IndexOf(NodeNameOf(input)))].push_back(static_cast<int>(i));
  std::vector<bool> computed(def.nodes().size(), false);
  std::vector<int> waiting = {from};
  while (!waiting.empty()) {
    const auto index = static_cast<size_t>(waiting.back());
    waiting.pop_back();
    if (computed[index]) continue;
    computed[index] = true;
    waiting.insert(waiting.end(), readers[index].begin(), readers[index].end());
  }
  return computed;
}

// The last layer: among what is computed from `from` and read by nobody, the one Softmax, else the one node.
std::string LastLayer(const GraphDef& def, int from) {
  std::vector<bool> is_read(def.nodes().size(), false);
  for (const NodeView& node : def.nodes())
    for (std::string_view input : node.inputs)
      is_read[static_cast<size_t>(def.IndexOf(NodeNameOf(input)))] = true;
  const std::vector<bool> computed = ComputedFrom(def, from);
  std::vector<std::string_view> softmax, any;
  for (size_t i = 0; i < def.nodes().size(); ++i) {
    if (!computed[i] || is_read[i]) continue;
    any.push_back(def.nodes()[i].name);
    if (def.nodes()[i].op == "Softmax") softmax.push_back(def.nodes()[i].name);
  }
  if (softmax.size() == 1) return std::string(softmax[0]);
  return any.size() == 1 ? std::string(any[0]) : "";
}

std::string OutputLayerOf(const GraphDef& def, const GraphFacts& facts, const NodeView* bottleneck) {
  if (bottleneck != nullptr) {
    if (std::string last = LastLayer(def, def.IndexOf(bottleneck->name)); !last.empty()) return last;
  }
  if (facts.family == Family::kMobileNetV1 && def.Find("MobilenetV1/Predictions/Reshape_1") != nullptr)
    return "MobilenetV1/Predictions/Reshape_1";
  if (facts.family == Family::kInception2015 && def.Find("softmax") != nullptr) return "softmax";
  const int input = def.IndexOf(facts.input_layer);
  return input < 0 ? "" : LastLayer(def, input);
}

std::string BottleneckLayerOf(const GraphDef& def, Family family, const NodeView* bottleneck) {
  if (bottleneck != nullptr) return std::string(NodeNameOf(bottleneck->inputs[0]));
  const char* name = family == Family::kMobileNetV1     ? "MobilenetV1/Predictions/Reshape"
                     : family == Family::kInception2015 ? "pool_3/_reshape"
                                                        : "";
  return def.Find(name) == nullptr ? "" : name;
}

// Side of the square photos it takes; 0: cannot be told.
int InputSizeOf(const GraphDef& def, const GraphFacts& facts) {
  if (facts.family == Family::kInception2015) return 299;
  const NodeView* input = def.Find(facts.input_layer);
  if (input == nullptr) return 0;
  const auto shape = GraphDef::AttrShape(*input, "shape");
  if (shape && shape->size() == 4 && (*shape)[1] > 0 && (*shape)[1] == (*shape)[2])
    return static_cast<int>((*shape)[1]);
  // optimize_for_inference drops the shape. MobileNet's last pool covers the whole map, which is 1/32 of the
  // photo.
  const NodeView* pool = facts.family == Family::kMobileNetV1 ? OnlyNodeOf(def, "AvgPool") : nullptr;
  const auto ksize = pool == nullptr ? std::nullopt : GraphDef::AttrInts(*pool, "ksize");
  if (ksize && ksize->size() == 4 && (*ksize)[1] == (*ksize)[2] && (*ksize)[1] > 0 && (*ksize)[1] <= 512)
    return static_cast<int>((*ksize)[1]) * 32;
  return 0;
}

}  // namespace

GraphFacts InspectGraph(const GraphDef& def) {
  GraphFacts facts;
  facts.family = FamilyOf(def);
  facts.input_layer = InputLayerOf(def, facts.family);
  const NodeView* bottleneck = FindBottleneckPlaceholder(def);
  facts.output_layer = OutputLayerOf(def, facts, bottleneck);
  facts.bottleneck_layer = BottleneckLayerOf(def, facts.family, bottleneck);
  facts.input_size = InputSizeOf(def, facts);
  facts.has_normalization = facts.family != Family::kUnknown;
  switch (facts.family) {
    case Family::kMobileNetV1:
      facts.normalization = {127.5f, 127.5f, Normalization::Mode::kMultiply};
      break;
    case Family::kInception2015:
      facts.normalization = {128.0f, 128.0f, Normalization::Mode::kMultiply};
      break;
    case Family::kHub:
      facts.normalization = {0.0f, 255.0f, Normalization::Mode::kMultiply};
      break;
    case Family::kUnknown:
      break;
  }
  return facts;
}

bool GivesImageNetClasses(const GraphFacts& facts, std::string_view output_layer) {
  return facts.family == Family::kMobileNetV1 && output_layer.starts_with("MobilenetV1/Predictions/");
}

}  // namespace couplet
