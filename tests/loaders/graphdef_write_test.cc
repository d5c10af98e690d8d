// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <set>

#include "loaders/graphdef.h"
#include "tests/support/graph_generator.h"
#include "tests/support/graph_protos.h"
#include "tests/support/test.h"

using namespace couplet;
using namespace couplet::test;

namespace {

GraphDef MustParse(const std::string& bytes, const std::string& name = "test.pb") {
  const auto owner = std::make_shared<const std::string>(bytes);
  auto def = GraphDef::Parse(std::as_bytes(std::span(*owner)), owner, name);
  REQUIRE_MESSAGE(def.ok(), def.status().message());
  return std::move(def).value();
}

std::vector<float> FloatsOf(const tf::GraphDef& graph, const std::string& name) {
  const tf::NodeDef* node = FindNode(graph, name);
  REQUIRE(node != nullptr);
  const std::string& content = node->attr().at("value").tensor().tensor_content();
  std::vector<float> values(content.size() / sizeof(float));
  std::memcpy(values.data(), content.data(), content.size());
  return values;
}

HeadParams ParamsOf(const tf::GraphDef& graph) {
  return {FloatsOf(graph, "final_training_ops/weights/final_weights"),
          FloatsOf(graph, "final_training_ops/biases/final_biases")};
}

HeadParams Params(const HeadShape& shape) {
  HeadParams params;
  for (int i = 0; i < shape.features * shape.classes; ++i)
    params.weights.push_back(static_cast<float>(i) * 0.5f);
  for (int i = 0; i < shape.classes; ++i) params.biases.push_back(-static_cast<float>(i));
  return params;
}

std::string MustWrite(const GraphDef& def, const HeadShape& shape, const RetrainedGraphOptions& options) {
  auto bytes = SerializeRetrainedGraph(def, shape, Params(shape), options);
  REQUIRE_MESSAGE(bytes.ok(), bytes.status().message());
  return std::move(bytes).value();
}

// Every input names an earlier or later node, and no name occurs twice.
void CheckWhole(const tf::GraphDef& graph) {
  std::set<std::string_view> names;
  for (const auto& node : graph.node()) CHECK_MESSAGE(names.insert(node.name()).second, node.name());
  for (const auto& node : graph.node())
    for (const auto& input : node.input()) CHECK_MESSAGE(names.contains(NodeNameOf(input)), input);
}

const RetrainedGraphOptions kMobileNet = {.bottleneck_tensor = "MobilenetV1/Predictions/Reshape:0"};

}  // namespace

TEST_CASE("graphdef write: retrain.py's own graph comes out of its backbone and head to the byte") {
  COUPLET_NEEDS_SHARED(shared);
  const std::string original =
      FileContents(shared + "/models/retrained/scratches_0.25_128/retrained_graph.pb");
  const tf::GraphDef graph = ParseGraph(original);
  tf::GraphDef stripped = graph;
  stripped.mutable_node()->DeleteSubrange(stripped.node_size() - 8, 8);
  CHECK(FindNode(stripped, "input_1/BottleneckInputPlaceholder") == nullptr);
  // With its head, which the new one replaces, and without it.
  for (const std::string& bytes : {original, stripped.SerializeAsString()}) {
    const auto written = SerializeRetrainedGraph(MustParse(bytes), {1001, 6}, ParamsOf(graph), kMobileNet);
    REQUIRE(written.ok());
    CHECK(GraphDifference(ParseGraph(*written), graph, false) == "");
    if (bytes == original)
      CHECK((*written == original));  // protobuf shuffles the attributes of the stripped one
  }
}

TEST_CASE("graphdef write: a late TensorFlow's backbone keeps its attributes") {
  COUPLET_NEEDS_SHARED(shared);
  const std::string original =
      FileContents(shared + "/models/retrained/plates_0.25_128_addv2/retrained_graph.pb");
  tf::GraphDef want = ParseGraph(original);
  const auto written = SerializeRetrainedGraph(MustParse(original), {1001, 5}, ParamsOf(want), kMobileNet);
  REQUIRE(written.ok());
  want.mutable_node(want.node_size() - 2)->set_op("Add");
  CHECK(GraphDifference(ParseGraph(*written), want, false) == "");
}

