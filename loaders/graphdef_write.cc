// The frozen graph that retrain.py writes: graph_util.convert_variables_to_constants keeps the nodes that the
// final tensor needs, in the graph's order, and makes the head's two variables constants. Names, attributes
// and order were read off graphs that retrain.py wrote.
// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <unordered_set>

#include "loaders/graphdef.h"
#include "loaders/head_nodes.h"
#include "loaders/node_writer.h"

namespace couplet {

namespace {

// The nodes that `wanted` needs, control inputs included, in the file's order.
std::vector<const NodeView*> ReachableNodes(const GraphDef& def, int wanted) {
  const auto& nodes = def.nodes();
  std::vector<bool> reached(nodes.size(), false);
  std::vector<int> pending = {wanted};
  reached[static_cast<size_t>(wanted)] = true;
  while (!pending.empty()) {
    const NodeView& node = nodes[static_cast<size_t>(pending.back())];
    pending.pop_back();
    for (const std::string_view input : node.inputs) {
      const int source = def.IndexOf(NodeNameOf(input));
      COUPLET_CHECK(source >= 0);  // GraphDef::Parse has seen to it
      if (reached[static_cast<size_t>(source)]) continue;
      reached[static_cast<size_t>(source)] = true;
      pending.push_back(source);
    }
  }
  std::vector<const NodeView*> kept;
  for (size_t i = 0; i < nodes.size(); ++i)
    if (reached[i]) kept.push_back(&nodes[i]);
  return kept;
}

using Names = std::unordered_set<std::string_view>;

// TensorFlow's Graph.unique_name, scope by scope: "input/x" becomes "input_1/x" beside a node "input".
std::string UniqueName(std::string_view wanted, const Names& used) {
  std::string name;
  while (!wanted.empty()) {
    const size_t slash = wanted.find('/');
    const std::string base = name + std::string(wanted.substr(0, slash));
    name = base;
    for (int i = 1; used.contains(name); ++i) name = base + "_" + std::to_string(i);
    wanted.remove_prefix(slash == std::string_view::npos ? wanted.size() : slash + 1);
    if (!wanted.empty()) name += '/';
  }
  return name;
}

// TensorFlow's rule for node names: [A-Za-z0-9.][A-Za-z0-9_.\-/]*
bool IsNodeName(std::string_view name) {
  if (name.empty()) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool first = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.';
    if (!first && (i == 0 || (c != '_' && c != '-' && c != '/'))) return false;
  }
  return true;
}

Status CheckFinalName(const HeadPlan& plan, const Names& used) {
  const std::string& name = plan.final_tensor;
  if (!IsNodeName(name))
    return BadInput(
        "--final_tensor_name=" + name +
        ": not a node name; use letters, digits, '_', '.', '-' and '/', beginning with a letter or digit");
  const std::array<std::string, 7> head = {plan.placeholder, plan.weights,          plan.weights + "/read",
                                           plan.biases,      plan.biases + "/read", plan.matmul,
                                           plan.logits};
  bool taken = used.contains(name);
  for (const std::string& other : head) taken = taken || other == name;
  if (taken)
    return BadInput("--final_tensor_name=" + name +
                    ": the graph already has a node of that name; choose another");
  return {};
}

}  // namespace

Result<HeadPlan> PlanHead(const GraphDef& backbone, const HeadShape& shape,
                          const RetrainedGraphOptions& options) {
  HeadPlan plan;
  plan.shape = shape;
  plan.bottleneck = options.bottleneck_tensor;
  if (plan.bottleneck.ends_with(":0")) plan.bottleneck.resize(plan.bottleneck.size() - 2);
  const int wanted = backbone.IndexOf(NodeNameOf(plan.bottleneck));
  if (wanted < 0)
    return BadInput(backbone.path() + ": has no node " + plan.bottleneck + " to take the bottleneck from");
  plan.backbone = ReachableNodes(backbone, wanted);

  Names used;
  for (const NodeView* node : plan.backbone) used.insert(node->name);
  plan.input_scope = UniqueName("input", used);
  plan.placeholder = UniqueName(plan.input_scope + "/BottleneckInputPlaceholder", used);
  plan.scope = UniqueName("final_training_ops", used);
  plan.weights = UniqueName(plan.scope + "/weights/final_weights", used);
  plan.biases = UniqueName(plan.scope + "/biases/final_biases", used);
  plan.matmul = UniqueName(plan.scope + "/Wx_plus_b/MatMul", used);
  plan.logits = UniqueName(plan.scope + "/Wx_plus_b/add", used);
  plan.final_tensor = options.final_tensor_name;
  COUPLET_RETURN_IF_ERROR(CheckFinalName(plan, used));
  return plan;
}

void AddBottleneckPlaceholder(const HeadPlan& plan, GraphWriter* writer) {
  const int64_t dims[] = {-1, plan.shape.features};
  writer->Add(plan.placeholder, "PlaceholderWithDefault", {plan.bottleneck},
              {{"dtype", TypeAttr(tf::DT_FLOAT)}, {"shape", ShapeAttr(dims)}});
}

void AddVariableRead(const std::string& variable, GraphWriter* writer) {
  writer->Add(variable + "/read", "Identity", {variable},
              {{"T", TypeAttr(tf::DT_FLOAT)}, {"_class", ColocationAttr(variable)}});
}

void AddLogitsAndSoftmax(const HeadPlan& plan, GraphWriter* writer) {
  const auto type = TypeAttr(tf::DT_FLOAT);
  writer->Add(plan.matmul, "MatMul", {plan.placeholder, plan.weights + "/read"},
              {{"transpose_b", BoolAttr(false)}, {"T", type}, {"transpose_a", BoolAttr(false)}});
  writer->Add(plan.logits, "Add", {plan.matmul, plan.biases + "/read"}, {{"T", type}});
  writer->Add(plan.final_tensor, "Softmax", {plan.logits}, {{"T", type}});
}

Status CheckRetrainedGraph(const GraphDef& backbone, const HeadShape& shape, const RetrainedGraphOptions& options) {
  return PlanHead(backbone, shape, options).status();
}

Result<std::string> SerializeRetrainedGraph(const GraphDef& backbone, const HeadShape& shape,
                                            const HeadParams& params, const RetrainedGraphOptions& options) {
  const int64_t weight_dims[] = {shape.features, shape.classes}, bias_dims[] = {shape.classes};
  COUPLET_CHECK(params.weights.size() ==
                static_cast<size_t>(shape.features) * static_cast<size_t>(shape.classes));
  COUPLET_CHECK(params.biases.size() == static_cast<size_t>(shape.classes));
  COUPLET_ASSIGN_OR_RETURN(const HeadPlan plan, PlanHead(backbone, shape, options));

  GraphWriter writer;
  writer.Reserve(backbone.bytes().size() + params.weights.size() * sizeof(float) + 4096);
  for (const NodeView* node : plan.backbone) writer.AddRaw(node->raw);
  AddBottleneckPlaceholder(plan, &writer);
  const auto add_variable = [&](const std::string& name, std::span<const int64_t> dims,
                                std::span<const float> values) {
    writer.Add(name, "Const", {},
               {{"value", FloatTensorAttr(dims, values)}, {"dtype", TypeAttr(tf::DT_FLOAT)}});
    AddVariableRead(name, &writer);
  };
  add_variable(plan.weights, weight_dims, params.weights);
  add_variable(plan.biases, bias_dims, params.biases);
  AddLogitsAndSoftmax(plan, &writer);
  return std::move(writer).Finish();
}

}  // namespace couplet
