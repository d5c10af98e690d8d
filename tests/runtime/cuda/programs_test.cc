// The programs themselves with --device=cuda, on stand-ins for NVIDIA's libraries.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/emulator.h"
#include "tests/support/graph_generator.h"
#include "tests/support/pictures.h"
#include "tests/support/standin_device.h"

using namespace couplet::test;
namespace fs = std::filesystem;

namespace {

const char* const kSteps = Sanitized() ? "12" : "200";

// Photos a label: with three labels more than a batch of 32, and a batch that is not full.
constexpr int kPhotos = 11;

// A folder with pictures of three labels, and the programs that find the played device.
struct Workshop {
  // A network of few pixels: a stand-in takes its time.
  Workshop() : Workshop(GenerateMobileNet({.size = 32})) {}
  explicit Workshop(const std::string& backbone) {
    std::ofstream(dir / "backbone.pb", std::ios::binary) << backbone;
    WritePhotoFolders(dir / "photos", {"red", "green", "blue"}, kPhotos, 7);
  }
  // `device` is the flag's value; the rest of the environment is "NAME=value" of the stand-ins.
  ProcessResult Retrain(const std::string& tag, const std::string& device, std::vector<std::string> more = {},
                        const std::vector<std::string>& played = {}) {
    std::vector<std::string> argv = {StandinDir() + "/retrain",
                                     "--device=" + device,
                                     "--model_file=backbone.pb",
                                     "--image_dir=photos",
                                     "--bottleneck_dir=" + tag + "_bottlenecks",
                                     "--output_graph=" + tag + ".pb",
                                     "--output_labels=" + tag + ".txt",
                                     "--summaries_dir=" + tag + "_summaries",
                                     "--json=" + tag + ".json",
                                     std::string("--how_many_training_steps=") + kSteps};
    argv.insert(argv.end(), more.begin(), more.end());
    return Run(argv, tag, played);
  }
  ProcessResult Label(const std::string& graph, const std::string& device,
                      const std::vector<std::string>& more = {},
                      const std::vector<std::string>& played = {}) {
    std::vector<std::string> argv = {
        StandinDir() + "/label_image", "--device=" + device,    "--graph=" + graph + ".pb",
        "--labels=" + graph + ".txt",  "--format=json",         "photos/red/red_0.jpg",
        "photos/green/green_1.jpg",    "photos/blue/blue_2.jpg"};
    argv.insert(argv.end(), more.begin(), more.end());
    return Run(argv, "label", played);
  }
  ProcessResult Run(const std::vector<std::string>& argv, const std::string& tag,
                    const std::vector<std::string>& played) {
    report = dir / (tag + ".report");
    fs::remove(report);
    std::vector<std::string> env = StandinEnvironment(report);
    env.insert(env.end(), played.begin(), played.end());
    return RunProcess(argv, env, 300, dir.path());
  }
  // Of the program that ran last: what the stand-ins held against it. "" = nothing; no report = no device
  // used.
  std::string Complaints() const {
    if (!fs::exists(report)) return "";
    std::istringstream lines(FileContents(report));
    std::string complaints;
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with("misuse") || line.starts_with("alive")) complaints += line + "\n";
    return complaints;
  }
  long Calls(const std::string& name) const {
    const std::string text = fs::exists(report) ? FileContents(report) : "", key = "calls\t" + name + "\t";
    const size_t at = text.find(key);
    return at == std::string::npos ? 0 : std::atol(text.c_str() + at + key.size());
  }
  nlohmann::json Json(const std::string& tag) const {
    return nlohmann::json::parse(FileContents(dir / (tag + ".json")));
  }

  TempDir dir;
  std::string report;
};

// Where training is not what is looked at.
const char* const kFewSteps = Sanitized() ? "--how_many_training_steps=4" : "--how_many_training_steps=20";