TEST_CASE("graphdef write: Google's frozen graphs become 560 nodes, the original ones to the byte") {
  COUPLET_NEEDS_SHARED(shared);
  const auto def = GraphDef::Open(shared + "/models/mobilenet_v1_0.25_128/frozen_graph.pb");
  REQUIRE(def.ok());
  const auto bytes = MustWrite(*def, {1001, 5}, kMobileNet);
  const GraphDef written = MustParse(bytes);
  REQUIRE(written.nodes().size() == 560);
  for (size_t i = 0; i < 552; ++i) {
    const auto &got = written.nodes()[i].raw, &want = def->nodes()[i].raw;
    REQUIRE(got.size() == want.size());
    CHECK(std::memcmp(got.data(), want.data(), got.size()) == 0);
  }
}

TEST_CASE("graphdef write: the head behind a generated network") {
  const HeadShape shape{1001, 3};
  const std::string source = GenerateMobileNet({});
  const std::string bytes = MustWrite(MustParse(source), shape, kMobileNet);
  tf::GraphDef graph = ParseGraph(bytes);
  CheckWhole(graph);
  CHECK(graph.node_size() == 560);
  CHECK(FindNode(graph, "MobilenetV1/Predictions/Softmax") == nullptr);
  CHECK(FindNode(graph, "MobilenetV1/Predictions/Shape") == nullptr);
  CHECK(graph.has_library());
  CHECK_FALSE(graph.has_versions());
  CHECK(bytes.ends_with(std::string("\x12\x00", 2)));
  CHECK(ParamsOf(graph).weights == Params(shape).weights);
  CHECK(ParamsOf(graph).biases == Params(shape).biases);

  // The generator writes retrain.py's head by itself, onto a backbone with TensorFlow 1.5's `dilations`.
  tf::GraphDef want = ParseGraph(GenerateMobileNet({.head_classes = 3}));
  for (auto& node : *want.mutable_node()) node.mutable_attr()->erase("dilations");
  CHECK(GraphDifference(graph, want, true) == "");
}

TEST_CASE("graphdef write: an unsorted graph keeps its order") {
  const tf::GraphDef source = ParseGraph(GenerateMobileNet({.form = MobileNetOptions::Form::kQuantized}));
  const tf::GraphDef graph =
      ParseGraph(MustWrite(MustParse(source.SerializeAsString()), {1001, 2}, kMobileNet));
  CheckWhole(graph);
  REQUIRE(graph.node_size() == 180 - 3 + 8);
  int at = 0;
  for (const auto& node : source.node()) {
    if (node.name() != graph.node(at).name()) continue;
    CHECK(NodeDifference(node, graph.node(at), false) == "");
    ++at;
  }
  CHECK(at == 177);
}

TEST_CASE(
    "graphdef write: Inception keeps its decoding head and control inputs, and its placeholder's plain "
    "name") {
  const GraphDef def = MustParse(GenerateInception2015({.divide_channels = 8}));
  const tf::GraphDef graph = ParseGraph(
      MustWrite(def, {248, 4}, {.bottleneck_tensor = "pool_3/_reshape:0", .final_tensor_name = "scores"}));
  CheckWhole(graph);
  CHECK(graph.node_size() == 1004 - 5 + 8);
  CHECK(graph.node(0).name() == "DecodeJpeg/contents");
  CHECK(FindNode(graph, "mixed_10/tower_2/pool/CheckNumerics") != nullptr);
  CHECK(FindNode(graph, "softmax") == nullptr);
  const tf::NodeDef* placeholder = FindNode(graph, "input/BottleneckInputPlaceholder");
  REQUIRE(placeholder != nullptr);
  CHECK(placeholder->input(0) == "pool_3/_reshape");
  CHECK(placeholder->attr().at("shape").shape().dim(1).size() == 248);
  CHECK(graph.node(graph.node_size() - 1).name() == "scores");
}

