// Which labels belong to a graph.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "runtime/status.h"

namespace couplet {

// `given` (--labels), or what lies beside the graph (x_labels.txt for x_graph.pb first), or ImageNet's for a graph that knows those, or in
// tf_files/; which was taken goes to stderr. kBadInput: none, or
// not as many as the graph has scores.
Result<std::vector<std::string>> ReadLabelsFor(const std::string& given, const std::string& graph, int scores,
                                               bool knows_imagenet);

}  // namespace couplet