// How often `part` is in `text`.
int Count(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// {path, label} -> score of each line.
std::vector<std::pair<std::string, double>> Scores(const std::string& out) {
  std::vector<std::pair<std::string, double>> scores;
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line);
    for (const auto& result : json["results"])
      scores.emplace_back(json["path"].get<std::string>() + " " + result["label"].get<std::string>(),
                          result["score"].get<double>());
  }
  std::sort(scores.begin(), scores.end());
  return scores;
}

void CheckNear(const std::string& got, const std::string& want, double tolerance) {
  const auto a = Scores(got), b = Scores(want);
  REQUIRE(a.size() == 9);
  REQUIRE(b.size() == 9);
  for (size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].first == b[i].first);
    CHECK_FALSE(!(std::fabs(a[i].second - b[i].second) <= tolerance));
  }
}

}  // namespace

TEST_CASE("programs: retrain and label_image give on a device what they give on the CPU") {
  COUPLET_NEEDS_STANDIN(device);
  Workshop shop(FileContents("weights/couplet_mobilenet_v1_0.25_128.pb"));
  const ProcessResult cpu = shop.Retrain("cpu", "cpu");
  INFO(cpu.err);
  REQUIRE(cpu.code == 0);
  CHECK(shop.Calls("*") == 0);
  const ProcessResult cuda = shop.Retrain("cuda", "cuda");
  INFO(cuda.err);
  REQUIRE(cuda.code == 0);
  CHECK(shop.Complaints() == "");
  CHECK(shop.Calls("launch") > 10);
  CHECK_HAS(cuda.err, "Using Stand-in GPU");
  // Same photos, same draws, same losses.
  const auto a = shop.Json("cpu"), b = shop.Json("cuda");
  CHECK(a["photos"] == b["photos"]);
  CHECK(a["test"]["accuracy"] == b["test"]["accuracy"]);
  CHECK(b["bottlenecks"]["computed"] == 3 * kPhotos);
  const ProcessResult on_cpu = shop.Label("cpu", "cpu"), from_cuda = shop.Label("cuda", "cpu"),
                      on_cuda = shop.Label("cuda", "cuda");
  INFO(on_cuda.err);
  REQUIRE(on_cuda.code == 0);
  CHECK(shop.Complaints() == "");
  CHECK(shop.Calls("launch") > 10);
  CheckNear(from_cuda.out, on_cpu.out, 1e-4);  // 200 steps apart
  CheckNear(on_cuda.out, from_cuda.out, 1e-5);
  for (const char* precision : {"tf32", "fp16"}) {
    const ProcessResult run = shop.Label("cuda", "cuda", {std::string("--precision=") + precision});
    INFO(run.err);
    REQUIRE(run.code == 0);
    CheckNear(run.out, from_cuda.out, 0.02);
  }
  // Warm: nothing is computed again.
  REQUIRE(shop.Retrain("cuda", "cuda").code == 0);
  CHECK(shop.Json("cuda")["bottlenecks"]["computed"] == 0);
}

TEST_CASE("programs: the same bytes from a device twice, and in the worst order its streams allow") {
  COUPLET_NEEDS_STANDIN(device);
  Workshop shop;
  std::string graph;
  for (const char* order : {"eager", "late", "5"}) {
    CAPTURE(order);
    const std::string tag = std::string("order_") + order;
    const ProcessResult run =
        shop.Retrain(tag, "cuda", {kFewSteps}, {std::string("COUPLET_STANDIN_ORDER=") + order});
    INFO(run.err);
    REQUIRE(run.code == 0);
    CHECK(shop.Complaints() == "");
    const std::string bytes = FileContents(shop.dir / (tag + ".pb"));
    if (graph.empty()) graph = bytes;
    CHECK(bytes == graph);
    if (Sanitized() && order[0] == 'l') break;
  }
}

