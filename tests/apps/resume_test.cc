// retrain interrupted and taken up again: what was computed is kept, and the graph comes out to the byte.
// SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "tests/support/fault_job.h"
#include "tests/support/reliability.h"
#include "tests/support/standin_device.h"

using namespace couplet::test;
namespace fs = std::filesystem;

namespace {

std::string LastLine(const std::string& text) {
  const size_t end = text.find_last_not_of('\n');
  if (end == std::string::npos) return "";
  return text.substr(text.rfind('\n', end) + 1, end - text.rfind('\n', end));
}

std::string Signal(int number, long at) { return "signal:io:" + std::to_string(at) + ":" + std::to_string(number); }

// Calls count from when the training has left a checkpoint.
std::string AfterCheckpoint(const FaultJob& job) {
  return "COUPLET_FAULTS_AFTER=" + fs::absolute(job.path("out/graph.pb.checkpoint")).string();
}

// Ends the job some way into its training.
void LeaveCheckpoint(FaultJob* job) {
  const std::string checkpoint = job->path("out/graph.pb.checkpoint");
  // At the first change to files after there is one. Which of all calls that is differs from run to run.
  job->Reset();
  job->Run("kill:write:1", {}, {AfterCheckpoint(*job)});
  REQUIRE(fs::exists(checkpoint));
  // Killed while it wrote, it leaves a file of that name: not what the cases below are about.
  for (const auto& entry : fs::directory_iterator(job->path("out")))
    if (entry.path().filename().string().starts_with(".couplet-")) fs::remove(entry.path());
}

}  // namespace

TEST_CASE("resume: interrupted by a signal at any time, retrain says how to go on, and --resume ends with the same bytes") {
  if (const std::string reason = NoFaults(); !reason.empty()) COUPLET_SKIP(reason);
  // Many enough that some signals find the photos still on their way.
  FaultJob job({.photos_per_label = Whole() ? 100 : 8});
  job.Reset();
  const long calls = job.Run("count:io:0").calls;
  REQUIRE(calls > 200);
  Count count("signals", 200);
  const int rounds = Whole() ? 200 : 10;
  // The training makes few calls: of ten signals two in three are counted from where its checkpoint is there.
  const auto run_until = [&](int number, int i) {
    return Whole() || i % 3 == 0 ? job.Run(Signal(number, 1 + calls * i / rounds)) : job.Run(Signal(number, 1 + 3 * i), {}, {AfterCheckpoint(job)});
  };
  int in_extraction = 0, in_training = 0;
  for (int i = 0; i < rounds; ++i) {
    const int number = i % 2 == 0 ? SIGINT : SIGTERM;
    job.Reset();
    const Disturbed run = run_until(number, i);
    CAPTURE(run.process.err);
    CAPTURE(run.at);
    const int code = run.process.code;
    // A signal after the last step finds nothing left to interrupt.
    if (code != 0 && code != 128 + number) count.Finding("exit code " + std::to_string(code) + ": " + run.process.err);
    const std::string line = LastLine(run.process.err);
    if (code != 0 && line.find("interrupted after ") == std::string::npos) count.Finding("no word of how far it came: " + line);
    if (code != 0 && line.find("run the command again") == std::string::npos) count.Finding("no way on: " + line);
    in_extraction += line.find("bottlenecks are kept in out/bottlenecks") != std::string::npos;
    in_training += line.find("are kept in out/graph.pb.checkpoint: run the command again with --resume") != std::string::npos;
    if (code == 0 && !job.IsNew()) count.Finding("exit 0 without the graph");
    if (const std::string wrong = job.OldOrNewAndClean(); !wrong.empty()) count.Finding(wrong);
    if (const std::string wrong = job.Again({"--resume"}); !wrong.empty()) count.Finding(wrong);
    count.Done();
  }
  if (Whole()) CHECK(in_extraction > 0);
  CHECK(in_training > 0);
  count.Note("SIGINT and SIGTERM by turns, at calls spread over the run; each then resumed: " + std::to_string(in_extraction) +
             " in extraction, " + std::to_string(in_training) + " in training");
}

