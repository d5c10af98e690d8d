// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fault_job.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/pictures.h"

namespace couplet::test {
namespace {

namespace fs = std::filesystem;

const char* const kOldGraph = "a graph from some time ago";
const char* const kOldLabels = "labels from some time ago\n";

std::string Shim() { return fs::absolute(ProgramPath("tests/libfaults.so")).string(); }

std::string ContentsOrNone(const std::string& path) { return fs::exists(path) ? FileContents(path) : "(none)"; }

}  // namespace

std::string NoFaults() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return "nothing is preloaded beside a sanitizer";
#else
  return "";
#endif
}

FaultJob::FaultJob(FaultJobOptions options) : options_(std::move(options)) {
  fs::copy_file("weights/couplet_mobilenet_v1_0.25_128.pb", dir_ / "backbone.pb");
  WritePhotoFolders(dir_ / "photos", {"red", "green", "blue"}, options_.photos_per_label, 7);
  Reset();
  const Disturbed run = Run("");
  REQUIRE_MESSAGE(run.process.code == 0, run.process.err);
  graph_ = FileContents(dir_ / "out/graph.pb");
  labels_ = FileContents(dir_ / "out/labels.txt");
  REQUIRE(graph_.size() > 1'000'000);
  REQUIRE(labels_ == "blue\ngreen\nred\n");
}

void FaultJob::Reset() {
  fs::remove_all(dir_ / "out");
  fs::create_directory(dir_ / "out");
  std::ofstream(dir_ / "out/graph.pb") << kOldGraph;
  std::ofstream(dir_ / "out/labels.txt") << kOldLabels;
}

std::vector<std::string> FaultJob::Command(const std::vector<std::string>& more) const {
  std::vector<std::string> argv = {options_.program, "--device=cpu", "--model_file=backbone.pb", "--image_dir=photos", "--strict",
                                   "--bottleneck_dir=out/bottlenecks", "--output_graph=out/graph.pb",
                                   "--output_labels=out/labels.txt", "--summaries_dir=out/summaries", "--threads=2",
                                   "--how_many_training_steps=40", "--checkpoint_interval=10", "--train_batch_size=8"};
  argv.insert(argv.end(), options_.flags.begin(), options_.flags.end());
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

Disturbed FaultJob::Run(const std::string& fault, const std::vector<std::string>& more, const std::vector<std::string>& env) {
  return RunOther(Command(more), fault, env);
}

Disturbed FaultJob::RunOther(const std::vector<std::string>& argv, const std::string& fault, const std::vector<std::string>& env) {
  const std::string report = fs::absolute(dir_ / "report").string();
  fs::remove(report);
  std::vector<std::string> all = options_.env;
  all.insert(all.end(), env.begin(), env.end());
  if (!fault.empty()) {
    all.push_back("LD_PRELOAD=" + Shim());
    all.push_back("COUPLET_FAULTS=" + fault);
    all.push_back("COUPLET_FAULTS_REPORT=" + report);
  }
  Disturbed run;
  run.process = RunProcess(argv, all, 120, dir_.path());
  std::ifstream lines(report);
  for (std::string key, value; lines >> key >> value;) {
    if (key == "calls") run.calls = std::atol(value.c_str());
    if (key == "descriptors") run.descriptors = std::atol(value.c_str());
    if (key == "descriptors") run.returned = true;
    if (key == "blocks") run.blocks = std::atol(value.c_str());
    if (key == "at") run.at = value;
  }
  return run;
}

bool FaultJob::IsNew() const { return ContentsOrNone(dir_ / "out/graph.pb") == graph_; }

std::string FaultJob::OldOrNew() const {
  const std::string graph = ContentsOrNone(dir_ / "out/graph.pb"), labels = ContentsOrNone(dir_ / "out/labels.txt");
  if (graph != kOldGraph && graph != graph_) return "the graph is neither old nor new: " + std::to_string(graph.size()) + " bytes";
  if (labels != kOldLabels && labels != labels_) return "the labels are neither old nor new: " + labels;
  // Labels are renamed first; a new graph beside old labels would name its classes wrongly.
  if (graph == graph_ && labels != labels_) return "the graph is new and the labels are not";
  return "";
}

std::string FaultJob::OldOrNewAndClean() const {
  if (const std::string wrong = OldOrNew(); !wrong.empty()) return wrong;
  for (const auto& entry : fs::recursive_directory_iterator(dir_ / "out"))
    if (entry.path().filename().string().starts_with(".couplet-")) return "left behind: " + entry.path().string();
  return "";
}

std::string FaultJob::Again(const std::vector<std::string>& more) {
  const Disturbed run = Run("", more);
  if (run.process.code != 0) return "the next run ends with " + std::to_string(run.process.code) + ": " + run.process.err;
  if (!IsNew()) return "the next run writes another graph: " + run.process.err;
  for (const char* word : {"WARNING:tensorflow:cannot", "damaged", "no checkpoint:"})
    if (run.process.err.find(word) != std::string::npos) return "the next run complains: " + run.process.err;
  if (fs::exists(dir_ / "out/graph.pb.checkpoint")) return "the next run leaves its checkpoint";
  if (const std::string wrong = OldOrNewAndClean(); !wrong.empty()) return "after the next run " + wrong;
  return "";
}

}  // namespace couplet::test