TEST_CASE("programs: where memory does not suffice the batch is halved, said once, and the bytes stay") {
  COUPLET_NEEDS_STANDIN(device);
  Workshop shop;
  const std::string said = "photos at a time were too many for the device";
  const ProcessResult whole = shop.Retrain("whole", "cuda", {kFewSteps});
  REQUIRE(whole.code == 0);
  CHECK(Count(whole.err, said) == 0);
  const std::string graph = FileContents(shop.dir / "whole.pb");
  for (const char* plan : {"cudaMalloc:5:oom", "cudaMalloc:40:oom", "cudaMalloc:5:oom,cudaMalloc:20:oom"}) {
    CAPTURE(plan);
    const ProcessResult run =
        shop.Retrain("halved", "cuda", {kFewSteps}, {std::string("COUPLET_STANDIN_FAIL=") + plan});
    INFO(run.err);
    CHECK(run.code == 0);
    CHECK(Count(run.err, said) == 1);
    CHECK(shop.Complaints() == "");
    CHECK(FileContents(shop.dir / "halved.pb") == graph);
    fs::remove_all(shop.dir / "halved_bottlenecks");
    if (Sanitized()) break;
  }
  // Little memory from the start: smaller batches without a word, and none at all where even one does not
  // fit.
  const ProcessResult small = shop.Retrain("small", "cuda", {kFewSteps}, {"COUPLET_STANDIN_MEMORY_MB=40"});
  INFO(small.err);
  CHECK(small.code == 0);
  CHECK(Count(small.err, said) == 0);
  const ProcessResult none = shop.Retrain("none", "cuda", {kFewSteps}, {"COUPLET_STANDIN_MEMORY_MB=1"});
  INFO(none.err);
  CHECK(none.code == 3);
  CHECK_HAS(none.err, "out of memory");
  CHECK(shop.Complaints() == "");
  CHECK_FALSE(fs::exists(shop.dir / "none.pb"));
}

TEST_CASE("programs: on a board the memory's plan is told first, and when it ends midway half the batch goes on") {
  COUPLET_NEEDS_STANDIN(device);
  Workshop shop;
  // Of Nano 4 GB, TX2 8 GB with 5 GB of page cache, Orin 8 GB: free to the GPU, and available to the host.
  const auto board = [&](const char* total, const char* free, const char* available_kb, const char* capability) {
    std::ofstream(shop.dir / "meminfo") << "MemTotal: 8000000 kB\nMemAvailable: " << available_kb << " kB\n";
    return std::vector<std::string>{std::string("COUPLET_STANDIN_MEMORY_MB=") + total, std::string("COUPLET_STANDIN_FREE_MB=") + free,
                                    std::string("COUPLET_STANDIN_CAPABILITY=") + capability, "COUPLET_STANDIN_INTEGRATED=1",
                                    "COUPLET_MEMINFO=meminfo"};
  };
  std::string graph;
  const auto retrain = [&](std::vector<std::string> played, const std::string& budget, const char* plan) {
    played.push_back(std::string("COUPLET_STANDIN_FAIL=") + plan);
    fs::remove_all(shop.dir / "board_bottlenecks");
    const ProcessResult run = shop.Retrain("board", "cuda", {kFewSteps}, played);
    INFO(run.err);
    CHECK(run.code == 0);
    CHECK(shop.Complaints() == "");
    const size_t told = run.err.find("GPU memory: " + budget + " MB may be taken");
    CHECK(told < run.err.find("bottlenecks computed"));
    CHECK(Count(run.err, "photos at a time were too many for the device") == (*plan != 0 ? 1 : 0));
    if (graph.empty()) graph = FileContents(shop.dir / "board.pb");
    CHECK(FileContents(shop.dir / "board.pb") == graph);
  };
  retrain(board("3964", "1500", "2800000", "5.3"), "1050", "cudaMalloc:40:oom");
  if (Sanitized()) return;
  retrain(board("7846", "1300", "6200000", "6.2"), "910", "cudaMalloc:40:oom");
  retrain(board("7620", "5200", "4198400", "8.7"), "2870", "");
  const ProcessResult label = shop.Label("board", "cuda", {}, board("7620", "5200", "4198400", "8.7"));
  CHECK(label.code == 0);
  CHECK_HAS(label.err, "GPU memory: 2870 MB may be taken");
  CHECK_HAS(label.err, " 3 photos at a time ");
  // Whatever else sends photos through a network says so, too: distortions, once more than the vectors of what is tested; the lab,
  // whose vectors stay there.
  const auto orin = board("7620", "5200", "4198400", "8.7");
  const ProcessResult distorted = shop.Retrain("board", "cuda", {"--how_many_training_steps=1", "--train_batch_size=2", "--flip_left_right"}, orin);
  CHECK(distorted.code == 0);
  CHECK(Count(distorted.err, "GPU memory: 2870 MB may be taken") == 2);
  const ProcessResult evaluated = shop.Run({StandinDir() + "/evaluate", "board.pb", "--device=cuda", "--labels=board.txt",
                                            "--image_dir=photos"}, "evaluated", orin);
  CHECK(evaluated.code == 0);
  CHECK_HAS(evaluated.err, "GPU memory: 2870 MB may be taken");
  const ProcessResult lab = shop.Run({StandinDir() + "/lab", "--devices=cuda", "--image_dir=photos", "--architectures=./backbone.pb",
                                      "--learning_rates=0.01", "--steps=1", "--seeds=1", "--testing_percentage=20"}, "lab", orin);
  CHECK(lab.code == 0);
  CHECK_HAS(lab.err, "GPU memory: 2870 MB may be taken");
  CHECK(lab.err.find(", vectors 0\n") == std::string::npos);
}