TEST_CASE("graphdef write: names are made unique as TensorFlow does, a second output is named") {
  tf::GraphDef source = ParseGraph(GenerateMobileNet({.head_classes = 2}));
  // Retraining behind the head's own logits: its names are taken.
  const tf::GraphDef graph = ParseGraph(MustWrite(MustParse(source.SerializeAsString()), {2, 2},
                                                  {.bottleneck_tensor = "final_training_ops/Wx_plus_b/add"}));
  CheckWhole(graph);
  CHECK(graph.node_size() == 559 + 8);
  CHECK(graph.node(graph.node_size() - 8).name() == "input_1/BottleneckInputPlaceholder_1");
  CHECK(graph.node(graph.node_size() - 7).name() == "final_training_ops/weights/final_weights_1");
  CHECK(graph.node(graph.node_size() - 3).name() == "final_training_ops/Wx_plus_b/MatMul_1");
  CHECK(graph.node(graph.node_size() - 2).name() == "final_training_ops/Wx_plus_b/add_1");

  const tf::GraphDef second =
      ParseGraph(MustWrite(MustParse(source.SerializeAsString()), {2, 2},
                           {.bottleneck_tensor = "MobilenetV1/Predictions/Reshape:1"}));
  CHECK(FindNode(second, "input_1/BottleneckInputPlaceholder")->input(0) ==
        "MobilenetV1/Predictions/Reshape:1");
}

TEST_CASE("graphdef write: a bottleneck or a name that cannot be is refused") {
  const GraphDef def = MustParse(GenerateMobileNet({}), "tf_files/frozen.pb");
  const auto message = [&](const RetrainedGraphOptions& options) {
    const auto written = SerializeRetrainedGraph(def, {1001, 2}, Params({1001, 2}), options);
    CHECK_FALSE(SerializeTrainingGraph(def, {1001, 2}, options).ok());
    CHECK(written.status().code() == Code::kBadInput);
    return written.status().message();
  };
  CHECK(message({.bottleneck_tensor = "Nowhere:0"}) ==
        "tf_files/frozen.pb: has no node Nowhere to take the bottleneck from");
  const std::string reshape = kMobileNetBottleneck;
  CHECK(message({reshape, "input"}) ==
        "--final_tensor_name=input: the graph already has a node of that name; choose another");
  CHECK(message({reshape, "final_training_ops/Wx_plus_b/add"}).find("already has") != std::string::npos);
  for (const char* bad : {"", "final result", "final:0", "_final", "/final", "f\xC3\xA9"})
    CHECK(message({reshape, bad}).find("not a node name") != std::string::npos);
  CHECK(SerializeRetrainedGraph(def, {1001, 2}, Params({1001, 2}), {reshape, "a/B.c-d_0"}).ok());
  // Not needed by the head, hence free.
  CHECK(
      SerializeRetrainedGraph(def, {1001, 2}, Params({1001, 2}), {reshape, "MobilenetV1/Predictions/Softmax"})
          .ok());
}

