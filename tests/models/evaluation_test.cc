// SPDX-License-Identifier: Apache-2.0
#include "models/evaluation.h"

#include "tests/support/graph_generator.h"
#include "tests/support/test.h"
#include "tests/support/tiny_graph.h"

using namespace couplet;
using namespace couplet::test;

TEST_CASE("evaluation: the logits' layer of retrained graphs, of the networks' own heads, and of none") {
  MobileNetOptions options;
  options.head_classes = 2;
  const auto retrained = ParseBytes(GenerateMobileNet(options));
  REQUIRE(retrained.ok());
  CHECK(*LogitsLayer(*retrained, "") == "final_training_ops/Wx_plus_b/add");
  CHECK(*LogitsLayer(*retrained, "final_result:0") == "final_training_ops/Wx_plus_b/add");
  CHECK(NotTheLine(LogitsLayer(*retrained, "input").status(), {"'input' is no softmax", "--output_layer"}) == "");
  CHECK(NotTheLine(LogitsLayer(*retrained, "result").status(), {"no output layer 'result'"}) == "");
  const auto whole = ParseBytes(GenerateMobileNet({}));
  REQUIRE(whole.ok());
  CHECK(*LogitsLayer(*whole, "") == "MobilenetV1/Predictions/Reshape");
}