TEST_CASE("programs: auto takes a device for many photos, and the CPU after one line where that fails") {
  COUPLET_NEEDS_STANDIN(device);
  Workshop shop;
  REQUIRE(shop.Retrain("graph", "cpu", {kFewSteps}).code == 0);
  const std::vector<std::string> many(253, "photos/red/red_3.jpg");
  const ProcessResult cpu = shop.Label("graph", "cpu", many);
  REQUIRE(cpu.code == 0);
  CHECK(Count(cpu.out, "\n") == 256);
  const auto label = [&](const std::string& plan) {
    const ProcessResult run = shop.Label("graph", "auto", many, {"COUPLET_STANDIN_FAIL=" + plan});
    INFO(run.err);
    CHECK(run.code == 0);
    CHECK(Scores(run.out).size() == 3 * 256);
    CHECK(Count(run.out, "\n") == 256);
    return run;
  };
  const ProcessResult plain = label("");
  CHECK_HAS(plain.err, "Using Stand-in GPU");
  CHECK(shop.Calls("launch") > 0);
  CHECK(shop.Complaints() == "");
  const auto a = Scores(plain.out), b = Scores(cpu.out);
  for (size_t i = 0; i < a.size(); ++i) CHECK_FALSE(!(std::fabs(a[i].second - b[i].second) <= 1e-5));
  // Opening, preparing and running, each failing.
  for (const char* plan : {"cublasLtCreate:1", "cudaMalloc:10+:oom", "run:12:fault"}) {
    CAPTURE(plan);
    const ProcessResult run = label(plan);
    const int lines = Count(run.err, "No GPU is used: ") +
                      Count(run.err, "The GPU could not do it, the CPU does it anew: ");
    CHECK(lines == 1);
    CHECK(shop.Complaints() == "");
    if (Sanitized()) break;
  }
}

