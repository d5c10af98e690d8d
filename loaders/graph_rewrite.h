// A GraphDef taken apart, to be changed and written again: what the tools of the second codelab share.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "loaders/graphdef.h"

namespace couplet {

struct GraphNode {
  std::string name, op;
  std::vector<std::string> inputs;                        // as written: "a", "a:1", "^control"
  std::vector<std::pair<std::string, std::string>> attrs;  // name, serialised AttrValue
  std::string rest;                                       // device and whatever else, serialised

  const std::string* attr(std::string_view key) const;  // nullptr: none
};
using GraphNodes = std::vector<GraphNode>;

// A node's fields beside name, op, inputs and attributes, such as the device, serialised. All of NodeDef's have a length; anything else is
// none of TensorFlow's and is left out.
std::string OtherFields(const NodeView& node);

GraphNodes TakeApart(const GraphDef& def);

// The bytes of the graph: neither library nor versions, as the original tools leave them out.
std::string Serialize(const GraphNodes& nodes);

// Places by name; views into `nodes`.
std::unordered_map<std::string_view, size_t> PlacesOf(const GraphNodes& nodes);

// How often each node is read, control inputs included, and once more for each that `outputs` names.
std::unordered_map<std::string_view, int> ReaderCounts(const GraphNodes& nodes,
                                                       const std::vector<std::string>& outputs);

// graph_util.extract_sub_graph: what `outputs` need, in the graph's order; nodes that others are to live beside
// (_class) count as needed. REQUIRES: each of `outputs` is there.
GraphNodes KeepNeeded(GraphNodes nodes, const std::vector<std::string>& outputs);

// graph_util.remove_training_nodes: without CheckNumerics, and without Identity where no control edge comes or
// goes; `outputs` stay. What reads a CheckNumerics then reads what that checked; the original drops the edge.
GraphNodes RemoveTrainingNodes(GraphNodes nodes, const std::vector<std::string>& outputs);

// kBadInput naming the file, `flag`, the name that is missing and the nearest that are there.
Status CheckNames(const GraphDef& def, const std::vector<std::string>& names, const char* flag);

}  // namespace couplet
