// SPDX-License-Identifier: Apache-2.0
#include "loaders/import_tf.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "loaders/nearest_name.h"
#include "models/graph_facts.h"
#include "tests/loaders/import_cases.h"

using namespace couplet;
using namespace couplet::test;

namespace {

std::map<std::string, int> Kinds(const Graph& graph) {
  std::map<std::string, int> kinds;
  for (const Layer& layer : graph.layers) ++kinds[KindName(layer.attrs)];
  return kinds;
}

}  // namespace

TEST_CASE("import: the graph begins at the input layer, with photos or with floats") {
  Tiny tiny;
  tiny.Node("out", "Relu", {"input"});
  const auto floats = tiny.Import();
  REQUIRE(floats.ok());
  REQUIRE(floats->layers.size() == 2);
  CHECK(std::holds_alternative<InputAttrs>(floats->layers[0].attrs));
  CHECK(floats->layers[0].name == "input");
  CHECK(floats->layers[0].shape == Shape{1, 6, 5, 3});
  CHECK(floats->layers[1].inputs == std::vector<int>{0});
  CHECK(floats->output == 1);
  ImportOptions options = Options("out:0");
  options.input_layer = "input:0";
  options.photos = true;
  options.normalization = {127.5f, 64.0f, Normalization::Mode::kDivide};
  const auto photos = tiny.Import(options);
  REQUIRE(photos.ok());
  const auto* preprocess = std::get_if<PreprocessAttrs>(&photos->layers[0].attrs);
  REQUIRE(preprocess != nullptr);
  CHECK(preprocess->normalization.mean == 127.5f);
  CHECK(preprocess->normalization.std == 64.0f);
  CHECK(preprocess->normalization.mode == Normalization::Mode::kDivide);
}

TEST_CASE("import: any node can be the entry; what lies before it is not judged") {
  Tiny tiny;
  tiny.Node("jpeg", "DecodeJpeg", {"input"});
  tiny.Floats("half", {}, {0.5f});
  tiny.Node("Mul", "Mul", {"jpeg", "half"});
  tiny.Node("out", "Relu", {"Mul"});
  tiny.Node("after", "NoSuchOp", {"out"});
  ImportOptions options = Options("out");
  options.input_layer = "Mul";
  const auto graph = tiny.Import(options);
  REQUIRE(graph.ok());
  CHECK(graph->layers.size() == 2);
  CHECK(graph->layers[0].name == "Mul");
  CHECK(tiny.error_without({"tiny.pb", "'jpeg' (DecodeJpeg)"}) == "");
}

TEST_CASE("import: files are not sorted; order is found, control inputs are ignored") {
  Tiny tiny;
  tiny.Node("out", "Relu", {"middle", "^checked"});
  tiny.Node("middle", "Add", {"input", "bias"});
  tiny.Node("checked", "NoSuchOp", {"middle"});
  tiny.Ramp("bias", {3});
  const auto graph = tiny.Import();
  REQUIRE(graph.ok());
  REQUIRE(graph->layers.size() == 3);
  CHECK(graph->layers[1].name == "middle");
  CHECK(graph->layers[2].inputs == std::vector<int>{1});
}

