// SPDX-License-Identifier: Apache-2.0
#include "runtime/layer_cost.h"

#include "tests/support/test.h"

using namespace couplet;

TEST_CASE("layer cost: bytes and multiply-adds counted by hand") {
  Graph graph;
  graph.layers.push_back({"in", {}, {1, 4, 4, 2}, InputAttrs{}});
  ConvAttrs conv;
  conv.sh = conv.sw = 2;
  conv.weights = ConstTensor({3, 3, 2, 5}, std::vector<float>(90));
  graph.layers.push_back({"conv", {0}, {1, 2, 2, 5}, conv});
  DepthwiseAttrs depthwise;
  depthwise.weights = ConstTensor({3, 3, 5, 1}, std::vector<float>(45));
  graph.layers.push_back({"depthwise", {1}, {1, 2, 2, 5}, depthwise});
  FullyConnectedAttrs full;
  full.weights = ConstTensor({20, 7}, std::vector<float>(140));
  graph.layers.push_back({"full", {2}, {1, 1, 1, 7}, full});
  graph.layers.push_back(
      {"pool", {0}, {1, 2, 2, 2}, PoolAttrs{.kh = 2, .kw = 3, .sh = 2, .sw = 2, .pads = {}}});
  const double want[][3] = {
      {0, 32, 0}, {90, 32 + 20, 4 * 90}, {45, 20 + 20, 4 * 45}, {140, 20 + 7, 140}, {0, 32 + 8, 8 * 6}};
  for (const double element_bytes : {4.0, 2.0})
    for (int i = 0; i < 5; ++i) {
      CAPTURE(i);
      const LayerCost cost = CostOf(graph, i, element_bytes);
      CHECK(cost.weight_bytes == want[i][0] * element_bytes);
      CHECK(cost.photo_bytes == want[i][1] * element_bytes);
      CHECK(cost.multiply_adds == want[i][2]);
    }
}
