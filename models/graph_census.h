// What a network is made of, counted off its graph.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "runtime/graph.h"

namespace couplet {

struct GraphCensus {
  int weight_layers = 0;     // convolutions, depthwise ones and fully connected layers
  int64_t parameters = 0;    // weights, and an offset a channel where there is one
  double multiply_adds = 0;  // of one photo, pools left out
  std::map<std::string, int> kinds;  // layers by kind, "Conv": 15
};

// Of the graph as the engine runs it: batch norms folded, so that they count as offsets.
GraphCensus CountGraph(const Graph& graph);

}  // namespace couplet