TEST_CASE("programs: a device that is lost after its first runs ends with the layer's name, in a second run of every layer") {
  COUPLET_NEEDS_STANDIN(device);
  if (Emulated()) COUPLET_SKIP("an emulated program cannot start itself anew: the kernel does not know its kind");
  Workshop shop;
  const std::string again = "Once more, with every layer waited for";
  // Memory for one photo at a time: by then batches are replayed.
  const auto retrain = [&](const char* plan) {
    fs::remove_all(shop.dir / "lost_bottlenecks");
    return shop.Retrain("lost", "cuda", {kFewSteps}, {"COUPLET_STANDIN_MEMORY_MB=40", std::string("COUPLET_STANDIN_FAIL=") + plan});
  };
  const ProcessResult lost = retrain("run:120:fault");
  INFO(lost.err);
  CHECK(lost.code == 3);
  CHECK(Count(lost.err, again) == 1);
  CHECK(Count(lost.err, "retrain: error: layer '") == 1);
  CHECK(Count(lost.err, "COUPLET_CUDA_WATCH") == 0);
  CHECK_FALSE(fs::exists(shop.dir / "lost.pb"));
  // Watched, nothing is replayed, so this does not come again: the work is done, and the first failure was told.
  const ProcessResult once = retrain("cudaGraphLaunch:3:fault");
  INFO(once.err);
  CHECK(once.code == 0);
  CHECK(Count(once.err, again) == 1);
  REQUIRE(fs::exists(shop.dir / "lost.pb"));
  // What is printed is not printed twice, and a run without the rest of it is no success.
  const std::vector<std::string> many(40, "photos/red/red_3.jpg");  // and three
  for (const char* plan : {"run:230:fault", "cudaGraphLaunch:20:fault"}) {
    CAPTURE(plan);
    const ProcessResult label = shop.Label("lost", "cuda", many, {"COUPLET_STANDIN_MEMORY_MB=40", std::string("COUPLET_STANDIN_FAIL=") + plan});
    INFO(label.err);
    CHECK(label.code == 3);
    CHECK(Count(label.err, again) == 1);
    CHECK(Count(label.out, "\n") > 0);
    CHECK(Count(label.out, "\n") < 43);
    CHECK(Count(label.out, "green_1.jpg") == 1);
    CHECK_HAS(label.err, *plan == 'r' ? "label_image: error: layer '" : "not again when every layer was waited for");
  }
}

TEST_CASE("programs: label_image opens no driver for a few photos") {
  COUPLET_NEEDS_STANDIN(device);
  Workshop shop;
  REQUIRE(shop.Retrain("graph", "cpu", {kFewSteps}).code == 0);
  for (const char* wanted : {"auto", "cpu", "cuda"}) {
    CAPTURE(wanted);
    const ProcessResult run = shop.Label("graph", wanted, {}, {"LD_DEBUG=files"});
    CHECK(run.code == 0);
    CHECK((run.err.find("libcuda.so.1") != std::string::npos) == (std::string(wanted) == "cuda"));
  }
}

TEST_CASE("programs: training within --gpu_memory_mb, and where it does not fit the CPU trains after one line") {
  COUPLET_NEEDS_STANDIN(device);
  Workshop shop;
  // Vectors from a whole device, kept; then training alone has to fit. Distortions make the job worth a GPU.
  REQUIRE(shop.Retrain("whole", "cuda", {kFewSteps}).code == 0);
  const auto retrain = [&](const char* tag, const char* where) {
    return shop.Retrain(tag, where,
                        {"--how_many_training_steps=20", "--bottleneck_dir=whole_bottlenecks", "--gpu_memory_mb=4", "--flip_left_right"});
  };
  const ProcessResult cuda = retrain("cuda", "cuda");
  INFO(cuda.err);
  CHECK(cuda.code == 3);
  CHECK_HAS(cuda.err, "8 MB of device memory: the limit of 4 MB leaves");
  CHECK_FALSE(fs::exists(shop.dir / "cuda.pb"));
  const ProcessResult fallen = retrain("fallen", "auto");
  INFO(fallen.err);
  CHECK(fallen.code == 0);
  CHECK(Count(fallen.err, "The GPU could not do it, the CPU does it anew: ") == 1);
  CHECK(shop.Complaints() == "");
  CHECK(fs::exists(shop.dir / "fallen.pb"));
}

