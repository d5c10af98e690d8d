// SPDX-License-Identifier: Apache-2.0
#include "models/graph_facts.h"

#include "tests/support/test.h"
#include "tests/support/tiny_graph.h"

using namespace couplet;
using couplet::test::TinyGraph;
using couplet::test::TinyNode;
using Family = GraphFacts::Family;

namespace {

void CheckFacts(const GraphFacts& facts, Family family, const char* input, const char* bottleneck,
                const char* output, int size) {
  CHECK(facts.family == family);
  CHECK(facts.input_layer == input);
  CHECK(facts.bottleneck_layer == bottleneck);
  CHECK(facts.output_layer == output);
  CHECK(facts.input_size == size);
}

void CheckNormalization(const GraphFacts& facts, float mean, float std) {
  CHECK(facts.has_normalization);
  CHECK(facts.normalization.mean == mean);
  CHECK(facts.normalization.std == std);
  CHECK(facts.normalization.mode == Normalization::Mode::kMultiply);
}

// retrain.py's head on the node `features`.
void AddHead(TinyGraph* graph, const std::string& scope, const std::string& features,
             const std::string& last) {
  graph->Node("input_1/BottleneckInputPlaceholder", "PlaceholderWithDefault", {features});
  graph->Ramp(scope + "/weights/final_weights", {3, 2});
  graph->Node(scope + "/Wx_plus_b/MatMul", "MatMul",
              {"input_1/BottleneckInputPlaceholder", scope + "/weights/final_weights"});
  graph->Node(last, "Softmax", {scope + "/Wx_plus_b/MatMul"});
}

}  // namespace

TEST_CASE("graph facts: the real graphs") {
  COUPLET_NEEDS_SHARED(dir);
  struct Case {
    std::string file, output;
    int size;
  };
  std::vector<Case> cases = {{"retrained/scratches_0.25_128/retrained_graph.pb", "final_result", 128},
                             {"retrained/scratches_0.25_128/optimized_graph.pb", "final_result", 128},
                             {"retrained/plates_0.25_128_addv2/retrained_graph.pb", "final_result", 128}};
  for (const char* name :
       {"0.25_128/frozen", "0.25_160/frozen", "0.25_192/frozen", "0.25_224/frozen", "0.25_128/quantized",
        "0.25_160/quantized", "0.25_192/quantized", "0.25_224/quantized", "0.50_160/quantized",
        "0.50_224/quantized", "0.75_160/quantized", "0.75_224/quantized"})
    cases.push_back({std::string("mobilenet_v1_").append(name).append("_graph.pb"),
                     "MobilenetV1/Predictions/Reshape_1", std::stoi(std::string(name).substr(5, 3))});
  for (const Case& expected : cases) {
    CAPTURE(expected.file);
    const auto def = GraphDef::Open(dir + "/models/" + expected.file);
    REQUIRE(def.ok());
    const GraphFacts facts = InspectGraph(*def);
    CheckFacts(facts, Family::kMobileNetV1, "input", "MobilenetV1/Predictions/Reshape",
               expected.output.c_str(), expected.size);
    CheckNormalization(facts, 127.5f, 127.5f);
  }
  const auto inception = GraphDef::Open(dir + "/models/inception_2015/classify_image_graph_def.pb");
  REQUIRE(inception.ok());
  const GraphFacts facts = InspectGraph(*inception);
  CheckFacts(facts, Family::kInception2015, "Mul", "pool_3/_reshape", "softmax", 299);
  CheckNormalization(facts, 128, 128);
}

TEST_CASE("graph facts: the retrained layer wins over the one that was there, whatever its name") {
  TinyGraph graph;
  graph.Placeholder("DecodeJpeg/contents");
  graph.Node("Mul", "Identity", {"DecodeJpeg/contents"});
  graph.Node("pool_3/_reshape", "Identity", {"Mul"});
  graph.Node("softmax", "Softmax", {"pool_3/_reshape"});
  AddHead(&graph, "final_training_ops", "pool_3/_reshape", "is_it_a_cat");
  const GraphFacts facts = InspectGraph(*graph.Parse());
  CheckFacts(facts, Family::kInception2015, "Mul", "pool_3/_reshape", "is_it_a_cat", 299);
  CheckNormalization(facts, 128, 128);
}

TEST_CASE("graph facts: Inception whose head was cut off is entered at Mul all the same") {
  TinyGraph graph;
  graph.Placeholder("Mul");
  graph.Node("pool_3/_reshape", "Identity", {"Mul"});
  graph.Node("softmax", "Softmax", {"pool_3/_reshape"});
  CheckFacts(InspectGraph(*graph.Parse()), Family::kInception2015, "Mul", "pool_3/_reshape", "softmax", 299);
}

TEST_CASE("graph facts: a hub graph") {
  TinyGraph graph;
  graph.Placeholder("Placeholder").Shape("shape", {-1, 299, 299, 3});
  graph.Node("module_apply_default/hub_output/feature_vector/SpatialSqueeze", "Squeeze", {"Placeholder"});
  AddHead(&graph, "final_retrain_ops", "module_apply_default/hub_output/feature_vector/SpatialSqueeze",
          "final_result");
  const GraphFacts facts = InspectGraph(*graph.Parse());
  CheckFacts(facts, Family::kHub, "Placeholder",
             "module_apply_default/hub_output/feature_vector/SpatialSqueeze", "final_result", 299);
  CheckNormalization(facts, 0, 255);
}

TEST_CASE("graph facts: MobileNet without the Placeholder's shape takes its size from the pool") {
  for (const int map : {4, 5, 6, 7}) {
    TinyGraph graph;
    graph.Placeholder();
    graph.Node("MobilenetV1/Logits/AvgPool_1a/AvgPool", "AvgPool", {"input"}).Ints("ksize", {1, map, map, 1});
    CHECK(InspectGraph(*graph.Parse()).input_size == 32 * map);
  }
  TinyGraph oblong;
  oblong.Placeholder();
  oblong.Node("MobilenetV1/Logits/AvgPool_1a/AvgPool", "AvgPool", {"input"}).Ints("ksize", {1, 4, 5, 1});
  CHECK(InspectGraph(*oblong.Parse()).input_size == 0);
}

TEST_CASE("graph facts: of a graph of another family only what stands in it is told") {
  TinyGraph graph;
  graph.Placeholder("images").Shape("shape", {-1, 32, 32, 3});
  graph.Node("net", "Relu", {"images"});
  graph.Node("scores", "Softmax", {"net"});
  const GraphFacts facts = InspectGraph(*graph.Parse());
  CheckFacts(facts, Family::kUnknown, "images", "", "scores", 32);
  CHECK_FALSE(facts.has_normalization);
  graph.Placeholder("keep_prob");
  graph.Node("aside", "Relu", {"net"});
  CheckFacts(InspectGraph(*graph.Parse()), Family::kUnknown, "", "", "", 0);
}

TEST_CASE("graph facts: cycles and odd attributes do no harm") {
  TinyGraph graph;
  graph.Placeholder().Shape("shape", {1, 8, 9, 3});
  graph.Node("MobilenetV1/a", "Relu", {"MobilenetV1/b", "input"});
  graph.Node("MobilenetV1/b", "Relu", {"MobilenetV1/a"});
  graph.Node("pool", "AvgPool", {"input"}).Ints("ksize", {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX});
  const GraphFacts facts = InspectGraph(*graph.Parse());
  CHECK(facts.input_size == 0);
  CHECK(facts.output_layer == "pool");
}
