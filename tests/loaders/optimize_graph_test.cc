// SPDX-License-Identifier: Apache-2.0
#include "loaders/optimize_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "loaders/import_tf.h"
#include "tests/support/graph_generator.h"
#include "tests/support/graph_protos.h"
#include "tests/support/image_files.h"
#include "tests/support/network.h"
#include "tests/support/pictures.h"
#include "tests/support/table.h"
#include "tests/support/test.h"
#include "tests/support/tiny_graph.h"

using namespace couplet;
using namespace couplet::test;

namespace {

const char* const kGolden = "tests/golden/tools/";

GraphDef MustParse(const std::string& bytes) {
  auto def = ParseBytes(bytes);
  REQUIRE_MESSAGE(def.ok(), def.status().message());
  return *std::move(def);
}

OptimizedGraph MustOptimize(const GraphDef& def, bool fold, const std::string& output = "final_result") {
  OptimizeOptions options;
  options.inputs = {"input"};
  options.outputs = {output};
  options.fold_decomposed = fold;
  auto result = OptimizeForInference(def, options);
  REQUIRE_MESSAGE(result.ok(), result.status().message());
  return *std::move(result);
}

// The scores of a photo, as a layer a node or after all rewrites makes no difference here.
std::vector<float> Scores(const std::string& graph, const std::string& photo, int size) {
  auto network = Network::Load(graph, PhotoOptions("input", "final_result", size, 127.5f, 127.5f, false),
                               Network::Form::kAsFound, false);
  REQUIRE_MESSAGE(network.ok(), network.status().message());
  auto scores = (*network)->Run(photo);
  REQUIRE_MESSAGE(scores.ok(), scores.status().message());
  return *scores;
}

double Furthest(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double furthest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double apart = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(apart <= furthest)) furthest = apart;  // NaN stays
  }
  return furthest;
}

size_t CountOps(const GraphDef& def, std::string_view op) {
  return static_cast<size_t>(
      std::count_if(def.nodes().begin(), def.nodes().end(), [&](const NodeView& node) { return node.op == op; }));
}

}  // namespace

TEST_CASE("optimize_graph: the nodes, edges and constants that TensorFlow's tool gives") {
  const auto def = GraphDef::Open(std::string(kGolden) + "graph.pb");
  REQUIRE(def.ok());
  const OptimizedGraph optimized = MustOptimize(*def, false);
  const GraphDef got = MustParse(optimized.bytes);
  const auto rows = ReadTable(std::string(kGolden) + "optimized.tsv");
  REQUIRE(got.nodes().size() == rows.size());
  CHECK(optimized.nodes == rows.size());
  CHECK(optimized.folded == 2);
  CHECK(optimized.decomposed == 1);
  for (size_t i = 0; i < rows.size(); ++i) {
    const NodeView& node = got.nodes()[i];
    CAPTURE(rows[i][0]);
    CHECK(node.name == rows[i][0]);
    CHECK(node.op == rows[i][1]);
    std::string inputs;
    for (std::string_view input : node.inputs) inputs += (inputs.empty() ? "" : ",") + std::string(input);
    CHECK(inputs == rows[i][2]);
    if (node.op != "Const" || GraphDef::AttrType(node, "dtype") != DataType::kFloat) continue;
    const auto value = EvaluateConstant(got, node.name);
    REQUIRE(value.ok());
    CHECK(fmt::format("{}", fmt::join(value->dims(), "x")) == rows[i][3]);
    const std::vector<float> values = value->ToVector(), wanted = ParseFloats(rows[i][4]);
    CHECK(values == wanted);  // to the bit: nine digits tell floats apart
  }
}

TEST_CASE("optimize_graph: scores stay, as TensorFlow computes them, folded or not") {
  const auto rows = ReadTable(std::string(kGolden) + "scores.tsv");
  const std::vector<float> numbers = ParseFloats(rows[0][0]), wanted = ParseFloats(rows[0][1]);
  const TempDir dir;
  WriteBytes(dir / "photo.png", MakePng(Bytes(numbers.begin(), numbers.end()), 8, 8));
  CHECK(Furthest(Scores(std::string(kGolden) + "graph.pb", dir / "photo.png", 8), wanted) <= 1e-5);
  const auto def = GraphDef::Open(std::string(kGolden) + "graph.pb");
  REQUIRE(def.ok());
  for (const bool fold : {false, true}) {
    const OptimizedGraph optimized = MustOptimize(*def, fold);
    CHECK(optimized.folded == (fold ? 3 : 2));
    const GraphDef graph = MustParse(optimized.bytes);
    CHECK(CountOps(graph, "Rsqrt") == (fold ? 0 : 1));
    WriteBytes(dir / "graph.pb", Bytes(optimized.bytes.begin(), optimized.bytes.end()));
    CHECK(Furthest(Scores(dir / "graph.pb", dir / "photo.png", 8), wanted) <= 1e-5);
  }
}

