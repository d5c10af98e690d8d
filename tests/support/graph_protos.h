// GraphDefs through protobuf itself, so that a test does not check our reader with our writer.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "loaders/tensorflow.pb.h"

namespace couplet::test {

// REQUIREs that the bytes are a GraphDef.
tf::GraphDef ParseGraph(const std::string& bytes);
// "" when the nodes are equal: name, op, inputs in order, device, attributes. Otherwise what differs. With
// `any_values` a constant's values are not compared, only its type, shape and how the values are held.
std::string NodeDifference(const tf::NodeDef& a, const tf::NodeDef& b, bool any_values);
// The first difference between two graphs' nodes, "" when there is none.
std::string GraphDifference(const tf::GraphDef& a, const tf::GraphDef& b, bool any_values);
// Null when there is none.
const tf::NodeDef* FindNode(const tf::GraphDef& graph, const std::string& name);

}  // namespace couplet::test
