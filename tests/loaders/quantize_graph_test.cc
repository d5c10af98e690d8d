// SPDX-License-Identifier: Apache-2.0
#include "loaders/quantize_graph.h"

#include <cmath>

#include "loaders/import_tf.h"
#include "tests/support/table.h"
#include "tests/support/test.h"
#include "tests/support/tiny_graph.h"

using namespace couplet;
using namespace couplet::test;

namespace {

using Mode = QuantizeOptions::Mode;

GraphDef MustParse(const std::string& bytes) {
  auto def = ParseBytes(bytes);
  REQUIRE_MESSAGE(def.ok(), def.status().message());
  return *std::move(def);
}

// x * w + e, where e is as small as a batch norm's epsilon.
std::string SmallGraph(float epsilon) {
  TinyGraph graph;
  graph.Placeholder();
  graph.Ramp("w", {1, 1, 3, 2});
  graph.Floats("epsilon", {}, {epsilon});
  graph.Int32s("shape", {2}, {1, 2});
  graph.Node("conv", "Conv2D", {"input", "w"}).Ints("strides", {1, 1, 1, 1}).String("padding", "SAME");
  graph.Node("out", "Add", {"conv", "epsilon"});
  graph.Ramp("unused", {4});
  return graph.Bytes();
}

QuantizedGraph MustQuantize(const std::string& bytes, QuantizeOptions options) {
  options.outputs = {"out"};
  auto result = QuantizeGraph(MustParse(bytes), options);
  REQUIRE_MESSAGE(result.ok(), result.status().message());
  return *std::move(result);
}

float Value(const std::string& bytes, const std::string& node, size_t i = 0) {
  const auto value = EvaluateConstant(MustParse(bytes), node);
  REQUIRE_MESSAGE(value.ok(), value.status().message());
  return value->at(i);
}

}  // namespace

TEST_CASE("quantize_graph: the bytes and ranges that TensorFlow's quantize_v2 gives") {
  for (const auto& row : ReadTable("tests/golden/tools/eight_bits.tsv")) {
    CAPTURE(row[0]);
    const std::vector<float> values = ParseFloats(row[1]), range = ParseFloats(row[2]), used = ParseFloats(row[3]);
    const EightBits eight = QuantizeToEightBits(values);
    CHECK(eight.min == range[0]);
    CHECK(eight.max == range[1]);
    CHECK(eight.widened == (range != used));
    std::vector<float> bytes;
    for (const char c : eight.bytes) bytes.push_back(static_cast<float>(static_cast<uint8_t>(c)));
    CHECK(bytes == ParseFloats(row[4]));
  }
}

TEST_CASE("quantize_graph: the buckets that numpy gives") {
  for (const auto& row : ReadTable("tests/golden/tools/rounded.tsv")) {
    CAPTURE(row[0]);
    std::vector<float> values = ParseFloats(row[2]);
    RoundToBuckets(std::stoi(row[1]), &values);
    CHECK(values == ParseFloats(row[3]));
  }
}

TEST_CASE("quantize_graph: a constant too small for eight bits stays, or breaks as in the original when asked to") {
  const std::string bytes = SmallGraph(0.001f);
  const QuantizedGraph kept = MustQuantize(bytes, {.outputs = {}, .mode = Mode::kWeights});
  CHECK(kept.constants == 1);
  CHECK(kept.left == std::vector<std::string>{"epsilon"});
  CHECK(Value(kept.bytes, "epsilon") == 0.001f);
  const QuantizedGraph broken = MustQuantize(bytes, {.outputs = {}, .mode = Mode::kWeights, .break_small_ranges = true});
  CHECK(broken.constants == 2);
  CHECK(broken.left.empty());
  CHECK(std::fabs(Value(broken.bytes, "epsilon") - 0.000101960788f) <= 1e-10f);  // what TensorFlow makes of it
  // 0 is in the range: (3 - 0) / 255 apart.
  CHECK(std::fabs(Value(kept.bytes, "w", 1) - 1.0f) <= 3.0f / 255 / 2 + 1e-6f);
}

TEST_CASE("quantize_graph: four nodes for each constant, what nothing needs is gone, other types stay") {
  const GraphDef got = MustParse(MustQuantize(SmallGraph(1), {.outputs = {}, .mode = Mode::kWeights}).bytes);
  std::vector<std::string> names;
  for (const NodeView& node : got.nodes()) names.push_back(std::string(node.name) + " " + std::string(node.op));
  CHECK(names == std::vector<std::string>{"input Placeholder", "w_quint8_const Const", "w_min Const", "w_max Const",
                                          "w Dequantize", "epsilon_quint8_const Const", "epsilon_min Const",
                                          "epsilon_max Const", "epsilon Dequantize", "conv Conv2D", "out Add"});
  CHECK(GraphDef::AttrString(*got.Find("w"), "mode") == "MIN_COMBINED");
  CHECK(GraphDef::AttrShape(*got.Find("w_quint8_const"), "value") == std::nullopt);
  CHECK(got.ConstValue(*got.Find("w_quint8_const"))->dims == std::vector<int64_t>{1, 1, 3, 2});
}

TEST_CASE("quantize_graph: weights_rounded keeps nodes and shapes") {
  const GraphDef got = MustParse(MustQuantize(SmallGraph(0.001f), {.outputs = {}, .bits = 1}).bytes);
  REQUIRE(got.nodes().size() == 5);
  const auto weights = EvaluateConstant(got, "w");
  REQUIRE(weights.ok());
  CHECK(weights->dims() == std::vector<int64_t>{1, 1, 3, 2});
  CHECK(weights->ToVector() == std::vector<float>{1.125f, 1.125f, 1.125f, 2.375f, 2.375f, 2.375f});
  CHECK(EvaluateConstant(got, "epsilon")->at(0) == 0.001f);  // one value has no width
}

TEST_CASE("quantize_graph: what cannot be quantised is named") {
  QuantizeOptions options{.outputs = {"outs"}};
  CHECK(NotTheLine(QuantizeGraph(MustParse(SmallGraph(1)), options).status(),
                   {"tiny.pb", "--output_node_names", "'outs'", "nearest: out"}) == "");
  options.outputs = {"out"};
  CHECK(NotTheLine(QuantizeGraph(MustParse(SmallGraph(std::nanf(""))), options).status(),
                   {"tiny.pb", "'epsilon'", "not finite"}) == "");
  TinyGraph taken;
  taken.Ramp("a", {2});
  taken.Ramp("a_min", {2});
  taken.Node("out", "Add", {"a", "a_min"});
  options.mode = Mode::kWeights;
  CHECK(NotTheLine(QuantizeGraph(MustParse(taken.Bytes()), options).status(), {"'a_min'", "weights_rounded"}) == "");
}