TEST_CASE("import: a cycle is an error that names a node of it, and depth needs no stack") {
  Tiny tiny;
  tiny.Node("out", "Relu", {"b"});
  tiny.Node("b", "Relu", {"out"});
  CHECK(tiny.error_without({"tiny.pb", "'b'", "back to itself"}) == "");
  Tiny self;
  self.Node("out", "Relu", {"out"});
  CHECK(self.error_without({"'out'", "back to itself"}) == "");
  Tiny deep;
  std::string last = "input";
  for (int i = 0; i < 49'000; ++i)
    deep.Node(fmt::format("r{}", i), "Relu", {std::exchange(last, fmt::format("r{}", i))});
  const auto graph = deep.Import(last);
  REQUIRE(graph.ok());
  CHECK(graph->layers.size() == 49'001);
}

TEST_CASE("import: an unknown layer offers the nearest names, constants never") {
  Tiny tiny;
  tiny.Ramp("final_resultw", {3});
  tiny.Node("final_result", "Add", {"input", "final_resultw"});
  tiny.Node("MobilenetV1/Predictions/Reshape", "Relu", {"input"});
  CHECK(tiny.error_without({"tiny.pb", "output layer 'final_resutl'", "(nearest: final_result)"},
                           "final_resutl") == "");
  CHECK(tiny.error_without({"(nearest: MobilenetV1/Predictions/Reshape)"}, "Reshape:0") == "");
  const Status nothing = tiny.Import("zzzzzzzz").status();
  CHECK(NotTheLine(nothing, {"'zzzzzzzz'"}) == "");
  CHECK(nothing.message().find("nearest") == std::string::npos);
  ImportOptions options = Options("final_result");
  options.input_layer = "inptu";
  CHECK(NotTheLine(tiny.Import(options).status(), {"input layer 'inptu'", "(nearest: input)"}) == "");
}

TEST_CASE("import: distances between names") {
  CHECK(EditDistance("", "") == 0);
  CHECK(EditDistance("kitten", "sitting") == 3);
  CHECK(EditDistance("abc", "") == 3);
  CHECK(EditDistance("flaw", "lawn") == 2);
  CHECK(NearestNames("ab", {"abcde", "abc", "ax"}, 1) == std::vector<std::string_view>{"abc"});
  CHECK(NearestNames("b", {"xb", "a/b", "a/bc"}, 3) == std::vector<std::string_view>{"a/b", "xb"});
}

TEST_CASE("import: ops that are not known are named, dropout is explained") {
  Tiny tiny;
  tiny.Node("where", "Where", {"input"});
  tiny.Node("out", "Relu", {"where"});
  CHECK(tiny.error_without({"tiny.pb", "'where' (Where)", "does not run"}) == "");
  Tiny dropout;
  dropout.Int32s("shape", {1}, {3});
  dropout.Node("final/dropout/RandomUniform", "RandomUniform", {"shape"});
  dropout.Node("out", "Add", {"input", "final/dropout/RandomUniform"});
  CHECK(dropout.error_without({"'final/dropout/RandomUniform'", "dropout left in"}) == "");
}

TEST_CASE("import: wrong numbers and kinds of inputs") {
  Tiny tiny;
  tiny.Ramp("w", {3});
  SUBCASE("too few") {
    tiny.Node("out", "Add", {"input"});
    CHECK(tiny.error_without({"'out' (Add)", "1 inputs", "needs 2"}) == "");
  }
  SUBCASE("too many") {
    tiny.Node("out", "Relu", {"input", "input"});
    CHECK(tiny.error_without({"'out'", "2 inputs", "needs 1"}) == "");
  }
  SUBCASE("a concat of nothing") {
    tiny.Node("out", "ConcatV2", {"w"});
    CHECK(tiny.error_without({"'out'", "needs 2 or more"}) == "");
  }
  SUBCASE("a control input in front") {
    tiny.Node("out", "Add", {"^w", "input"});
    CHECK(tiny.error_without({"'out'", "control input"}) == "");
  }
  SUBCASE("another output than the first") {
    tiny.Node("out", "Relu", {"input:1"});
    CHECK(tiny.error_without({"'out'", "'input:1'"}) == "");
  }
  SUBCASE("computed where a constant must be") {
    tiny.Node("out", "BiasAdd", {"input", "input"});
    CHECK(tiny.error_without({"'out'", "'input' must be a constant"}) == "");
  }
  SUBCASE("a constant where the photos must be") {
    tiny.Node("out", "BiasAdd", {"w", "input"});
    CHECK(tiny.error_without({"'out'", "'w' must not be a constant"}) == "");
  }
  SUBCASE("an op for constants only, computed") {
    tiny.Node("out", "Rsqrt", {"input"});
    CHECK(tiny.error_without({"'out' (Rsqrt)", "from constants only"}) == "");
  }
  SUBCASE("constants into an op that is not folded") {
    tiny.Node("out", "Relu", {"w"});
    CHECK(tiny.error_without({"'out' (Relu)", "does not fold"}) == "");
  }
  SUBCASE("an output that needs no photo") {
    tiny.Node("out", "Identity", {"w"});
    CHECK(tiny.error_without({"'out'", "does not depend on the input layer 'input'"}) == "");
  }
  SUBCASE("a second Placeholder") {
    tiny.Placeholder("other");
    tiny.Node("out", "Relu", {"other"});
    CHECK(tiny.error_without({"'other' (Placeholder)", "'input'"}) == "");
  }
  SUBCASE("two computed values") {
    tiny.Node("a", "Relu", {"input"});
    tiny.Node("out", "AddV2", {"a", "input"});
    CHECK(tiny.error_without({"'out' (AddV2)", "'a' and 'input'", "residual"}) == "");
  }
}

TEST_CASE("import: the photos must be what the Placeholder takes") {
  const auto with_shape = [](std::initializer_list<int64_t> dims) {
    TinyGraph graph;
    graph.Placeholder().Shape("shape", dims);
    graph.Node("out", "Relu", {"input"});
    return ImportGraph(*graph.Parse(), Options("out")).status();
  };
  CHECK(with_shape({}).ok());
  CHECK(with_shape({-1, -1, -1, 3}).ok());
  CHECK(with_shape({8, 6, 5, -1}).ok());  // any number of photos can be fed
  CHECK(NotTheLine(with_shape({1, 6, 6, 3}), {"'input' (Placeholder)", "6x6", "6x5"}) == "");
  CHECK(NotTheLine(with_shape({1, 3, 6, 5}), {"'input'", "[1,3,6,5]"}) == "");
  CHECK(NotTheLine(with_shape({-1, 1001}), {"'input'", "[-1,1001]"}) == "");
  TinyGraph text;
  text.Node("input", "Placeholder").Type("dtype", tf::DT_STRING);
  text.Node("out", "Relu", {"input"});
  CHECK(NotTheLine(ImportGraph(*text.Parse(), Options("out")).status(), {"'input'", "string"}) == "");
  Tiny tiny;
  tiny.Node("out", "Relu", {"input"});
  CHECK(NotTheLine(tiny.Import(Options("out", 0, 5)).status(), {"tiny.pb", "input size is 0"}) == "");
  CHECK(NotTheLine(tiny.Import(Options("out", 6, 16385)).status(), {"16385"}) == "");
}

namespace {

struct RealCase {
  const char* file;
  const char* output;
  Shape shape;
  std::map<std::string, int> kinds;
};

std::map<std::string, int> MobileNet(int affine, int identity, int fully_connected, int softmax) {
  std::map<std::string, int> kinds = {{"Preprocess", 1},     {"Conv", 15}, {"Depthwise", 13},
                                      {"Activation", 27},    {"Pool", 1},  {"Affine", affine},
                                      {"Identity", identity}};
  if (fully_connected > 0) kinds["FullyConnected"] = fully_connected;
  if (softmax > 0) kinds["Softmax"] = softmax;
  return kinds;
}

Result<Graph> ImportAsTold(const GraphDef& def, const std::string& output) {
  const GraphFacts facts = InspectGraph(def);
  ImportOptions options = Options(output, facts.input_size, facts.input_size);
  options.input_layer = facts.input_layer;
  options.photos = true;
  options.normalization = facts.normalization;
  return ImportGraph(def, options);
}

}  // namespace

TEST_CASE("import: every real graph, float, eight-bit, retrained and optimised") {
  COUPLET_NEEDS_SHARED(dir);
  const char* bottleneck = "MobilenetV1/Predictions/Reshape";
  const char* scores = "MobilenetV1/Predictions/Reshape_1";
  const Shape classes{1, 1, 1, 1001};
  std::vector<RealCase> cases;
  for (const char* file :
       {"mobilenet_v1_0.25_128/frozen_graph.pb", "mobilenet_v1_0.25_160/frozen_graph.pb",
        "mobilenet_v1_0.25_192/frozen_graph.pb", "mobilenet_v1_0.25_224/frozen_graph.pb"}) {
    cases.push_back({file, bottleneck, classes, MobileNet(55, 3, 0, 0)});
    cases.push_back({file, scores, classes, MobileNet(55, 4, 0, 1)});
  }
  for (const char* file :
       {"mobilenet_v1_0.25_128/quantized_graph.pb", "mobilenet_v1_0.25_160/quantized_graph.pb",
        "mobilenet_v1_0.25_192/quantized_graph.pb", "mobilenet_v1_0.25_224/quantized_graph.pb",
        "mobilenet_v1_0.50_160/quantized_graph.pb", "mobilenet_v1_0.50_224/quantized_graph.pb",
        "mobilenet_v1_0.75_160/quantized_graph.pb", "mobilenet_v1_0.75_224/quantized_graph.pb"}) {
    cases.push_back({file, bottleneck, classes, MobileNet(41, 3, 0, 0)});
    cases.push_back({file, scores, classes, MobileNet(41, 4, 0, 1)});
  }
  const char* scratches = "retrained/scratches_0.25_128/retrained_graph.pb";
  cases.push_back({scratches, bottleneck, classes, MobileNet(55, 3, 0, 0)});
  cases.push_back({scratches, "final_result", {1, 1, 1, 6}, MobileNet(56, 4, 1, 1)});
  cases.push_back({"retrained/scratches_0.25_128/optimized_graph.pb",
                   "final_result",
                   {1, 1, 1, 6},
                   MobileNet(56, 3, 1, 1)});
  cases.push_back({"retrained/plates_0.25_128_addv2/retrained_graph.pb",
                   "final_result",
                   {1, 1, 1, 5},
                   MobileNet(56, 4, 1, 1)});
  const char* inception = "inception_2015/classify_image_graph_def.pb";
  std::map<std::string, int> kinds = {{"Preprocess", 1}, {"Conv", 94},   {"Affine", 94},   {"Activation", 94},
                                      {"Pool", 14},      {"Concat", 11}, {"Identity", 100}};
  cases.push_back({inception, "pool_3/_reshape", {1, 1, 1, 2048}, kinds});
  ++kinds["Affine"];
  kinds["FullyConnected"] = kinds["Softmax"] = 1;
  cases.push_back({inception, "softmax", {1, 1, 1, 1008}, kinds});
  for (const RealCase& expected : cases) {
    CAPTURE(expected.file);
    CAPTURE(expected.output);
    const auto def = GraphDef::Open(dir + "/models/" + expected.file);
    REQUIRE(def.ok());
    const auto graph = ImportAsTold(*def, expected.output);
    REQUIRE_MESSAGE(graph.ok(), graph.status().message());
    CHECK(Kinds(*graph) == expected.kinds);
    CHECK(graph->layers[static_cast<size_t>(graph->output)].shape == expected.shape);
    CHECK(graph->layers[static_cast<size_t>(graph->output)].name == expected.output);
    for (size_t i = 0; i < graph->layers.size(); ++i)
      for (const int input : graph->layers[i].inputs) CHECK((input >= 0 && static_cast<size_t>(input) < i));
  }
}

TEST_CASE("import: shapes on the way through Inception are TensorFlow's") {
  COUPLET_NEEDS_SHARED(dir);
  const auto def = GraphDef::Open(dir + "/models/inception_2015/classify_image_graph_def.pb");
  REQUIRE(def.ok());
  const auto graph = ImportAsTold(*def, "softmax");
  REQUIRE(graph.ok());
  const std::pair<const char*, Shape> expected[] = {
      {"Mul", {1, 299, 299, 3}},          {"conv", {1, 149, 149, 32}},
      {"conv_1", {1, 147, 147, 32}},      {"conv_2", {1, 147, 147, 64}},
      {"pool", {1, 73, 73, 64}},          {"conv_4", {1, 71, 71, 192}},
      {"pool_1", {1, 35, 35, 192}},       {"mixed/join", {1, 35, 35, 256}},
      {"mixed_3/join", {1, 17, 17, 768}}, {"mixed_8/join", {1, 8, 8, 1280}},
      {"mixed_10/join", {1, 8, 8, 2048}}, {"pool_3", {1, 1, 1, 2048}}};
  for (const auto& [name, shape] : expected) {
    CAPTURE(name);
    const int index = FindLayer(*graph, name);
    REQUIRE(index >= 0);
    CHECK(ToString(graph->layers[static_cast<size_t>(index)].shape) == ToString(shape));
  }
  const auto pool_kind = [&](const char* name) {
    return std::get<PoolAttrs>(graph->layers[static_cast<size_t>(FindLayer(*graph, name))].attrs).kind;
  };
  CHECK(pool_kind("mixed_9/tower_2/pool") == PoolAttrs::Kind::kAverage);
  CHECK(pool_kind("mixed_10/tower_2/pool") == PoolAttrs::Kind::kMax);
}

TEST_CASE("import: a size the graph was not made for is an error that says so") {
  COUPLET_NEEDS_SHARED(dir);
  const auto def = GraphDef::Open(dir + "/models/retrained/scratches_0.25_128/optimized_graph.pb");
  REQUIRE(def.ok());
  CHECK(NotTheLine(ImportGraph(*def, Options("final_result", 224, 224)).status(), {"node '", "input size"}) ==
        "");
  const auto frozen = GraphDef::Open(dir + "/models/mobilenet_v1_0.25_128/frozen_graph.pb");
  REQUIRE(frozen.ok());
  CHECK(NotTheLine(ImportGraph(*frozen, Options("MobilenetV1/Predictions/Reshape", 224, 224)).status(),
                   {"'input'", "128x128", "224x224"}) == "");
}
