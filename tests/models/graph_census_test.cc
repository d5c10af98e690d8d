// SPDX-License-Identifier: Apache-2.0
#include "models/graph_census.h"

#include <string>

#include "loaders/graphdef.h"
#include "loaders/import_tf.h"
#include "tests/support/graph_generator.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

TEST_CASE("graph census: MobileNet 0.25_128 has the layers, weights and products that its paper's table gives") {
  const std::string bytes = test::GenerateMobileNet({});
  const auto def = GraphDef::Parse(std::as_bytes(std::span(bytes)), nullptr, "generated");
  REQUIRE(def.ok());
  ImportOptions options;
  options.input_layer = "input";
  options.output_layer = test::kMobileNetBottleneck;
  options.input_height = options.input_width = 128;
  const auto graph = ImportGraph(*def, options);
  REQUIRE(graph.ok());
  const GraphCensus census = CountGraph(*graph);
  CHECK(census.weight_layers == 28);  // a convolution, 13 pairs of depthwise and 1x1, the classes
  CHECK(census.kinds.at("Depthwise") == 13);
  // By hand: channels 8, then 16 32 32 64 64 128 (x5: 128) 256 256, strides 2 1 2 1 2 1 2 1 1 1 1 1 2 1.
  const int channels[14] = {8, 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256};
  const int strides[14] = {2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1};
  int64_t parameters = 3 * 9 * 8 + 8;
  double products = 64.0 * 64 * 27 * 8;
  int side = 64;
  for (int i = 1; i < 14; ++i) {
    side /= strides[i];
    parameters += 9 * channels[i - 1] + channels[i - 1] + channels[i - 1] * channels[i] + channels[i];
    products += double{1} * side * side * (9 * channels[i - 1] + channels[i - 1] * channels[i]);
  }
  parameters += 256 * 1001 + 1001;
  products += 256 * 1001;
  CHECK(census.parameters == parameters);
  CHECK(census.multiply_adds == products);
}

}  // namespace
}  // namespace couplet
