// The whole job through the program itself, on generated graphs and pictures.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/backend.h"
#include "tests/support/graph_generator.h"
#include "tests/support/pictures.h"
#include "tests/support/test.h"

using namespace couplet::test;
namespace fs = std::filesystem;

namespace {

std::string Slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void Spill(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

// A folder with a generated backbone and three labels of generated pictures, and the command that retrains on it.
struct Workshop {
  Workshop() {
    Spill(dir / "backbone.pb", GenerateMobileNet({}));
    WritePhotoFolders(dir / "photos", {"red", "green", "blue"}, 30, 7);
  }
  // Retrains inside the folder, so that paths, and with them the split, are the same every time; outputs are named
  // after `tag`.
  ProcessResult Retrain(const std::string& tag, std::vector<std::string> more = {}, int steps = 50) {
    const auto given = [&](const std::string& flag) {
      return std::any_of(more.begin(), more.end(), [&](const std::string& arg) { return arg.starts_with(flag); });
    };
    std::vector<std::string> argv = {ProgramPath("retrain"), "--model_file=backbone.pb",
                                     "--output_graph=" + tag + ".pb", "--output_labels=" + tag + ".txt",
                                     "--summaries_dir=" + tag + "_summaries", "--json=" + tag + ".json",
                                     "--how_many_training_steps=" + std::to_string(steps)};
    if (!given("--image_dir")) argv.push_back("--image_dir=photos");
    if (!given("--bottleneck_dir")) argv.push_back("--bottleneck_dir=bottlenecks");
    // Vectors of a random network have much in common, so the default rate swings.
    if (!given("--learning_rate")) argv.push_back("--learning_rate=0.0003");
    argv.insert(argv.end(), more.begin(), more.end());
    return RunProcess(argv, {}, 120, dir.path());
  }
  nlohmann::json Json(const std::string& tag) { return nlohmann::json::parse(Slurp(dir / (tag + ".json"))); }

  TempDir dir;
};

// The last line, without its end.
std::string LastLine(const std::string& text) {
  const size_t end = text.find_last_not_of('\n');
  if (end == std::string::npos) return "";
  const size_t start = text.rfind('\n', end);
  return text.substr(start == std::string::npos ? 0 : start + 1, end - (start == std::string::npos ? 0 : start));
}

}  // namespace

TEST_CASE("retrain: --architecture=couplet_0.25_128 is the graph in weights/, and needs no network and no --model_dir") {
  Workshop shop;
  fs::copy_file("weights/couplet_mobilenet_v1_0.25_128.pb", shop.dir / "backbone.pb", fs::copy_options::overwrite_existing);
  REQUIRE(shop.Retrain("by_file", {}, 5).code == 0);
  // The later --model_file= takes the first one back.
  const ProcessResult run = shop.Retrain("by_name", {"--model_file=", "--architecture=couplet_0.25_128", "--offline",
                                                     "--model_dir=/proc/nowhere"}, 5);
  REQUIRE_MESSAGE(run.code == 0, run.err);
  CHECK(Slurp(shop.dir / "by_name.pb") == Slurp(shop.dir / "by_file.pb"));
  CHECK(shop.Json("by_name")["architecture"] == "couplet_0.25_128");
}

TEST_CASE("retrain: photos become a graph that label_image uses") {
  Workshop shop;
  // The shipped backbone: pictures of one colour a label are easy for it.
  fs::copy_file("weights/couplet_mobilenet_v1_0.25_128.pb", shop.dir / "backbone.pb", fs::copy_options::overwrite_existing);
  const ProcessResult run = shop.Retrain("out", {"--learning_rate=0.01"}, 300);
  INFO(run.err);
  REQUIRE(run.code == 0);
  const auto json = shop.Json("out");
  const int n = json["test"]["count"];
  CHECK(n > 0);
  char expected[80];
  std::snprintf(expected, sizeof expected, "Final test accuracy = %.1f%% (N=%d)\n",
                100 * json["test"]["accuracy"].get<double>(), n);
  CHECK(run.out.starts_with(expected));
  CHECK(run.err.find("INFO:tensorflow:Looking for images in 'red'") != std::string::npos);
  CHECK(run.err.find(": Step 0: Train accuracy = ") != std::string::npos);
  CHECK(run.err.find(": Step 299: Validation accuracy = ") != std::string::npos);
  CHECK(Slurp(shop.dir / "out.txt") == "blue\ngreen\nred\n");
  CHECK(json["labels"] == std::vector<std::string>{"blue", "green", "red"});
  CHECK(json["bottlenecks"]["computed"] == 90);
  CHECK(json["device"] == "cpu");
  CHECK(json["photos"]["training"].get<int>() + json["photos"]["validation"].get<int>() + n == 90);
  CHECK(json["test"]["accuracy"] == 1.0);
  // Beside the graph lies what --threshold needs.
  CHECK(json["calibration"]["photos"] == json["photos"]["validation"]);
  std::vector<std::string> judge = {ProgramPath("label_image"), "--graph=" + (shop.dir / "out.pb"),
                                    "--labels=" + (shop.dir / "out.txt"), "--threshold=0", shop.dir / "photos/red/red_0.jpg"};
  const ProcessResult sure = RunProcess(judge);
  CHECK_MESSAGE(sure.code == 0, sure.err);
  CHECK(sure.out.find("unknown") == std::string::npos);
  judge[3] = "--threshold=1";
  CHECK_HAS(RunProcess(judge).out, "s\n\nunknown (score=0.");
  const ProcessResult label = RunProcess({ProgramPath("label_image"), "--graph=" + (shop.dir / "out.pb"),
                                          "--labels=" + (shop.dir / "out.txt"), "--format=tsv", "--top_k=1",
                                          shop.dir / "photos/red/red_0.jpg", shop.dir / "photos/blue/blue_1.jpg"});
  INFO(label.err);
  CHECK(label.code == 0);
  CHECK(label.out.find("red_0.jpg\t1\t2\tred\t") != std::string::npos);
  CHECK(label.out.find("blue_1.jpg\t1\t0\tblue\t") != std::string::npos);
}

TEST_CASE("retrain: the same bytes with one thread and two, cold and warm; a warm run computes nothing") {
  Workshop shop;
  REQUIRE(shop.Retrain("one", {"--threads=1", "--bottleneck_dir=b1"}).code == 0);
  REQUIRE(shop.Retrain("two", {"--threads=2"}).code == 0);
  REQUIRE(shop.Retrain("warm", {"--threads=2"}).code == 0);
  const std::string graph = Slurp(shop.dir / "one.pb");
  CHECK(graph.size() > 1'900'000);
  CHECK(graph == Slurp(shop.dir / "two.pb"));
  CHECK(graph == Slurp(shop.dir / "warm.pb"));
  CHECK(Slurp(shop.dir / "one.txt") == Slurp(shop.dir / "two.txt"));
  CHECK(shop.Json("two")["bottlenecks"]["computed"] == 90);
  CHECK(shop.Json("warm")["bottlenecks"]["computed"] == 0);
  CHECK(shop.Json("warm")["bottlenecks"]["cached"] == 90);
  // Another seed is another graph, or the seed is not used.
  REQUIRE(shop.Retrain("seed", {"--seed=1"}).code == 0);
  CHECK(graph != Slurp(shop.dir / "seed.pb"));
}

TEST_CASE("retrain: --precision=int8 trains on vectors of its own; label_image takes it as well") {
  Workshop shop;
  fs::copy_file("weights/couplet_mobilenet_v1_0.25_128.pb", shop.dir / "backbone.pb", fs::copy_options::overwrite_existing);
  const ProcessResult first = shop.Retrain("first", {"--precision=int8", "--threads=1", "--bottleneck_dir=b1", "--learning_rate=0.01"}, 300);
  if (!couplet::Int8IsFast()) {
    CHECK(first.code == 2);
    CHECK_HAS(LastLine(first.err), "--precision=int8: this processor multiplies bytes no faster than floats");
    return;
  }
  REQUIRE_MESSAGE(first.code == 0, first.err);
  CHECK_HAS(first.err, "own kernels, int8, AVX");
  CHECK(shop.Json("first")["device"] == "cpu");
  CHECK(shop.Json("first")["test"]["accuracy"] == 1.0);
  REQUIRE(shop.Retrain("floats", {"--learning_rate=0.01"}, 300).code == 0);
  CHECK(Slurp(shop.dir / "floats.pb") != Slurp(shop.dir / "first.pb"));
  for (const int computed : {90, 0}) {  // beside vectors of floats, then beside its own
    REQUIRE(shop.Retrain("again", {"--precision=int8", "--threads=2", "--learning_rate=0.01"}, 300).code == 0);
    CHECK(shop.Json("again")["bottlenecks"]["computed"] == computed);
    CHECK(Slurp(shop.dir / "again.pb") == Slurp(shop.dir / "first.pb"));
  }
  std::vector<std::string> label = {ProgramPath("label_image"), "--graph=" + (shop.dir / "first.pb"), "--labels=" + (shop.dir / "first.txt"),
                                    "--format=tsv", "--top_k=1", shop.dir / "photos/red/red_0.jpg", shop.dir / "photos/blue/blue_1.jpg"};
  const ProcessResult floats = RunProcess(label);
  label.push_back("--precision=int8");
  const ProcessResult bytes = RunProcess(label);
  for (const ProcessResult& run : {floats, bytes}) {
    INFO(run.err);
    CHECK(run.code == 0);
    CHECK_HAS(run.out, "red_0.jpg\t1\t2\tred\t");
    CHECK_HAS(run.out, "blue_1.jpg\t1\t0\tblue\t");
  }
  CHECK(floats.out != bytes.out);
}

TEST_CASE("retrain: a changed photo is computed again, a renamed folder is not") {
  Workshop shop;
  REQUIRE(shop.Retrain("first").code == 0);
  fs::copy_file(shop.dir / "photos/green/green_3.jpg", shop.dir / "photos/red/red_5.jpg",
                fs::copy_options::overwrite_existing);
  fs::rename(shop.dir / "photos", shop.dir / "moved");
  const ProcessResult run = shop.Retrain("second", {"--image_dir=moved"});
  INFO(run.err);
  REQUIRE(run.code == 0);
  // The copied content is in the store already, so nothing at all is decoded.
  CHECK(shop.Json("second")["bottlenecks"]["computed"] == 0);
}

TEST_CASE("retrain: up to 20 classes print a confusion matrix, more of them the mistakes") {
  Workshop shop;
  std::vector<std::string> labels;
  for (int i = 10; i < 31; ++i) labels.push_back("label" + std::to_string(i));
  WritePhotoFolders(shop.dir / "many", labels, 8, 7);
  const ProcessResult few = shop.Retrain("few");
  CHECK(few.out.find("Confusion matrix") != std::string::npos);
  CHECK(few.out.find("Most frequent mistakes") == std::string::npos);
  const ProcessResult run = shop.Retrain("many", {"--image_dir=many"}, 2);
  CHECK(run.code == 0);
  CHECK(run.out.find("Confusion matrix") == std::string::npos);
  size_t at = run.out.find("Most frequent mistakes of 21 classes");
  REQUIRE(at != std::string::npos);
  const auto json = shop.Json("many");
  const auto& matrix = json["test"]["confusion"];
  int most = 0;
  for (size_t row = 0; row < 21; ++row)
    for (size_t column = 0; column < 21; ++column)
      if (row != column) most = std::max(most, matrix[row][column].get<int>());
  REQUIRE(most > 0);
  int count = 0, before = most, lines = 0;
  size_t label = 0, taken_for = 0;
  for (at = run.out.find('\n', at) + 1; sscanf(run.out.c_str() + at, "%d label%zu taken for label%zu", &count, &label, &taken_for) == 3; at = run.out.find('\n', at) + 1) {
    CHECK(matrix.at(label - 10).at(taken_for - 10) == count);
    CHECK(count <= before);
    if (lines++ == 0) CHECK(count == most);
    before = count;
  }
  CHECK(lines > 0);
  CHECK(lines <= 10);
}

TEST_CASE("retrain: where both streams end in one file, what was printed first stands first; a reader that goes away is no error") {
  Workshop shop;
  const auto run = [&](const std::string& streams) {
    return RunProcess({"/bin/sh", "-c", ProgramPath("retrain") + " --image_dir=photos --model_file=backbone.pb --bottleneck_dir=bottlenecks "
                       "--output_graph=out.pb --output_labels=out.txt --summaries_dir=summaries --how_many_training_steps=2 " + streams},
                      {}, 120, shop.dir.path());
  };
  CHECK(run(">log 2>&1").code == 0);
  const std::string log = Slurp(shop.dir / "log");
  const size_t matrix = log.find("\nConfusion matrix"), last = log.find("INFO:tensorflow:Wrote ");
  REQUIRE(matrix != std::string::npos);
  REQUIRE(last != std::string::npos);
  CHECK(matrix < last);
  run("2>log | true");
  CHECK(LastLine(Slurp(shop.dir / "log")).starts_with("INFO:tensorflow:Wrote "));
}

TEST_CASE("retrain: photos that cannot be read are named, left out and counted; --strict refuses them") {
  Workshop shop;
  Spill(shop.dir / "photos/red/note.jpg", "not a photo at all");
  Spill(shop.dir / "photos/red/empty.jpg", "");
  const ProcessResult run = shop.Retrain("out");
  INFO(run.err);
  CHECK(run.code == 0);
  const auto json = shop.Json("out");
  REQUIRE(json["left_out"].size() == 2);
  CHECK(json["left_out"][0]["path"] == "photos/red/empty.jpg");
  CHECK(json["left_out"][1]["reason"] == "expected a JPEG, PNG, GIF or BMP image, found text");
  const std::string line = "photos/red/note.jpg: expected a JPEG, PNG, GIF or BMP image, found text";
  const size_t first = run.err.find(line);
  CHECK(first != std::string::npos);
  CHECK(run.err.find(line, first + 1) != std::string::npos);  // and once more in the summary
  const ProcessResult strict = shop.Retrain("strict", {"--strict"});
  CHECK(strict.code == 2);
  CHECK(LastLine(strict.err) == "retrain: error: --strict: 2 of 92 photos cannot be read");
  CHECK_FALSE(fs::exists(shop.dir / "strict.pb"));
}

TEST_CASE("retrain: a photo over --max_pixels is left out, whether the cache has it or not, and the others' vectors stay") {
  Workshop shop;
  const auto large = EncodeJpeg(std::vector<uint8_t>(200 * 100 * 3, 90), 200, 100);
  Spill(shop.dir / "photos/red/large.jpg", {large.begin(), large.end()});
  REQUIRE(shop.Retrain("first").code == 0);
  CHECK(shop.Json("first")["left_out"].empty());
  for (const int computed : {90, 0}) {
    REQUIRE(shop.Retrain("limited", {"--max_pixels=19999"}).code == 0);
    const auto json = shop.Json("limited");
    REQUIRE(json["left_out"].size() == 1);
    CHECK(json["left_out"][0]["reason"] == "JPEG of 200x100 pixels, over the limit of 0.02 million");
    CHECK(json["bottlenecks"]["computed"] == computed);
  }
  REQUIRE(shop.Retrain("again").code == 0);
  CHECK(shop.Json("again")["bottlenecks"]["computed"] == 0);
  CHECK(Slurp(shop.dir / "again.pb") == Slurp(shop.dir / "first.pb"));
}

TEST_CASE("retrain: --bottleneck_format=text keeps the original's files and reads them") {
  Workshop shop;
  const std::string cache = "--bottleneck_dir=text";
  REQUIRE(shop.Retrain("out", {"--bottleneck_format=text", cache}).code == 0);
  const std::string file = shop.dir / "text/red/red_0.jpg_backbone.pb.txt";
  const std::string text = Slurp(file);
  CHECK(std::count(text.begin(), text.end(), ',') == 1000);
  // A vector from the file is what is trained on: with all of them gone bad, all are made anew.
  Spill(file, "1,2,three");
  const ProcessResult run = shop.Retrain("again", {"--bottleneck_format=text", cache});
  CHECK(run.code == 0);
  CHECK(shop.Json("again")["bottlenecks"]["computed"] == 1);
  CHECK(Slurp(file) == text);
  CHECK(Slurp(shop.dir / "out.pb") == Slurp(shop.dir / "again.pb"));
}

TEST_CASE("retrain: distortions train, repeat themselves and do not depend on threads") {
  Workshop shop;
  const std::vector<std::string> flags = {"--flip_left_right", "--random_crop=10", "--random_scale=10",
                                          "--random_brightness=10", "--train_batch_size=10"};
  auto with = [&](const std::string& more) {
    auto all = flags;
    all.push_back(more);
    return all;
  };
  REQUIRE(shop.Retrain("one", with("--threads=1"), 10).code == 0);
  REQUIRE(shop.Retrain("two", with("--threads=2"), 10).code == 0);
  REQUIRE(shop.Retrain("plain", {"--train_batch_size=10"}, 10).code == 0);
  CHECK(Slurp(shop.dir / "one.pb") == Slurp(shop.dir / "two.pb"));
  CHECK(Slurp(shop.dir / "one.pb") != Slurp(shop.dir / "plain.pb"));
}

TEST_CASE("retrain: intermediate graphs, event files and a rerun that clears the old ones") {
  Workshop shop;
  const std::string folder = shop.dir / "intermediate/";
  REQUIRE(shop.Retrain("out", {"--intermediate_store_frequency=20", "--intermediate_output_graphs_dir=intermediate/"}).code == 0);
  CHECK(fs::exists(folder + "intermediate_20.pb"));
  CHECK(fs::exists(folder + "intermediate_40.pb"));
  CHECK_FALSE(fs::exists(folder + "intermediate_0.pb"));
  const auto events = [&](const std::string& sub) {
    const fs::path dir = (shop.dir / "out_summaries") + "/" + sub;
    return std::distance(fs::directory_iterator(dir), fs::directory_iterator());
  };
  CHECK(events("train") == 1);
  CHECK(events("validation") == 1);
  Spill(shop.dir / "out_summaries/keep.txt", "mine");
  REQUIRE(shop.Retrain("out").code == 0);
  CHECK(events("train") == 1);
  CHECK(fs::exists(shop.dir / "out_summaries/keep.txt"));
}

TEST_CASE("retrain: a learning rate that diverges ends with exit 5, the step and a way out") {
  Workshop shop;
  const ProcessResult run = shop.Retrain("out", {"--learning_rate=1e38"});
  CHECK(run.code == 5);
  const std::string line = LastLine(run.err);
  CHECK(line.starts_with("retrain: error: training diverged at step "));
  CHECK(line.find("--learning_rate") != std::string::npos);
  CHECK(fs::exists(shop.dir / "out.pb"));
}

TEST_CASE("retrain: what is wrong with a command is one line and the documented exit code") {
  Workshop shop;
  const auto check = [&](std::vector<std::string> argv, int code, const std::string& line) {
    argv.insert(argv.begin(), ProgramPath("retrain"));
    const ProcessResult run = RunProcess(argv);
    CAPTURE(run.err);
    CHECK(run.code == code);
    CHECK(LastLine(run.err).find(line) != std::string::npos);
    CHECK(run.out == "");
  };
  check({}, 2, "--image_dir is needed");
  // Nothing is read or downloaded first.
  check({"--image_dir=x", "--device=cuda", "--precision=fp16"}, 3, "retrain: error: --device=cuda: no ");
  check({"--image_dir=x", "--device=cpu", "--precision=fp16"}, 2, "--precision=fp16");
  check({"--image_dir=x", "--precision=fp8"}, 2, "--precision");
  check({"--image_dir=x", "--gpu_memory_mb=-1"}, 2, "--gpu_memory_mb");
  check({"--image_dir=x", "--device=tpu"}, 2, "--device");
  check({"--image_dir=x", "--learning_rate=abc"}, 2, "--learning_rate");
  check({"--image_dir=" + (shop.dir / "nowhere"), "--model_file=" + (shop.dir / "backbone.pb")}, 2, "nowhere");
  check({"--image_dir=" + (shop.dir / "photos"), "--model_file=" + (shop.dir / "none.pb")}, 4, "none.pb");
  check({"--image_dir=" + (shop.dir / "photos"), "--architecture=mobilenet_0.5_128"}, 2, "0.5");
  check({"--image_dir=" + (shop.dir / "photos"), "--architecture=mobilenet_0.50_128", "--offline",
         "--model_dir=" + (shop.dir / "models")}, 4, "mobilenet_v1_0.50_128");
  check({"--image_dir=" + (shop.dir / "photos"), "--architecture=mobilenet_0.50_128", "--offline",
         "--model_dir=" + (shop.dir / "models")}, 4, "or take --architecture=couplet_0.25_128, which comes with Couplet");
  check({"--image_dir=" + (shop.dir / "photos"), "--model_file=" + (shop.dir / "photos/red/red_0.jpg")}, 2, "red_0.jpg");
  check({"--image_dir=" + (shop.dir / "photos"), "--model_file=" + (shop.dir / "backbone.pb"),
         "--bottleneck_dir=" + (shop.dir / "b"), "--summaries_dir=" + (shop.dir / "s"), "--output_graph=/proc/nowhere/x.pb",
         "--output_labels=" + (shop.dir / "l.txt"), "--how_many_training_steps=1"}, 4, "/proc/nowhere");
  const ProcessResult named = shop.Retrain("named", {"--final_tensor_name=MobilenetV1/Predictions/Reshape"});
  CHECK(named.code == 2);
  CHECK(LastLine(named.err).find("--final_tensor_name=MobilenetV1/Predictions/Reshape: the graph already has") != std::string::npos);
  CHECK_FALSE(fs::exists(shop.dir / "bottlenecks"));  // said before the photos are looked at
}

TEST_CASE("retrain: --profile tells what took how long, and changes no byte") {
  Workshop shop;
  REQUIRE(shop.Retrain("plain", {"--bottleneck_dir=b1"}).code == 0);
  const ProcessResult run = shop.Retrain("profiled", {"--profile=trace.json"});
  REQUIRE(run.code == 0);
  CHECK(Slurp(shop.dir / "plain.pb") == Slurp(shop.dir / "profiled.pb"));
  for (const char* row : {"\n  read and hash ", "\n  decode ", "\n  thumbnail ", "\n  preprocess ", "Conv2d_1_depthwise"})
    CHECK_HAS(run.err, row);
  const auto trace = nlohmann::json::parse(Slurp(shop.dir / "trace.json"));
  CHECK(trace["traceEvents"].size() > 90 * 20);
  // A place that cannot be written is found out, if late.
  CHECK(shop.Retrain("late", {"--bottleneck_dir=b2", "--profile=/proc/nowhere/x.json"}).code == 4);
}

TEST_CASE("retrain: --list_devices needs nothing else") {
  const ProcessResult run = RunProcess({ProgramPath("retrain"), "--list_devices"});
  CHECK(run.code == 0);
  CHECK(run.out.starts_with("cpu: " + couplet::MakeCpuBackend()->description()));
  CHECK(std::count(run.out.begin(), run.out.end(), '\n') >= 2);
}

TEST_CASE("retrain: --json has just the keys of the README's example") {
  // The example is the indented block that begins with a lone brace.
  const std::string readme = Slurp("README.md");
  const size_t begin = readme.find("\n    {\n");
  REQUIRE(begin != std::string::npos);
  const size_t end = readme.find("\n    }\n", begin);
  const auto example = nlohmann::json::parse(readme.substr(begin, end + 6 - begin));
  Workshop shop;
  Spill(shop.dir / "photos/red/bad.jpg", "text");
  Spill(shop.dir / "photos/red/bad.webp", "RIFF");
  REQUIRE(shop.Retrain("out").code == 0);
  const auto ours = shop.Json("out");
  const auto keys = [](const nlohmann::json& object) {
    std::vector<std::string> names;
    for (const auto& [name, value] : object.items()) names.push_back(name);
    return names;
  };
  CHECK(keys(ours) == keys(example));
  for (const char* part : {"photos", "ignored", "bottlenecks", "test", "seconds"}) CHECK(keys(ours[part]) == keys(example[part]));
  for (const char* part : {"left_out", "history"}) CHECK(keys(ours[part][0]) == keys(example[part][0]));
  double seconds = 0;
  for (const auto& [stage, took] : ours["seconds"].items()) seconds += stage == "total" ? 0 : took.get<double>();
  CHECK(std::abs(ours["seconds"]["total"].get<double>() - seconds) <= 1e-9);
  CHECK(keys(ours["test"]["classes"][0]) == keys(example["test"]["classes"][0]));
  REQUIRE_FALSE(ours["test"]["misclassified"].empty());
  CHECK(keys(ours["test"]["misclassified"][0]) == keys(example["test"]["misclassified"][0]));
}

TEST_CASE("retrain: help and version") {
  const ProcessResult help = RunProcess({ProgramPath("retrain"), "-h"});
  CHECK(help.code == 0);
  // CLI11 2.1 writes a default as INT=4000, 2.4 as INT [4000].
  const std::string steps = help.out.substr(std::min(help.out.find("--how_many_training_steps INT"), help.out.size()));
  CHECK(steps.substr(0, steps.find('\n')).find("4000") != std::string::npos);
  const ProcessResult version = RunProcess({ProgramPath("retrain"), "--version"});
  CHECK(version.code == 0);
  CHECK(version.out.find(couplet::MakeCpuBackend()->description()) != std::string::npos);
}
