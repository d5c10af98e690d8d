// What a layer must at least move and compute: the floor its time is held against. Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/graph.h"

namespace couplet {

struct LayerCost {
  double weight_bytes = 0.0;   // read once a batch
  double photo_bytes = 0.0;    // every source read once, the result written once; of one photo
  double multiply_adds = 0.0;  // of one photo
};

// Of graph.layers[index], where a number of an activation or weight takes element_bytes. The bytes of a
// Preprocess are those of its result: how big its photos are is not known here.
LayerCost CostOf(const Graph& graph, int index, double element_bytes);

}  // namespace couplet
