// Damaged graphs: whatever a byte is changed to, the outcome is a graph or one line that names the file.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "loaders/import_tf.h"
#include "models/graph_facts.h"
#include "tests/support/test.h"
#include "tests/support/tiny_graph.h"

using namespace couplet;
using couplet::test::NotTheLine;
using couplet::test::ParseBytes;
using couplet::test::TinyGraph;

TEST_CASE("graphdef: flipped bytes never crash, and their errors are one line with the file's name") {
  TinyGraph graph;
  graph.Placeholder().Shape("shape", {1, 4, 4, 3});
  graph.Ramp("w", {3, 3, 3, 2});
  graph.Node("conv", "Conv2D", {"input", "w"}).Ints("strides", {1, 2, 2, 1}).String("padding", "SAME");
  graph.Tensor("b", tf::DT_FLOAT, {2}).add_float_val(1);
  graph.Node("bias", "BiasAdd", {"conv", "b"});
  graph.Int32s("shape", {2}, {-1, 8});
  graph.Node("out", "Reshape", {"bias", "shape"});
  const std::string whole = graph.Bytes();
  const ImportOptions options{.input_layer = "input",
                              .output_layer = "out",
                              .input_height = 4,
                              .input_width = 4,
                              .photos = false,
                              .normalization = {},
                              .allow_nonfinite = false};
  REQUIRE(ImportGraph(*graph.Parse(), options).ok());
  std::mt19937 random(1);
  int refused = 0, opened = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    std::string bytes = whole;
    for (uint64_t flips = 1 + random() % 3; flips > 0; --flips)
      bytes[random() % bytes.size()] = static_cast<char>(random() % 256);
    const auto def = ParseBytes(bytes);
    const Status status = def.ok() ? ImportGraph(*def, options).status() : def.status();
    opened += def.ok() ? 1 : 0;
    refused += status.ok() ? 0 : 1;
    if (!status.ok()) REQUIRE(NotTheLine(status, {"tiny.pb"}) == "");
  }
  CHECK(opened > 1000);
  CHECK(refused > 1000);
}

TEST_CASE("graphdef: a real graph with damaged structure never crashes") {
  COUPLET_NEEDS_SHARED(dir);
  const std::string path = dir + "/models/mobilenet_v1_0.25_128/quantized_graph.pb";
  const auto whole = GraphDef::Open(path);
  REQUIRE(whole.ok());
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::mt19937 random(2);
  int refused = 0;
  for (int trial = 0; trial < 400; ++trial) {
    std::string damaged = bytes;
    for (int flips = 0; flips < 3; ++flips) {
      // The first bytes of a node: lengths, name, op, inputs; weights would take most hits otherwise.
      const NodeView& node = whole->nodes()[random() % whole->nodes().size()];
      const auto start = static_cast<size_t>(node.raw.data() - whole->bytes().data());
      damaged[start - 2 + random() % std::min<size_t>(node.raw.size(), 200)] =
          static_cast<char>(random() % 256);
    }
    const auto def = ParseBytes(damaged);
    Status status = def.status();
    if (def.ok()) {
      const GraphFacts facts = InspectGraph(*def);
      const ImportOptions options{.input_layer = "input",
                                  .output_layer = facts.output_layer,
                                  .input_height = 128,
                                  .input_width = 128,
                                  .photos = true,
                                  .normalization = facts.normalization,
                                  .allow_nonfinite = false};
      status = ImportGraph(*def, options).status();
    }
    refused += status.ok() ? 0 : 1;
    if (!status.ok()) REQUIRE(NotTheLine(status, {"tiny.pb"}) == "");
  }
  CHECK(refused > 200);
}
