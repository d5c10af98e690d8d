// Graph -> Graph rewrites, each tested alone. None changes what the graph computes beyond rounding.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/graph.h"

namespace couplet {

Graph DropIdentity(Graph graph);       // readers of an Identity read its source; the output keeps its name
Graph FoldPad(Graph graph);            // Pad into the Conv, Depthwise that alone reads it
Graph FoldAffine(Graph graph);         // Affine into the scale and bias of the Conv, Depthwise, FullyConnected before it
Graph FuseActivation(Graph graph);     // Activation into the layer before it
Graph DropUnreachable(Graph graph);    // what the output does not need
Graph Optimize(Graph graph);           // all of them, in the order that works

}  // namespace couplet