TEST_CASE("optimize_graph: a retrained MobileNet goes from 560 nodes to the original's 420, and folded to 150") {
  MobileNetOptions options;
  options.head_classes = 3;
  const std::string bytes = GenerateMobileNet(options);
  const GraphDef def = MustParse(bytes);
  REQUIRE(def.nodes().size() == 560);
  const OptimizedGraph plain = MustOptimize(def, false), folded = MustOptimize(def, true);
  CHECK(plain.nodes == 420);
  CHECK(plain.folded == 0);
  CHECK(plain.decomposed == 27);
  CHECK(folded.nodes == 150);
  CHECK(folded.folded == 27);
  const TempDir dir;
  WritePhotoFolders(dir.path(), {"a"}, 1, 3);
  std::vector<std::vector<float>> scores;
  for (const std::string& graph : {bytes, plain.bytes, folded.bytes}) {
    WriteBytes(dir / "graph.pb", Bytes(graph.begin(), graph.end()));
    scores.push_back(Scores(dir / "graph.pb", dir / "a/a_0.jpg", 128));
  }
  CHECK(scores[1] == scores[0]);  // the same operations
  CHECK(Furthest(scores[2], scores[0]) <= 1e-5);
}

TEST_CASE("optimize_graph: the graph that TensorFlow's own tool wrote") {
  COUPLET_NEEDS_SHARED(shared);
  const std::string folder = shared + "/models/retrained/scratches_0.25_128/";
  const auto def = GraphDef::Open(folder + "retrained_graph.pb");
  REQUIRE(def.ok());
  const OptimizedGraph optimized = MustOptimize(*def, false);
  const std::string original = FileContents(folder + "optimized_graph.pb");
  CHECK(optimized.bytes.size() == original.size());
  CHECK(GraphDifference(ParseGraph(optimized.bytes), ParseGraph(original), false) == "");
}

TEST_CASE("optimize_graph: what another node reads is not folded away") {
  const auto build = [](bool conv_read, bool weights_read) {
    TinyGraph graph;
    graph.Placeholder();
    graph.Ramp("w", {1, 1, 3, 2});
    graph.Ramp("s", {2});
    graph.Ramp("o", {2});
    graph.Node("conv", "Conv2D", {"input", "w"}).Ints("strides", {1, 1, 1, 1}).String("padding", "SAME");
    graph.Node("mul", "Mul", {"conv", "s"});
    graph.Node("norm", "Add", {"mul", "o"});
    if (weights_read) graph.Node("again", "Conv2D", {"input", "w"}).Ints("strides", {1, 1, 1, 1}).String("padding", "SAME");
    graph.Node("out", "Add", {"norm", conv_read ? "conv" : weights_read ? "again" : "norm"});
    return graph.Bytes();
  };
  CHECK(MustOptimize(MustParse(build(false, false)), true, "out").folded == 1);
  CHECK(MustOptimize(MustParse(build(true, false)), true, "out").folded == 0);
  // Weights may have other readers: the folded ones are another constant.
  const OptimizedGraph shared_weights = MustOptimize(MustParse(build(false, true)), true, "out");
  CHECK(shared_weights.folded == 1);
  const GraphDef graph = MustParse(shared_weights.bytes);
  CHECK(graph.Find("w") != nullptr);
  CHECK(graph.Find("conv_weights") != nullptr);
}

TEST_CASE("optimize_graph: an Identity that is wanted stays, a ring of them ends, lost company is forgotten") {
  TinyGraph graph;
  graph.Placeholder();
  graph.Node("company", "NoOp");
  TinyNode inner = graph.Node("inner", "Identity", {"input"});
  inner.attr("_class").mutable_list()->add_s("loc:@inner");
  TinyNode relu = graph.Node("relu", "Relu", {"inner:0"});
  relu.attr("_class").mutable_list()->add_s("loc:@inner");
  graph.Node("out", "Identity", {"relu"});
  const GraphDef got = MustParse(MustOptimize(MustParse(graph.Bytes()), false, "out").bytes);
  REQUIRE(got.nodes().size() == 3);
  CHECK(got.nodes()[1].inputs == std::vector<std::string_view>{"input"});
  CHECK(got.nodes()[1].attrs.empty());  // TensorFlow refuses a node beside one that is not there
  CHECK(got.nodes()[2].name == "out");

  TinyGraph ring;
  ring.Placeholder();
  ring.Node("a", "Identity", {"b"});
  ring.Node("b", "Identity", {"a"});
  ring.Node("out", "Relu", {"a"});
  OptimizeOptions options{.inputs = {"input"}, .outputs = {"out"}};
  const auto refused = OptimizeForInference(MustParse(ring.Bytes()), options);
  CHECK(NotTheLine(refused.status(), {"tiny.pb", "'out'", "not in the graph any more", "read each other"}) == "");
}

TEST_CASE("optimize_graph: a CheckNumerics between two layers is stepped over, not cut out") {
  TinyGraph graph;
  graph.Placeholder();
  graph.Node("check", "CheckNumerics", {"input"});
  graph.Node("out", "Relu", {"check", "^check"});
  const GraphDef got = MustParse(MustOptimize(MustParse(graph.Bytes()), false, "out").bytes);
  REQUIRE(got.nodes().size() == 2);
  CHECK(got.nodes()[1].inputs == std::vector<std::string_view>{"input"});
}

TEST_CASE("optimize_graph: names that are not there are named with their nearest") {
  TinyGraph graph;
  graph.Placeholder();
  graph.Node("final_result", "Relu", {"input"});
  OptimizeOptions options{.inputs = {"inputs"}, .outputs = {"final_result"}};
  CHECK(NotTheLine(OptimizeForInference(MustParse(graph.Bytes()), options).status(),
                   {"tiny.pb", "--input_names", "'inputs'", "nearest: input"}) == "");
  options = {.inputs = {"input"}, .outputs = {"final"}};
  CHECK(NotTheLine(OptimizeForInference(MustParse(graph.Bytes()), options).status(),
                   {"--output_names", "'final'"}) == "");
}