TEST_CASE("resume: a checkpoint of another training, a damaged one and one with more steps are refused") {
  if (const std::string reason = NoFaults(); !reason.empty()) COUPLET_SKIP(reason);
  FaultJob job;
  job.Reset();
  const std::string checkpoint = job.path("out/graph.pb.checkpoint");
  LeaveCheckpoint(&job);
  const std::string good = FileContents(checkpoint);
  const auto refused = [&](const std::vector<std::string>& more, const std::string& reason) {
    std::vector<std::string> flags = {"--resume"};
    flags.insert(flags.end(), more.begin(), more.end());
    const Disturbed run = job.Run("", flags);
    CHECK(run.process.code == 2);
    CHECK_HAS(LastLine(run.process.err), reason);
    CHECK_HAS(LastLine(run.process.err), "--resume");
    CHECK(job.OldOrNewAndClean() == "");
    CHECK(FileContents(checkpoint) == good);
  };
  refused({"--learning_rate=0.02"}, "--learning_rate was 0.01, now it is 0.02");
  refused({"--seed=9"}, "--seed was 0, now it is 9");
  refused({"--flip_left_right"}, "--flip_left_right was false, now it is true");
  refused({"--testing_percentage=40"}, "the photos' sum was ");
  refused({"--how_many_training_steps=3"}, "asks for fewer");
  // More steps are no other training.
  CHECK(job.Run("", {"--resume", "--how_many_training_steps=41"}).process.code == 0);
  CHECK_FALSE(fs::exists(checkpoint));
  std::ofstream(checkpoint) << good.substr(0, good.size() / 2);
  const Disturbed run = job.Run("", {"--resume"});
  CHECK(run.process.code == 2);
  CHECK_HAS(LastLine(run.process.err), "is damaged; delete it");
  // Without --resume it is nobody's, and the run's own take its place.
  CHECK(job.Again() == "");
  CHECK(job.Run("", {"--resume"}).process.err.find("There is no checkpoint out/graph.pb.checkpoint") != std::string::npos);
}

TEST_CASE("resume: distortions go on where they stopped") {
  if (const std::string reason = NoFaults(); !reason.empty()) COUPLET_SKIP(reason);
  FaultJob job({.flags = {"--flip_left_right", "--random_crop=10", "--how_many_training_steps=6", "--checkpoint_interval=2"}});
  LeaveCheckpoint(&job);
  CHECK(job.Again({"--resume"}) == "");
}

TEST_CASE("resume: the CUDA engine goes on from its own checkpoints, and not from the CPU's") {
  if (const std::string reason = NoFaults(); !reason.empty()) COUPLET_SKIP(reason);
  if (StandinDir().empty()) COUPLET_SKIP("needs the stand-ins for NVIDIA's libraries");
  const TempDir reports;
  FaultJob job({.flags = {"--device=cuda"}, .program = StandinDir() + "/retrain",
                .env = StandinEnvironment(fs::absolute(reports / "report").string())});
  LeaveCheckpoint(&job);
  const Disturbed other = job.Run("", {"--resume", "--device=cpu"});
  CHECK(other.process.code == 2);
  CHECK_HAS(LastLine(other.process.err), "--device was cuda 0");
  const Disturbed run = job.Run("", {"--resume"});
  CHECK(run.process.code == 0);
  CHECK_HAS(run.process.err, "steps from out/graph.pb.checkpoint");
  CHECK(job.IsNew());
}

TEST_CASE("resume: the lab, interrupted, says what --resume keeps, as to run it again begins anew") {
  if (const std::string reason = NoFaults(); !reason.empty()) COUPLET_SKIP(reason);
  FaultJob job({.photos_per_label = 8});
  const ProcessResult lab = job.RunOther({ProgramPath("lab"), "--image_dir=photos", "--architectures=./backbone.pb", "--devices=cpu",
                                          "--steps=2", "--seeds=1", "--testing_percentage=20"}, Signal(SIGINT, 1)).process;
  CHECK(lab.code == 128 + SIGINT);
  CHECK_HAS(lab.err, "interrupted; --resume keeps the networks and devices that are finished, and begins this one anew");
  CHECK(lab.err.find("run the command again") == std::string::npos);
}