TEST_CASE("programs: without a device cuda ends with 3 and one line, auto computes on the CPU") {
  COUPLET_NEEDS_STANDIN(device);
  Workshop shop;
  for (const char* missing : {"COUPLET_STANDIN_DEVICES=0", "COUPLET_STANDIN_DRIVER=0", "LD_LIBRARY_PATH="}) {
    CAPTURE(missing);
    const ProcessResult cuda = shop.Retrain("missing", "cuda", {}, {missing});
    CHECK(cuda.code == 3);
    CHECK(Count(cuda.err, "\n") == 1);
    CHECK_HAS(cuda.err, "--device=cuda");
    CHECK(cuda.out == "");
    CHECK_FALSE(fs::exists(shop.dir / "missing.pb"));
  }
  const ProcessResult plain = shop.Retrain("plain", "auto");
  INFO(plain.err);
  CHECK(plain.code == 0);
  CHECK(shop.Calls("*") == 0);  // too little work to open a device for
}

TEST_CASE("programs: what tune kept is what a run goes by, on that device and with those libraries alone") {
  COUPLET_NEEDS_STANDIN(device);
  Workshop shop;
  const std::string engine = "COUPLET_CUDA_LIBRARY=" + StandinDir() + "/libcouplet_cuda.so";
  const std::string kept = "COUPLET_TUNING=" + (shop.dir / "tuning");
  // Memory for a few photos at a time: a race of 256 would take the stand-in half a minute.
  const ProcessResult tuned = shop.Run(
      {ProgramPath("tune"), "--model_file=backbone.pb", "--precision=fp32", "--gpu_memory_mb=160"}, "tune", {engine, kept});
  REQUIRE_MESSAGE(tuned.code == 0, tuned.err);
  CHECK_HAS(tuned.out, " ms:");
  CHECK(shop.Complaints() == "");
  const std::string file = shop.dir / "tuning/fp32.txt";
  const std::string choices = FileContents(file);
  CHECK_HAS(tuned.out, choices);

  // Tuned vectors have a key of their own in the store: the second run computes them anew, the third does not.
  const auto computed = [&](const std::string& tag, const std::vector<std::string>& played) {
    const ProcessResult run =
        shop.Retrain(tag, "cuda", {kFewSteps, "--bottleneck_dir=bottlenecks"}, played);
    REQUIRE_MESSAGE(run.code == 0, run.err);
    return shop.Json(tag)["bottlenecks"]["computed"].get<int>();
  };
  CHECK(computed("plain", {"COUPLET_TUNING=nowhere"}) > 0);
  CHECK(computed("tuned", {kept}) > 0);
  CHECK(computed("again", {kept}) == 0);
  // Choices of another device are not used.
  CHECK(computed("other", {kept, "COUPLET_STANDIN_NAME=Another"}) == 0);
}

