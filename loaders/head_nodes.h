// What the retrained graph and the training graph share: the part of the backbone that the head reads, and
// the names of the head's nodes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "loaders/graphdef.h"
#include "loaders/node_writer.h"

namespace couplet {

struct HeadPlan {
  std::vector<const NodeView*> backbone;  // in the file's order
  std::string bottleneck;                 // as an input is written: "pool_3/_reshape", "split:1"
  std::string input_scope;                // "input", or "input_1" where the backbone has a node "input"
  std::string placeholder;                // "input_1/BottleneckInputPlaceholder"
  std::string scope;                      // "final_training_ops"
  std::string weights, biases;            // "final_training_ops/weights/final_weights"
  std::string matmul, logits;             // "final_training_ops/Wx_plus_b/MatMul" and ".../add"
  std::string final_tensor;
  HeadShape shape;
};

// kBadInput when the bottleneck does not exist or the final tensor's name cannot be used.
Result<HeadPlan> PlanHead(const GraphDef& backbone, const HeadShape& shape,
                          const RetrainedGraphOptions& options);

// The nodes from the placeholder to the softmax, between and after which a caller puts its own.
void AddBottleneckPlaceholder(const HeadPlan& plan, GraphWriter* writer);
void AddVariableRead(const std::string& variable, GraphWriter* writer);
void AddLogitsAndSoftmax(const HeadPlan& plan, GraphWriter* writer);

}  // namespace couplet
