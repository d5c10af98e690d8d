// SPDX-License-Identifier: Apache-2.0
#include "loaders/graph_rewrite.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "loaders/nearest_name.h"
#include "loaders/node_writer.h"
#include "loaders/wire_fields.h"

namespace couplet {
namespace {

using Type = WireFields::Type;

// NodeDef's field numbers that GraphNode has members for.
constexpr int kName = 1, kOp = 2, kInput = 3, kAttr = 5;

// Nodes beside which `node` is to live: "loc:@name" in its attribute _class.
std::vector<std::string> ColocatedWith(const GraphNode& node) {
  std::vector<std::string> names;
  const std::string* attr = node.attr("_class");
  tf::AttrValue value;
  if (attr == nullptr || !value.ParseFromString(*attr)) return names;
  constexpr std::string_view kPrefix = "loc:@";
  for (const std::string& text : value.list().s())
    names.push_back(text.starts_with(kPrefix) ? text.substr(kPrefix.size()) : text);
  return names;
}

// TensorFlow refuses a graph in which a node is to live beside one that is not there.
void DropLostColocations(GraphNodes* nodes) {
  std::unordered_set<std::string_view> names;
  for (const GraphNode& node : *nodes) names.insert(node.name);
  for (GraphNode& node : *nodes) {
    const std::vector<std::string> beside = ColocatedWith(node);
    if (std::any_of(beside.begin(), beside.end(), [&](const std::string& name) { return !names.contains(name); }))
      std::erase_if(node.attrs, [](const auto& attr) { return attr.first == "_class"; });
  }
}

bool IsControl(std::string_view input) {
  return input.starts_with('^');
}

// Control edges to the nodes of `passed_on` go; what else reads such a node reads what the node passes on.
void SpliceOut(const std::unordered_map<std::string, std::string>& passed_on, GraphNodes* nodes) {
  std::erase_if(*nodes, [&](const GraphNode& node) { return passed_on.contains(node.name); });
  for (GraphNode& node : *nodes) {
    std::erase_if(node.inputs, [&](const std::string& input) {
      return IsControl(input) && passed_on.contains(input.substr(1));
    });
    for (std::string& input : node.inputs) {
      // As many times at most as there are such nodes: a damaged file may have them in a ring.
      for (size_t hops = 0; hops < passed_on.size() && !IsControl(input); ++hops) {
        const auto found = passed_on.find(std::string(NodeNameOf(input)));
        if (found == passed_on.end()) break;
        input = found->second;
      }
    }
  }
}

}  // namespace

std::string OtherFields(const NodeView& node) {
  std::string rest;
  WireFields fields(node.raw);
  while (fields.Next()) {
    const int number = fields.number();
    if (number == kName || number == kOp || number == kInput || number == kAttr) continue;
    if (fields.type() == Type::kBytes) AppendField(number, fields.text(), &rest);
  }
  return rest;
}

const std::string* GraphNode::attr(std::string_view key) const {
  for (const auto& [own_key, value] : attrs)
    if (own_key == key) return &value;
  return nullptr;
}

GraphNodes TakeApart(const GraphDef& def) {
  GraphNodes nodes;
  nodes.reserve(def.nodes().size());
  for (const NodeView& view : def.nodes()) {
    GraphNode& node = nodes.emplace_back();
    node.name = view.name;
    node.op = view.op;
    node.inputs.assign(view.inputs.begin(), view.inputs.end());
    for (const auto& [key, value] : view.attrs)
      node.attrs.emplace_back(key, std::string(reinterpret_cast<const char*>(value.data()), value.size()));
    node.rest = OtherFields(view);
  }
  return nodes;
}

std::string Serialize(const GraphNodes& nodes) {
  GraphWriter writer;
  for (const GraphNode& node : nodes)
    writer.AddSerialized(node.name, node.op, node.inputs, node.attrs, node.rest);
  return std::move(writer).Finish(/*with_library=*/false);
}

std::unordered_map<std::string_view, size_t> PlacesOf(const GraphNodes& nodes) {
  std::unordered_map<std::string_view, size_t> places;
  for (size_t i = 0; i < nodes.size(); ++i) places.emplace(nodes[i].name, i);
  return places;
}

std::unordered_map<std::string_view, int> ReaderCounts(const GraphNodes& nodes,
                                                       const std::vector<std::string>& outputs) {
  std::unordered_map<std::string_view, int> counts;
  for (const GraphNode& node : nodes)
    for (const std::string& input : node.inputs) ++counts[NodeNameOf(input)];
  for (const std::string& output : outputs) ++counts[output];
  return counts;
}

GraphNodes KeepNeeded(GraphNodes nodes, const std::vector<std::string>& outputs) {
  const auto places = PlacesOf(nodes);
  std::vector<bool> needed(nodes.size(), false);
  std::vector<std::string> pending = outputs;
  while (!pending.empty()) {
    const auto place = places.find(pending.back());
    pending.pop_back();
    if (place == places.end() || needed[place->second]) continue;  // a node to live beside may be gone
    needed[place->second] = true;
    const GraphNode& node = nodes[place->second];
    for (const std::string& input : node.inputs) pending.emplace_back(NodeNameOf(input));
    for (std::string& name : ColocatedWith(node)) pending.push_back(std::move(name));
  }
  GraphNodes kept;
  for (size_t i = 0; i < nodes.size(); ++i)
    if (needed[i]) kept.push_back(std::move(nodes[i]));
  DropLostColocations(&kept);
  return kept;
}

GraphNodes RemoveTrainingNodes(GraphNodes nodes, const std::vector<std::string>& outputs) {
  const std::unordered_set<std::string_view> kept(outputs.begin(), outputs.end());
  std::unordered_map<std::string, std::string> checks, identities;  // name -> what it passes on
  for (const GraphNode& node : nodes)
    if (node.op == "CheckNumerics" && !kept.contains(node.name) && !node.inputs.empty())
      checks.emplace(node.name, node.inputs[0]);
  SpliceOut(checks, &nodes);
  std::unordered_set<std::string> read_for_control;
  for (const GraphNode& node : nodes)
    for (const std::string& input : node.inputs)
      if (IsControl(input)) read_for_control.insert(input.substr(1));
  for (const GraphNode& node : nodes)
    if (node.op == "Identity" && node.inputs.size() == 1 && !IsControl(node.inputs[0]) && !kept.contains(node.name) &&
        !read_for_control.contains(node.name))
      identities.emplace(node.name, node.inputs[0]);
  SpliceOut(identities, &nodes);
  DropLostColocations(&nodes);
  return nodes;
}

Status CheckNames(const GraphDef& def, const std::vector<std::string>& names, const char* flag) {
  for (const std::string& name : names) {
    if (def.IndexOf(name) >= 0) continue;
    std::vector<std::string_view> there;
    for (const NodeView& node : def.nodes())
      if (node.op != "Const") there.push_back(node.name);
    const auto nearest = NearestNames(name, there, 3);
    return BadInput(fmt::format("{}: {}: there is no node '{}'{}", def.path(), flag, name,
                                nearest.empty() ? ""
                                                : fmt::format(" (nearest: {})", fmt::join(nearest, ", "))));
  }
  return {};
}

}  // namespace couplet