TEST_CASE(
    "graphdef write: the training graph has variables, loss, training and accuracy, and no big constants") {
  const GraphDef def = MustParse(GenerateMobileNet({}));
  RetrainedGraphOptions options = kMobileNet;
  options.learning_rate = 0.25f;
  const auto bytes = SerializeTrainingGraph(def, {1001, 5}, options);
  REQUIRE(bytes.ok());
  CHECK(bytes->size() < 200'000);
  const tf::GraphDef graph = ParseGraph(*bytes);
  CheckWhole(graph);
  for (const char* name :
       {"input", "input_1/BottleneckInputPlaceholder", "input_1/GroundTruthInput",
        "final_training_ops/weights/summaries/stddev_1", "final_training_ops/biases/summaries/histogram",
        "final_training_ops/Wx_plus_b/pre_activations", "activations", "final_result",
        "cross_entropy/total/Mean", "cross_entropy_1", "train/GradientDescent",
        "accuracy/correct_prediction/Equal", "accuracy_1"})
    CHECK_MESSAGE(FindNode(graph, name) != nullptr, name);
  const auto* weights = FindNode(graph, "final_training_ops/weights/final_weights");
  REQUIRE(weights != nullptr);
  CHECK(weights->op() == "VariableV2");
  CHECK(weights->attr().at("shape").shape().dim(1).size() == 5);
  CHECK(FindNode(graph, "train/GradientDescent/learning_rate")->attr().at("value").tensor().float_val(0) ==
        0.25f);
  CHECK(FindNode(graph, "accuracy_1/tags")->attr().at("value").tensor().string_val(0) == "accuracy_1");
  CHECK(FindNode(graph, "MobilenetV1/Predictions/Softmax") == nullptr);

  const auto* big = FindNode(graph, "MobilenetV1/Logits/Conv2d_1c_1x1/weights");
  REQUIRE(big != nullptr);
  CHECK(big->attr().at("dtype").type() == tf::DT_FLOAT);
  CHECK(big->attr().at("value").tensor().dtype() == tf::DT_FLOAT);
  CHECK(big->attr().at("value").tensor().tensor_shape().dim(3).size() == 1001);
  CHECK(big->attr().at("value").tensor().tensor_content().empty());
  const auto* small = FindNode(graph, "MobilenetV1/Conv2d_0/BatchNorm/beta");
  REQUIRE(small != nullptr);
  CHECK(small->attr().at("value").tensor().tensor_content().size() == 32);
}

TEST_CASE("graphdef write: Inception's training graph drops its default photo and 95 MB of weights") {
  const GraphDef def = MustParse(GenerateInception2015({.divide_channels = 8}));
  const auto bytes = SerializeTrainingGraph(def, {248, 5}, {.bottleneck_tensor = kInceptionBottleneck});
  REQUIRE(bytes.ok());
  CHECK(bytes->size() < 400'000);
  const tf::GraphDef graph = ParseGraph(*bytes);
  CheckWhole(graph);
  CHECK(FindNode(graph, "input/GroundTruthInput") != nullptr);
  const auto* contents = FindNode(graph, "DecodeJpeg/contents");
  REQUIRE(contents != nullptr);
  CHECK(contents->attr().at("value").tensor().dtype() == tf::DT_STRING);
  CHECK(contents->attr().at("value").tensor().string_val_size() == 0);
}

TEST_CASE("graphdef write: the training graph's scopes give way to the backbone's names") {
  tf::GraphDef source = ParseGraph(GenerateMobileNet({}));
  for (auto& node : *source.mutable_node()) {
    if (node.name() == "input") node.set_name("train/step");
    if (node.name() == "MobilenetV1/MobilenetV1/Conv2d_0/Relu6") node.set_name("accuracy");
    for (auto& input : *node.mutable_input()) {
      if (input == "input") input = "train/step";
      if (input == "MobilenetV1/MobilenetV1/Conv2d_0/Relu6") input = "accuracy";
    }
  }
  const auto bytes =
      SerializeTrainingGraph(MustParse(source.SerializeAsString()), {1001, 5},
                             {.bottleneck_tensor = kMobileNetBottleneck, .final_tensor_name = "activations"});
  REQUIRE(bytes.ok());
  const tf::GraphDef graph = ParseGraph(*bytes);
  CheckWhole(graph);
  for (const char* name :
       {"train_1/GradientDescent", "accuracy_1/accuracy/Mean", "activations", "activations_1"})
    CHECK_MESSAGE(FindNode(graph, name) != nullptr, name);
}
