// Files by strangers, through the programs: one line that names the file and the reason, exit 2, nothing written.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/support/graph_generator.h"
#include "tests/support/hostile_graphs.h"
#include "tests/support/pictures.h"
#include "tests/support/reliability.h"
#include "tests/support/test.h"

using namespace couplet::test;
namespace fs = std::filesystem;

namespace {

void Spill(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

// "" when the program ended with `code` and its last line is the one about `file`, with `reason` in it.
std::string NotRefused(const ProcessResult& run, const std::string& program, int code, const std::string& file,
                       const std::string& reason) {
  if (run.code != code) return "exit code " + std::to_string(run.code) + ": " + run.err;
  if (!run.err.ends_with('\n')) return "no line: " + run.err;
  const size_t start = run.err.rfind('\n', run.err.size() - 2) + 1;  // npos + 1 is 0
  const std::string line = run.err.substr(start, run.err.size() - start - 1);
  if (!line.starts_with(program + ": error: ")) return "another line at the end: " + run.err;
  if (line.find(file) == std::string::npos) return "the file is not named: " + line;
  if (line.find(reason) == std::string::npos) return "no word of " + reason + ": " + line;
  for (const char* leak : {"what():", "std::", "terminate", "Assertion", "internal error"})
    if (run.err.find(leak) != std::string::npos) return "an exception's own text: " + run.err;
  return "";
}

}  // namespace

TEST_CASE("hostile files: every class of graph faults ends label_image with one line and exit 2") {
  const TempDir dir;
  WritePhotoFolders(dir / "photos", {"a"}, 1, 3);
  Spill(dir / "labels.txt", "x\ny\n");
  const auto graphs = HostileGraphs();
  Count count("hostile-graphs", 35);
  CHECK(graphs.size() >= 35);
  for (const HostileGraph& graph : graphs) {
    CAPTURE(graph.name);
    const std::string path = dir / graph.name;
    Spill(path, graph.bytes);
    const ProcessResult run =
        RunProcess({ProgramPath("label_image"), "--graph=" + path, "--labels=" + (dir / "labels.txt"), "--input_layer=input",
                    "--output_layer=final_result", "--input_mean=0", "--input_std=255", "--input_size=6",
                    dir / "photos/a/a_0.jpg"});
    CHECK(run.out == "");
    CHECK(NotRefused(run, "label_image", 2, graph.name, graph.says) == "");
    count.Done();
  }
  count.Note("bent graphs through label_image, each a class of TensorFlow's published faults or a limit of ours");
}

TEST_CASE("hostile files: retrain refuses a graph, a store and labels of nothing, and writes nothing") {
  const TempDir dir;
  WritePhotoFolders(dir / "photos", {"red", "green"}, 12, 7);
  Spill(dir / "backbone.pb", GenerateMobileNet({}));
  Spill(dir / "bad.pb", GenerateMobileNet({}).substr(0, 1000));
  const auto retrain = [&](const std::string& graph, const std::string& bottlenecks) {
    return RunProcess({ProgramPath("retrain"), "--model_file=" + (dir / graph), "--image_dir=" + (dir / "photos"),
                       "--bottleneck_dir=" + (dir / bottlenecks), "--summaries_dir=" + (dir / "s"),
                       "--output_graph=" + (dir / "out.pb"), "--output_labels=" + (dir / "out.txt"),
                       "--how_many_training_steps=2", "--learning_rate=0.0001"});
  };
  const auto check = [&](const std::string& graph, const std::string& bottlenecks, const std::string& file,
                         const std::string& reason) {
    CAPTURE(reason);
    CHECK(NotRefused(retrain(graph, bottlenecks), "retrain", 2, file, reason) == "");
    CHECK_FALSE(fs::exists(dir / "out.pb"));
    CHECK_FALSE(fs::exists(dir / "out.txt"));
  };
  check("bad.pb", "b", "bad.pb", "breaks off");
  const auto store = [&](const std::string& name, const std::string& bytes) {
    fs::create_directory(dir / name);
    Spill(dir / (name + "/bottlenecks.sqlite"), bytes);
  };
  store("text", "these are my notes, not a store\n" + std::string(1000, '.'));
  check("backbone.pb", "text", "text/bottlenecks.sqlite", "name another --bottleneck_dir");
  // A store of ours, then cut: what an interrupted copy leaves.
  REQUIRE(retrain("backbone.pb", "whole").code == 0);
  fs::remove(dir / "out.pb");
  fs::remove(dir / "out.txt");
  const std::string whole = FileContents(dir / "whole/bottlenecks.sqlite");
  store("cut", whole.substr(0, whole.size() / 2));
  check("backbone.pb", "cut", "cut/bottlenecks.sqlite", "will be computed again");
  store("short", whole.substr(0, 100));
  check("backbone.pb", "short", "short/bottlenecks.sqlite", "will be computed again");
  std::string other_version = whole;
  other_version[63] = 9;  // SQLite's user_version, big endian, at byte 60
  store("newer", other_version);
  check("backbone.pb", "newer", "newer/bottlenecks.sqlite", "another version");
}

TEST_CASE("hostile files: labels that are none, too many or too few end label_image with one line and exit 2") {
  const TempDir dir;
  WritePhotoFolders(dir / "photos", {"a"}, 1, 3);
  MobileNetOptions options;
  options.head_classes = 3;
  Spill(dir / "graph.pb", GenerateMobileNet(options));
  const std::pair<std::string, std::string> cases[] = {
      {std::string(), "holds no labels"}, {std::string("a\0b\n", 4), "not a text file"}, {"one\n", "label"},
      {"1\n2\n3\n4\n", "label"},          {std::string(17 << 20, 'x'), "limit"}};
  for (const auto& [labels, reason] : cases) {
    CAPTURE(reason);
    Spill(dir / "labels.txt", labels);
    const ProcessResult run = RunProcess({ProgramPath("label_image"), "--graph=" + (dir / "graph.pb"),
                                          "--labels=" + (dir / "labels.txt"), dir / "photos/a/a_0.jpg"});
    CHECK(NotRefused(run, "label_image", 2, "labels.txt", reason) == "");
  }
  const ProcessResult folder = RunProcess({ProgramPath("label_image"), "--graph=" + (dir / "graph.pb"),
                                           "--labels=" + dir.path(), dir / "photos/a/a_0.jpg"});
  CHECK(NotRefused(folder, "label_image", 2, dir.path(), "") == "");
}

TEST_CASE("hostile files: flags of every kind of nonsense end with one line and exit 2") {
  const std::vector<std::vector<std::string>> cases = {
      {"--how_many_training_steps=1e3"}, {"--how_many_training_steps=99999999999999999999"}, {"--seed=-1"},
      {"--learning_rate=nan"}, {"--learning_rate=-1"}, {"--learning_rate="}, {"--testing_percentage=60", "--validation_percentage=40"},
      {"--train_batch_size=0"}, {"--random_crop=-1"}, {"--threads=-5"}, {"--verify_cache=maybe"}, {"--flip_left_right=yes"},
      {"--max_pixels=0"}, {"--\x1b[2J=1"}, {"--image_dir"}, {"stray"}, {"--seed=0x10"}, {"--device=\xff\xfe"}};
  for (const auto& flags : cases) {
    CAPTURE(flags[0]);
    std::vector<std::string> argv = {ProgramPath("retrain"), "--image_dir=x"};
    argv.insert(argv.end(), flags.begin(), flags.end());
    const ProcessResult run = RunProcess(argv);
    CHECK(NotRefused(run, "retrain", 2, "", "") == "");
    CHECK(std::count(run.err.begin(), run.err.end(), '\n') == 1);
    CHECK(run.err.find('\x1b') == std::string::npos);
  }
}
