// The tools of the second codelab as programs: arguments, what they print, what they refuse.
// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "loaders/event_file.h"
#include "loaders/graphdef.h"
#include "loaders/image_list.h"
#include "tests/support/graph_generator.h"
#include "tests/support/graph_protos.h"
#include "tests/support/pictures.h"
#include "tests/support/test.h"

using namespace couplet;
using namespace couplet::test;
namespace fs = std::filesystem;

namespace {

void Spill(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

ProcessResult RunTool(const std::string& name, std::vector<std::string> args, const std::string& cwd = "") {
  args.insert(args.begin(), std::filesystem::absolute(ProgramPath(name)).string());
  return RunProcess(args, {}, 120, cwd);
}

// A retrained graph of two labels, its labels, and photos of both.
struct Desk {
  Desk() {
    MobileNetOptions options;
    options.head_classes = 2;
    Spill(graph, GenerateMobileNet(options));
    Spill(dir / "retrained_labels.txt", "ant\nbee\n");
    WritePhotoFolders(dir / "photos", {"ant", "bee"}, 12, 3);
  }
  // In the folder, so that photos are named relatively: the split goes by their paths.
  ProcessResult Evaluate(std::vector<std::string> args) {
    args.insert(args.begin(), {"retrained_graph.pb", "--image_dir=photos"});
    return RunTool("evaluate", args, dir.path());
  }
  TempDir dir;
  const std::string graph = dir / "retrained_graph.pb";
};

void CheckRefused(const ProcessResult& run, int code, std::initializer_list<const char*> parts) {
  CAPTURE(run.err);
  CHECK(run.code == code);
  CHECK(run.out == "");
  CHECK(std::count(run.err.begin(), run.err.end(), '\n') == 1);
  for (const char* part : parts) CHECK_HAS(run.err, part);
}

size_t NodeCount(const std::string& path) {
  const auto def = GraphDef::Open(path);
  REQUIRE_MESSAGE(def.ok(), def.status().message());
  return def->nodes().size();
}

}  // namespace

TEST_CASE("tools: count_ops prints one number, or a census") {
  Desk desk;
  CHECK(RunTool("count_ops", {desk.graph}).out == "560\n");
  CHECK(RunTool("count_ops", {desk.graph, "final_result"}).out == "1\n");
  CHECK(RunTool("count_ops", {desk.graph, "nothing"}).out == "0\n");
  CHECK(RunTool("count_ops", {desk.graph, "--by_type"}).out ==
        "Const 167\nIdentity 140\nMul 81\nAdd 55\nRelu6 27\nRsqrt 27\nSub 27\nConv2D 15\nDepthwiseConv2dNative 13\n"
        "AvgPool 1\nBiasAdd 1\nMatMul 1\nPlaceholder 1\nPlaceholderWithDefault 1\nReshape 1\nSoftmax 1\nSqueeze 1\n");
  CheckRefused(RunTool("count_ops", {}), 2, {"count_ops: error: graph is required"});
  CheckRefused(RunTool("count_ops", {desk.dir / "none.pb"}), 4, {"none.pb"});
  CheckRefused(RunTool("count_ops", {desk.dir / "retrained_labels.txt"}), 2, {"retrained_labels.txt", "is no GraphDef"});
}

TEST_CASE("tools: graph_pb2tb takes the folder first and writes the graph without big weights") {
  Desk desk;
  const auto run = RunTool("graph_pb2tb", {desk.dir / "summaries/retrained", desk.graph});
  INFO(run.err);
  REQUIRE(run.code == 0);
  std::string file;
  for (const auto& entry : fs::directory_iterator(desk.dir / "summaries/retrained")) file = entry.path();
  CHECK_HAS(run.err, "Wrote " + file);
  CHECK(fs::file_size(file) < 200'000);
  const auto records = ReadEventRecords(file);
  REQUIRE(records.ok());
  REQUIRE(records->size() == 2);
  tf::Event event;
  REQUIRE(event.ParseFromString((*records)[1].payload));
  const tf::GraphDef got = ParseGraph(event.graph_def()), want = ParseGraph(FileContents(desk.graph));
  REQUIRE(got.node_size() == want.node_size());
  for (int i = 0; i < got.node_size(); ++i) {
    CHECK(got.node(i).name() == want.node(i).name());
    CHECK(std::equal(got.node(i).input().begin(), got.node(i).input().end(), want.node(i).input().begin(),
                     want.node(i).input().end()));
  }
  CheckRefused(RunTool("graph_pb2tb", {desk.graph, desk.graph}), 4, {"retrained_graph.pb"});
}

TEST_CASE("tools: optimize_for_inference with the original's flags, and --fold") {
  Desk desk;
  const std::string out = desk.dir / "optimized_graph.pb";
  auto run = RunTool("optimize_for_inference", {"--input=" + desk.graph, "--output=" + out, "--input_names=input",
                                                "--output_names=final_result", "--frozen_graph=True"});
  INFO(run.err);
  REQUIRE(run.code == 0);
  CHECK(run.out == "");
  CHECK_HAS(run.err, "560 nodes -> 420, 0 batch norms folded");
  CHECK_HAS(run.err, "27 batch norms are written out in single operations and stay so");
  CHECK(NodeCount(out) == 420);
  run = RunTool("optimize_for_inference", {"--input", desk.graph, "--output", out, "--input_names", "input",
                                           "--output_names", "final_result", "--fold"});
  CHECK_HAS(run.err, "560 nodes -> 150, 27 batch norms folded");
  CHECK(NodeCount(out) == 150);
  // The placeholder has lost its shape; our own programs take such graphs.
  Spill(desk.dir / "optimized_graph_labels.txt", "");
  const auto label = RunTool("label_image", {"--graph=" + out, desk.dir / "photos/ant/ant_0.jpg"});
  CHECK_MESSAGE(label.code == 0, label.err);

  CheckRefused(RunTool("optimize_for_inference", {"--input=" + desk.graph}), 2, {"--output is needed", "--input_names=input"});
  CheckRefused(RunTool("optimize_for_inference", {"--input=" + desk.graph, "--output=" + out, "--input_names=Mul",
                                                  "--output_names=final_result"}), 2, {"--input_names", "no node 'Mul'"});
  CheckRefused(RunTool("optimize_for_inference", {"--input=" + desk.graph, "--output=" + out, "--input_names=input",
                                                  "--output_names=final_result", "--frozen_graph=False"}), 2, {"text form"});
  CheckRefused(RunTool("optimize_for_inference", {"--input=" + desk.graph, "--output=/nowhere/x.pb", "--input_names=input",
                                                  "--output_names=final_result"}), 4, {"/nowhere/x.pb"});
}

TEST_CASE("tools: quantize_graph in both modes that work, and why not in the others") {
  Desk desk;
  const std::string out = desk.dir / "rounded_graph.pb";
  const auto quantize = [&](std::vector<std::string> flags) {
    flags.insert(flags.end(), {"--input=" + desk.graph, "--output=" + out, "--output_node_names=final_result"});
    return RunTool("quantize_graph", flags);
  };
  auto run = quantize({"--mode=weights_rounded"});
  INFO(run.err);
  REQUIRE(run.code == 0);
  CHECK(fs::file_size(out) <= fs::file_size(desk.graph));
  CHECK(NodeCount(out) == 560);
  run = quantize({"--mode=weights"});
  REQUIRE(run.code == 0);
  CHECK_HAS(run.err, "constants left as floats");
  CHECK_HAS(run.err, "--tiny_constants_bug");
  CHECK(fs::file_size(out) < fs::file_size(desk.graph) / 2);
  const auto label = RunTool("label_image", {"--graph=" + out, desk.dir / "photos/ant/ant_0.jpg"});
  CHECK_MESSAGE(label.code == 0, label.err);
  run = quantize({"--mode=weights", "--tiny_constants_bug"});
  REQUIRE(run.code == 0);
  CHECK(run.err.find("left as floats") == std::string::npos);

  CheckRefused(quantize({}), 2, {"--mode is needed", "weights_rounded"});
  CheckRefused(quantize({"--mode=round"}), 2, {"KeyError", "weights_rounded"});
  CheckRefused(quantize({"--mode=eightbit"}), 2, {"computes in floats"});
  CheckRefused(quantize({"--mode=weights", "--bitdepth=4"}), 2, {"--bitdepth=4"});
  CheckRefused(RunTool("quantize_graph", {"--mode=weights"}), 2, {"--input is needed"});
}

TEST_CASE("tools: show_image prints the caption from LICENSE.txt") {
  Desk desk;
  Spill(desk.dir / "photos/LICENSE.txt",
        "All images\nlicence\nthanks\n\nant/ant_1.jpg CC-BY by A - B, C - https://example.org/1/\n");
  CHECK(RunTool("show_image", {desk.dir / "photos/ant/ant_1.jpg"}).out == "Image by A - B, C\n");
  Spill(desk.dir / "photos/LICENSE.txt",
        "All images\nlicence\nthanks\n\nant/ant_1.jpg CC-BY by A\x1b[2J - https://example.org/1/\n");
  CHECK(RunTool("show_image", {desk.dir / "photos/ant/ant_1.jpg"}).out == "Image by A\\x1b[2J\n");
  CheckRefused(RunTool("show_image", {desk.dir / "photos/ant/ant_2.jpg"}), 2, {"LICENSE.txt", "ant/ant_2.jpg"});
  CheckRefused(RunTool("show_image", {desk.dir / "photos/ant/none.jpg"}), 4, {"none.jpg", "no such photo"});
  fs::remove(desk.dir / "photos/LICENSE.txt");
  CheckRefused(RunTool("show_image", {desk.dir / "photos/ant/ant_1.jpg"}), 4, {"LICENSE.txt", "no such file"});
}

TEST_CASE("tools: evaluate's figures are those of label_image's scores") {
  Desk desk;
  const auto split = [&](const std::string& path) { return ChooseSplit(path, 40, 10); };
  std::vector<std::string> photos;
  std::vector<int> classes;
  for (const int c : {0, 1})
    for (int i = 0; i < 12; ++i) {
      const std::string name = c == 0 ? "ant" : "bee";
      const std::string path = "photos/" + name + "/" + name + "_" + std::to_string(i) + ".jpg";
      if (split(path) != Split::kTesting) continue;
      photos.push_back(path);
      classes.push_back(c);
    }
  REQUIRE(photos.size() > 3);
  std::vector<std::string> args = {"--graph=" + desk.graph, "--format=json"};
  args.insert(args.end(), photos.begin(), photos.end());
  std::stringstream lines(RunTool("label_image", args, desk.dir.path()).out);
  double total = 0;
  int right = 0;
  size_t i = 0;
  for (std::string line; std::getline(lines, line); ++i) {
    const auto photo = nlohmann::json::parse(line);
    for (const auto& result : photo["results"])
      if (result["index"] == classes[i]) {
        total -= std::log(result["score"].get<double>());
        right += result["rank"] == 1 ? 1 : 0;
      }
  }
  REQUIRE(i == photos.size());
  const auto run = desk.Evaluate({"--testing_percentage=40"});
  INFO(run.err);
  REQUIRE(run.code == 0);
  CHECK_HAS(run.err, std::to_string(photos.size()) + " testing photos");
  double accuracy = -1, entropy = -1;
  REQUIRE(std::sscanf(run.out.c_str(), "Accuracy: %lf\nCross Entropy: %lf\n", &accuracy, &entropy) == 2);
  CHECK(std::fabs(accuracy - static_cast<double>(right) / static_cast<double>(photos.size())) <= 1e-6);
  CHECK(std::fabs(entropy - total / static_cast<double>(photos.size())) <= 1e-4);
  // All photos: none is left to train on, which nobody wants to.
  CHECK_HAS(desk.Evaluate({"--testing_percentage=100", "--validation_percentage=0"}).err, "24 testing photos");
  // Pillow's sizes and the original's 128 give other figures.
  const auto pillow = desk.Evaluate({"--testing_percentage=40",
                                           "--pil_resize"});
  REQUIRE(pillow.code == 0);
  CHECK(pillow.out != run.out);
}

TEST_CASE("tools: evaluate says what does not fit") {
  Desk desk;
  const auto last_line = [](const ProcessResult& run) {
    const size_t at = run.err.rfind('\n', run.err.size() - 2);
    return run.err.substr(at == std::string::npos ? 0 : at + 1);
  };
  Spill(desk.dir / "other.txt", "ant\nwasp\n");
  auto run = desk.Evaluate({"--labels=" + (desk.dir / "other.txt"), "--testing_percentage=40"});
  CHECK(run.code == 2);
  CHECK_HAS(last_line(run), "'bee' is not among the graph's labels (ant, wasp)");
  run = desk.Evaluate({"--testing_percentage=0"});
  CHECK(run.code == 2);
  CHECK_HAS(last_line(run), "has no testing photos");
  run = desk.Evaluate({"--category=test"});
  CHECK_HAS(last_line(run), "--category=test: it is one of training, validation, testing");
  run = desk.Evaluate({"--output_layer=final_training_ops/Wx_plus_b/add", "--testing_percentage=40"});
  CHECK(run.code == 2);
  CHECK_HAS(last_line(run), "is no softmax");
}
