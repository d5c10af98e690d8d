// The generated networks against Google's files: same names, ops, inputs, attributes and order.
// SPDX-License-Identifier: Apache-2.0
#include "tests/support/graph_generator.h"

#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "loaders/graphdef.h"
#include "tests/support/graph_protos.h"
#include "tests/support/test.h"

using namespace couplet;
using namespace couplet::test;
using Form = MobileNetOptions::Form;

namespace {

std::map<std::string, int> Census(const tf::GraphDef& graph) {
  std::map<std::string, int> census;
  for (const auto& node : graph.node()) ++census[node.op()];
  return census;
}

// Inputs that stand behind their reader.
int ForwardReferences(const tf::GraphDef& graph) {
  std::set<std::string> seen;
  int count = 0;
  for (const auto& node : graph.node()) {
    for (const auto& input : node.input()) count += !seen.contains(std::string(NodeNameOf(input)));
    seen.insert(node.name());
  }
  return count;
}

void CheckSameStructure(const std::string& bytes, const std::string& path) {
  CAPTURE(path);
  const std::string original = FileContents(path);
  CHECK(GraphDifference(ParseGraph(bytes), ParseGraph(original), true) == "");
  CHECK(bytes.size() == doctest::Approx(static_cast<double>(original.size())).epsilon(0.001));
  CHECK(ParseGraph(bytes).has_library() == ParseGraph(original).has_library());
  CHECK(ParseGraph(bytes).has_versions() == ParseGraph(original).has_versions());
}

}  // namespace

TEST_CASE("generator: MobileNet has the nodes of Google's frozen and quantized graphs") {
  COUPLET_NEEDS_SHARED(shared);
  for (const int size : {128, 160, 192, 224})
    CheckSameStructure(GenerateMobileNet({.size = size}),
                       shared + "/models/mobilenet_v1_0.25_" + std::to_string(size) + "/frozen_graph.pb");
  const std::pair<double, const char*> widths[] = {{0.25, "0.25_128"}, {0.5, "0.50_160"}, {0.75, "0.75_224"}};
  for (const auto& [width, name] : widths)
    CheckSameStructure(
        GenerateMobileNet({.width = width, .size = std::atoi(name + 5), .form = Form::kQuantized}),
        shared + "/models/mobilenet_v1_" + name + "/quantized_graph.pb");
}

TEST_CASE("generator: a retrained MobileNet has the nodes that retrain.py writes, early and late") {
  COUPLET_NEEDS_SHARED(shared);
  const std::string retrained = shared + "/models/retrained/";
  CheckSameStructure(GenerateMobileNet({.head_classes = 6}),
                     retrained + "scratches_0.25_128/retrained_graph.pb");
  CheckSameStructure(GenerateMobileNet({.head_classes = 5, .add_v2 = true}),
                     retrained + "plates_0.25_128_addv2/retrained_graph.pb");
}

TEST_CASE("generator: Inception has the nodes of the file of 2015") {
  COUPLET_NEEDS_SHARED(shared);
  const std::string path = shared + "/models/inception_2015/classify_image_graph_def.pb";
  const std::string bytes = GenerateInception2015({});
  CHECK(GraphDifference(ParseGraph(bytes), ParseGraph(FileContents(path)), true) == "");
}

TEST_CASE("generator: the census of each form") {
  const auto frozen = ParseGraph(GenerateMobileNet({}));
  CHECK(frozen.node_size() == 555);
  CHECK(ForwardReferences(frozen) == 0);
  const auto retrained = Census(ParseGraph(GenerateMobileNet({.head_classes = 6})));
  const std::map<std::string, int> want = {{"Const", 167},
                                           {"Identity", 140},
                                           {"Mul", 81},
                                           {"Add", 55},
                                           {"Relu6", 27},
                                           {"Rsqrt", 27},
                                           {"Sub", 27},
                                           {"Conv2D", 15},
                                           {"DepthwiseConv2dNative", 13},
                                           {"AvgPool", 1},
                                           {"BiasAdd", 1},
                                           {"MatMul", 1},
                                           {"Placeholder", 1},
                                           {"PlaceholderWithDefault", 1},
                                           {"Reshape", 1},
                                           {"Softmax", 1},
                                           {"Squeeze", 1}};
  CHECK(retrained == want);
  const auto quantized = ParseGraph(GenerateMobileNet({.form = Form::kQuantized}));
  CHECK(quantized.node_size() == 180);
  CHECK(ForwardReferences(quantized) == 55);
  const auto fused = Census(ParseGraph(GenerateMobileNet({.form = Form::kFused})));
  CHECK(fused.at("FusedBatchNorm") == 27);
  CHECK(!fused.contains("Rsqrt"));
  const auto folded = ParseGraph(GenerateMobileNet({.form = Form::kBiasAdd}));
  CHECK(Census(folded).at("BiasAdd") == 28);
  CHECK(!Census(folded).contains("Identity"));
  CHECK(ForwardReferences(folded) > 0);
  CHECK(!FindNode(folded, "input")->attr().contains("shape"));
  const auto inception = ParseGraph(GenerateInception2015({.divide_channels = 8}));
  CHECK(inception.node_size() == 1004);
  CHECK(Census(inception).at("BatchNormWithGlobalNormalization") == 94);
}

TEST_CASE("generator: a seed gives the same bytes, another seed other weights") {
  CHECK(GenerateMobileNet({}) == GenerateMobileNet({}));
  CHECK(GenerateMobileNet({}) != GenerateMobileNet({.seed = 2}));
  CHECK(GenerateMobileNet({}).size() == GenerateMobileNet({.seed = 2}).size());
  CHECK(GenerateInception2015({.divide_channels = 8}) == GenerateInception2015({.divide_channels = 8}));
}

TEST_CASE("generator: any width and size") {
  for (const double width : {0.1, 0.35, 1.0})
    for (const int size : {1, 33, 97}) {
      CAPTURE(width);
      CAPTURE(size);
      CHECK(ParseGraph(GenerateMobileNet({.width = width, .size = size})).node_size() == 555);
    }
}

TEST_CASE("generator: what Dequantize gives is the weights to half a step") {
  const auto plain = ParseGraph(GenerateMobileNet({}));
  const auto quantized = ParseGraph(GenerateMobileNet({.form = Form::kQuantized}));
  const auto floats = [](const tf::NodeDef* node) {
    REQUIRE(node != nullptr);
    const std::string& content = node->attr().at("value").tensor().tensor_content();
    std::vector<float> values(content.size() / sizeof(float));
    std::memcpy(values.data(), content.data(), content.size());
    return values;
  };
  const std::string name = "MobilenetV1/Logits/Conv2d_1c_1x1/weights";
  const auto want = floats(FindNode(plain, name));
  const std::string dequantize = name + "/read/_1__cf__1";
  const float min = floats(FindNode(quantized, dequantize + "_quantized_min"))[0];
  const float max = floats(FindNode(quantized, dequantize + "_quantized_max"))[0];
  const std::string bytes =
      FindNode(quantized, dequantize + "_quantized_const")->attr().at("value").tensor().tensor_content();
  REQUIRE(bytes.size() == want.size());
  const float step = (max - min) / 255.0f;
  double worst = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const float got =
        static_cast<float>(static_cast<unsigned char>(bytes[i])) * step + std::round(min / step) * step;
    worst = std::max(worst, std::fabs(double{got} - want[i]));
  }
  CHECK(worst <=
        1.01 * step);  // half a step of rounding, and the ends moved by the rounding of the least value
  CHECK(worst > 0.4 * step);
}