TEST_CASE("programs: the lab trains a network's heads in one go on a device, to what the CPU gives") {
  COUPLET_NEEDS_STANDIN(device);
  Workshop shop;
  const auto lab = [&](const std::string& more) {
    return shop.Run({StandinDir() + "/lab", "--image_dir=photos", "--architectures=./backbone.pb", "--devices=cpu,cuda",
                     "--learning_rates=0.01,1e38", "--steps=4", "--seeds=2", "--offline", "--testing_percentage=20", more},
                    "lab", {});
  };
  const ProcessResult first = lab("--threads=0");
  REQUIRE_MESSAGE(first.code == 0, first.err);
  CHECK(shop.Complaints() == "");
  CHECK(first.err.find("left out") == std::string::npos);
  const std::string text = FileContents(shop.dir / "lab/lab.json");
  const auto systems = nlohmann::json::parse(text)["systems"];
  REQUIRE(systems.size() == 2);
  for (const char* list : {"runs", "few"}) {
    const auto &cpu = systems[0][list], &cuda = systems[1][list];
    REQUIRE(cuda.size() == (list[0] == 'r' ? 4 : 2));
    for (size_t i = 0; i < cuda.size(); ++i) {
      CHECK(cuda[i]["together"] == 6);
      CHECK_FALSE(cpu[i].contains("together"));
      for (const char* key : {"learning_rate", "seed", "steps", "diverged", "count"}) CHECK(cuda[i][key] == cpu[i][key]);
      if (cpu[i]["diverged"]) continue;  // what is left of a first step that large is chance
      CHECK(cuda[i]["right"] == cpu[i]["right"]);
      if (!cuda[i].contains("curve")) continue;
      REQUIRE(cuda[i]["curve"].size() == cpu[i]["curve"].size());
      for (size_t k = 0; k < cpu[i]["curve"].size(); ++k)
        CHECK_FALSE(!(std::fabs(cuda[i]["curve"][k][3].get<double>() - cpu[i]["curve"][k][3].get<double>()) <= 1e-3));
    }
  }
  CHECK(systems[1]["runs"][2]["diverged"] == true);
  CHECK(Count(FileContents(shop.dir / "lab/lab_report.html"), "cuda: 6 trainings took their steps together") == 2);
  const ProcessResult again = lab("--resume");
  CHECK(again.code == 0);
  CHECK_HAS(again.err, "on cuda: measured before");
  CHECK(FileContents(shop.dir / "lab/lab.json") == text);
}

TEST_CASE("programs: --list_devices names the device, its memory and the libraries") {
  COUPLET_NEEDS_STANDIN(device);
  Workshop shop;
  const std::vector<std::string> list = {StandinDir() + "/retrain", "--list_devices"};
  const ProcessResult run = shop.Run(
      list, "list",
      {"COUPLET_STANDIN_NAME=Toy", "COUPLET_STANDIN_CAPABILITY=8.7", "COUPLET_STANDIN_MEMORY_MB=3000"});
  CHECK(run.code == 0);
  for (const char* part :
       {"cpu: ", "GPU 0: Toy, 3000 MB, compute capability 8.7", "cuDNN", "cuBLAS", "driver"})
    CHECK_HAS(run.out, part);
  const ProcessResult none = shop.Run(list, "list", {"COUPLET_STANDIN_DEVICES=0"});
  CHECK(none.code == 0);
  CHECK_HAS(none.out, "no CUDA device");
}

TEST_CASE("programs: the codelab's command on a real backbone, on a device and on the CPU") {
  COUPLET_NEEDS_STANDIN(device);
  COUPLET_NEEDS_SHARED(shared);
  if (std::getenv("COUPLET_WHOLE") == nullptr)
    COUPLET_SKIP("takes minutes; make check-all runs it (COUPLET_WHOLE=1)");
  Workshop shop;
  const std::string photos = "--image_dir=" + fs::absolute(shared + "/data/flower_photos").string(),
                    model = "--model_file=" +
                            fs::absolute(shared + "/models/mobilenet_v1_0.25_128/frozen_graph.pb").string(),
                    steps = "--how_many_training_steps=4000";
  const ProcessResult cpu = shop.Retrain("cpu", "cpu", {photos, model, steps});
  INFO(cpu.err);
  REQUIRE(cpu.code == 0);
  const ProcessResult cuda = shop.Retrain("cuda", "cuda", {photos, model, steps});
  INFO(cuda.err);
  REQUIRE(cuda.code == 0);
  CHECK(shop.Complaints() == "");
  const auto a = shop.Json("cpu"), b = shop.Json("cuda");
  CHECK(a["photos"] == b["photos"]);
  const double apart = a["test"]["accuracy"].get<double>() - b["test"]["accuracy"].get<double>();
  CHECK_FALSE(!(std::fabs(apart) <= 0.005));
}
