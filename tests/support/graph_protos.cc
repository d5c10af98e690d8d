// SPDX-License-Identifier: Apache-2.0
#include "tests/support/graph_protos.h"

#include <algorithm>

#include "tests/support/test.h"

namespace couplet::test {

namespace {

// Values replaced by a word on how they are held.
tf::AttrValue WithoutValues(const tf::AttrValue& attr) {
  if (attr.value_case() != tf::AttrValue::kTensor) return attr;
  const tf::TensorProto& tensor = attr.tensor();
  tf::AttrValue bare;
  bare.mutable_tensor()->set_dtype(tensor.dtype());
  *bare.mutable_tensor()->mutable_tensor_shape() = tensor.tensor_shape();
  std::string held = std::to_string(tensor.tensor_content().empty() ? 0 : 1);
  for (const int count : {tensor.float_val_size(), tensor.int_val_size(), tensor.string_val_size()})
    held.append(",").append(std::to_string(count));
  bare.mutable_tensor()->set_tensor_content(held);
  return bare;
}

}  // namespace

tf::GraphDef ParseGraph(const std::string& bytes) {
  tf::GraphDef graph;
  REQUIRE(graph.ParseFromString(bytes));
  return graph;
}

std::string NodeDifference(const tf::NodeDef& a, const tf::NodeDef& b, bool any_values) {
  const std::string where = "node " + a.name() + ": ";
  if (a.name() != b.name()) return where + "is " + b.name();
  if (a.op() != b.op()) return where + a.op() + " is " + b.op();
  if (a.device() != b.device()) return where + "device " + a.device() + " is " + b.device();
  if (!std::equal(a.input().begin(), a.input().end(), b.input().begin(), b.input().end()))
    return where + "inputs";
  for (const auto& [key, value] : b.attr())
    if (!a.attr().contains(key)) return where + "lacks attribute " + key;
  for (const auto& [key, value] : a.attr()) {
    if (!b.attr().contains(key)) return where + "has attribute " + key;
    const tf::AttrValue& other = b.attr().at(key);
    const bool equal =
        any_values ? WithoutValues(value).SerializeAsString() == WithoutValues(other).SerializeAsString()
                   : value.SerializeAsString() == other.SerializeAsString();
    if (!equal) return where + "attribute " + key;
  }
  return "";
}

std::string GraphDifference(const tf::GraphDef& a, const tf::GraphDef& b, bool any_values) {
  for (int i = 0; i < std::min(a.node_size(), b.node_size()); ++i)
    if (const auto difference = NodeDifference(a.node(i), b.node(i), any_values); !difference.empty())
      return difference;
  if (a.node_size() != b.node_size())
    return std::to_string(a.node_size()) + " nodes are " + std::to_string(b.node_size());
  return "";
}

const tf::NodeDef* FindNode(const tf::GraphDef& graph, const std::string& name) {
  for (const auto& node : graph.node())
    if (node.name() == name) return &node;
  return nullptr;
}

}  // namespace couplet::test
