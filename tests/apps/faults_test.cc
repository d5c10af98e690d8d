// Faults from outside: kills, calls that fail, memory that is not there. What is on the disk afterwards is old or new, and
// the next run ends as if nothing had been. The suite does a small part, make check-faults all of it.
// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <sqlite3.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "tests/support/fault_job.h"
#include "tests/support/power_cut.h"
#include "tests/support/reliability.h"

using namespace couplet::test;
namespace fs = std::filesystem;

namespace {

// The N-th of so many: all of them, or a few spread over them, the first and the last too.
std::vector<long> Points(long count, long few) {
  std::vector<long> points;
  const long wanted = Whole() ? count : std::min(few, count);
  for (long i = 0; i < wanted; ++i) points.push_back(wanted < 2 ? 1 : 1 + i * (count - 1) / (wanted - 1));
  return points;
}

// "" when the program ended as it may after a fault: with a documented code, a line on stderr that says what failed, and, where it
// says that all is well, the graph.
std::string EndedWell(const FaultJob& job, const Disturbed& run) {
  const int code = run.process.code;
  if (code != 0 && code != 2 && code != 3 && code != 4)
    return "exit code " + std::to_string(code) + ": " + run.process.err;
  if (code == 0) return job.IsNew() ? "" : "exit 0, but no new graph: " + run.process.err;
  if (run.process.err.find("retrain: error: ") == std::string::npos) return "no line that says why: " + run.process.err;
  return "";
}

// "" when main() gave back what it had taken. What is still held at the end of an undisturbed run (`clean`) are libraries' tables,
// the same number of blocks every time.
std::string GaveBack(const Disturbed& run, const Disturbed& clean) {
  if (!run.returned) return "";
  if (run.at != "close" && run.descriptors != 0) return std::to_string(run.descriptors) + " descriptors are left open";
  // OpenSSL, whose configuration cannot be opened, keeps a note of that.
  const long noted = run.at == "fopen64" ? 1 : 0;
  if (run.blocks > clean.blocks + noted) return std::to_string(run.blocks - clean.blocks) + " blocks of memory are lost";
  return "";
}

// Makes one call after the other fail, each in a run of its own; after each the next run must do the whole job.
struct Plan {
  std::string topic, action, kind;
  int code, required, few;
};
FaultJobOptions SmallJob() {
  return {.flags = {"--intermediate_store_frequency=20", "--intermediate_output_graphs_dir=out/intermediate/"}, .photos_per_label = 6};
}
void FailEachCall(FaultJob& job, const Plan& plan) {
  job.Reset();
  const Disturbed clean = job.Run("count:" + plan.kind + ":0");
  REQUIRE(clean.calls > 30);
  Count count(plan.topic, plan.required);
  std::set<int> codes;
  int in_library = 0;
  for (const long at : Points(clean.calls, plan.few)) {
    job.Reset();
    const Disturbed run = job.Run(plan.action + ":" + plan.kind + ":" + std::to_string(at) + ":" + std::to_string(plan.code));
    CAPTURE(at);
    CAPTURE(run.at);
    codes.insert(run.process.code);
    in_library += run.at == "library";
    if (const std::string wrong = EndedWell(job, run); !wrong.empty()) count.Finding(run.at + ": " + wrong);
    // What cannot be removed because removing fails stays.
    const std::string left = run.at == "unlink" || plan.action == "fail+" ? job.OldOrNew() : job.OldOrNewAndClean();
    if (!left.empty()) count.Finding(run.at + ": " + left);
    if (const std::string kept = GaveBack(run, clean); !kept.empty()) count.Finding(run.at + ": " + kept);
    if (const std::string again = job.Again({"--resume"}); !again.empty()) count.Finding(run.at + ": " + again);
    count.Done();
  }
  std::string seen;
  for (const int code : codes) seen += " " + std::to_string(code);
  count.Note("exit codes seen:" + seen + (in_library > 0 ? "; " + std::to_string(in_library) + " mappings inside oneDNN were spared" : ""));
}

}  // namespace

TEST_CASE("faults: killed at any change it makes to files, retrain leaves old or new, and the next run does the same job") {
  if (const std::string reason = NoFaults(); !reason.empty()) COUPLET_SKIP(reason);
  // Intermediate graphs and text bottlenecks are files, too; every other round has the former, every third the latter.
  FaultJob job({.flags = {"--intermediate_store_frequency=20", "--intermediate_output_graphs_dir=out/intermediate/"}});
  Count count("kill-hooks", 200);
  const std::vector<std::string> text = {"--bottleneck_format=text", "--bottleneck_dir=out/text"};
  for (const bool as_text : {false, true}) {
    job.Reset();
    const std::vector<std::string> flags = as_text ? text : std::vector<std::string>();
    const long calls = job.Run("count:write:0", flags).calls;
    REQUIRE(calls > 60);
    for (const long at : Points(calls, 6)) {
      job.Reset();
      const Disturbed run = job.Run("kill:write:" + std::to_string(at), flags);
      CAPTURE(at);
      CAPTURE(run.at);
      if (run.process.code != 128 + SIGKILL && run.process.code != 0) count.Finding("not killed: " + run.process.err);
      if (const std::string wrong = job.OldOrNew(); !wrong.empty()) count.Finding(wrong);
      std::vector<std::string> again = flags;
      if (at % 2 == 0) again.push_back("--resume");
      if (const std::string wrong = job.Again(again); !wrong.empty()) count.Finding(wrong);
      count.Done();
    }
  }
  count.Note("SIGKILL in the middle of each call that changes files, bottlenecks in SQLite and as text");
}

TEST_CASE("faults: killed at random times, retrain leaves old or new, and the next run does the same job") {
  if (const std::string reason = NoFaults(); !reason.empty()) COUPLET_SKIP(reason);
  FaultJob job;
  job.Reset();
  const auto begun = std::chrono::steady_clock::now();
  job.Run("");
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  Count count("kill-times", 200);
  std::minstd_rand random(1);
  const int rounds = Whole() ? 200 : 6;
  int killed = 0;
  for (int i = 0; i < rounds; ++i) {
    job.Reset();
    const double after = seconds * static_cast<double>(random() % 1000) / 1000;
    std::vector<std::string> argv = {"timeout", "-s", "KILL", std::to_string(after + 0.001)};
    const std::vector<std::string> command = job.Command();
    argv.insert(argv.end(), command.begin(), command.end());
    killed += RunProcess(argv, {}, 120, job.path("")).code != 0;
    CAPTURE(after);
    if (const std::string wrong = job.OldOrNew(); !wrong.empty()) count.Finding(wrong);
    if (const std::string wrong = job.Again(i % 2 == 0 ? std::vector<std::string>{"--resume"} : std::vector<std::string>()); !wrong.empty())
      count.Finding(wrong);
    count.Done();
  }
  CHECK(killed > rounds / 4);
  count.Note(std::to_string(killed) + " were killed before they had ended");
}

TEST_CASE("faults: any I/O call that fails ends with a line and a documented code, and loses nothing") {
  if (const std::string reason = NoFaults(); !reason.empty()) COUPLET_SKIP(reason);
  FaultJob job(SmallJob());
  FailEachCall(job, {.topic = "failing-io", .action = "fail", .kind = "io", .code = EIO, .required = 400, .few = 8});
}

TEST_CASE("faults: a disk that is full from any write on ends with a line and a documented code, and loses nothing") {
  if (const std::string reason = NoFaults(); !reason.empty()) COUPLET_SKIP(reason);
  FaultJob job(SmallJob());
  FailEachCall(job, {.topic = "full-disk-shim", .action = "fail+", .kind = "write", .code = ENOSPC, .required = 60, .few = 6});
}

TEST_CASE("faults: any call of SQLite that fails ends with a line and a documented code, and loses nothing") {
  if (const std::string reason = NoFaults(); !reason.empty()) COUPLET_SKIP(reason);
  FaultJob job(SmallJob());
  FailEachCall(job, {.topic = "failing-sqlite", .action = "fail", .kind = "sqlite", .code = SQLITE_IOERR, .required = 200, .few = 6});
  FailEachCall(job, {.topic = "failing-sqlite-full", .action = "fail", .kind = "sqlite", .code = SQLITE_FULL, .required = 200, .few = 4});
  FailEachCall(job, {.topic = "failing-sqlite-memory", .action = "fail", .kind = "sqlite", .code = SQLITE_NOMEM, .required = 200, .few = 4});
}

TEST_CASE("faults: a slow disk takes longer, and nothing else") {
  if (const std::string reason = NoFaults(); !reason.empty()) COUPLET_SKIP(reason);
  Count count("slow-disk", 1000);
  FaultJob job;
  const std::string delay = Whole() ? "20000" : "300";  // microseconds, of every call that looks at files or changes them
  for (const char* bottlenecks : {"--bottleneck_format=sqlite", "--bottleneck_format=text"}) {
    job.Reset();
    const Disturbed run = job.Run("slow:io:1:" + delay, {bottlenecks});
    if (run.process.code != 0 || !job.IsNew()) count.Finding(run.process.err);
    count.Done(static_cast<int>(run.calls));
    if (const std::string wrong = job.Again({bottlenecks}); !wrong.empty()) count.Finding(wrong);
  }
  count.Note("calls that took " + delay + " microseconds more each");
}

TEST_CASE("faults: when the power goes, what was not synced is lost, and nothing else") {
  if (const std::string reason = NoFaults(); !reason.empty()) COUPLET_SKIP(reason);
  Count count("power-cuts", 500);
  // The innermost of the folders made here lies in one in which nothing else is written.
  FaultJob job({.flags = {"--intermediate_store_frequency=20", "--intermediate_output_graphs_dir=out/intermediate/graphs/"}});
  const std::vector<std::string> text = {"--bottleneck_format=text", "--bottleneck_dir=out/text"};
  std::set<std::string> seen;
  size_t cuts = 0;
  for (const bool as_text : {false, true}) {
    job.Reset();
    const Folder before = ReadFolder(job.path(""), "out");
    const std::string log = fs::absolute(job.path("log")).string();
    const std::vector<std::string> flags = as_text ? text : std::vector<std::string>();
    REQUIRE(job.Run("count:write:0", flags, {"COUPLET_FAULTS_LOG=" + log}).process.code == 0);
    const PowerCuts power(log, "out", before);
    // All changes and nothing lost is what the run left, or the player does not know what it plays.
    const Folder all = power.After(power.changes(), Lost::kBytes, 0);
    REQUIRE(all.contains("out/graph.pb"));
    CHECK((all.at("out/graph.pb") == job.graph()));  // in brackets, so that it is not printed
    REQUIRE(power.changes() > 100);
    // What a run has said is done is there, with the folders it lies in.
    const Folder kept = power.After(power.changes(), Lost::kAll, 0);
    for (const auto& [path, contents] : all)
      if (path.ends_with(".pb") || path.ends_with("labels.txt") || path.ends_with(".sqlite")) CHECK((kept.contains(path) && kept.at(path) == contents));
    for (const Lost lost : {Lost::kAll, Lost::kBytes, Lost::kRandom}) {
      for (const long at : Points(static_cast<long>(power.changes()), 4)) {
        const Folder left = power.After(static_cast<size_t>(at), lost, static_cast<uint32_t>(at));
        ++cuts;
        // Many cuts leave the same.
        std::string key;
        for (const auto& [path, contents] : left) key += path + std::to_string(std::hash<std::string>()(contents)) + "\n";
        count.Done();
        if (!seen.insert(key).second) continue;
        fs::remove_all(job.path("out"));
        fs::create_directory(job.path("out"));
        WriteFolder(job.path(""), left);
        CAPTURE(at);
        CAPTURE(as_text);
        CAPTURE(static_cast<int>(lost));
        if (const std::string wrong = job.OldOrNew(); !wrong.empty()) count.Finding(wrong);
        std::vector<std::string> again = flags;
        if (at % 2 == 0) again.push_back("--resume");
        if (const std::string wrong = job.Again(again); !wrong.empty()) count.Finding(wrong);
      }
    }
  }
  count.Note(std::to_string(seen.size()) + " different states of the disk, each run on from; SQLite and text bottlenecks");
}

TEST_CASE("faults: memory that is not there ends retrain and label_image with a line and a documented code, and loses nothing") {
  if (const std::string reason = NoFaults(); !reason.empty()) COUPLET_SKIP(reason);
  FaultJob job({.flags = {"--threads=1", "--how_many_training_steps=3", "--testing_percentage=0", "--validation_percentage=0"}, .photos_per_label = 2});
  const auto points = [](long calls) {
    std::vector<long> all(static_cast<size_t>(calls));
    std::iota(all.begin(), all.end(), 1);
    return Whole() ? all : Points(calls, 8);
  };
  Count count("failing-memory", 2000);
  job.Reset();
  const Disturbed undisturbed = job.Run("count:memory:0");
  const long calls = undisturbed.calls;
  REQUIRE(calls > 5'000);
  std::map<int, int> codes;
  int in_library = 0;
  for (const long at : points(calls)) {
    job.Reset();
    const Disturbed run = job.Run("fail:memory:" + std::to_string(at));
    CAPTURE(at);
    ++codes[run.process.code];
    if (const std::string wrong = EndedWell(job, run); !wrong.empty()) count.Finding(wrong);
    if (const std::string wrong = job.OldOrNewAndClean(); !wrong.empty()) count.Finding(wrong);
    in_library += run.at == "library";
    if (const std::string wrong = GaveBack(run, undisturbed); !wrong.empty()) count.Finding(wrong);
    // What is left is what is left when calls fail, which is run on from each time; here it is too often for that.
    if (at % 50 != 1 && Whole()) continue;
    if (const std::string again = job.Again({"--resume"}); !again.empty()) count.Finding(again);
  }
  count.Done(static_cast<int>(points(calls).size()));
  const std::vector<std::string> label = {ProgramPath("label_image"), "--device=cpu", "--graph=out/graph.pb", "--labels=out/labels.txt",
                                          "photos/red/red_0.jpg", "photos/blue/blue_1.jpg"};
  REQUIRE(job.Again() == "");
  // But for the time it took.
  const auto answer = [](const ProcessResult& run) { return run.out.substr(run.out.find("photos/red")); };
  const Disturbed clean = job.RunOther(label, "count:memory:0");
  REQUIRE(clean.process.code == 0);
  for (const long at : points(clean.calls)) {
    const Disturbed run = job.RunOther(label, "fail:memory:" + std::to_string(at));
    CAPTURE(at);
    const int code = run.process.code;
    ++codes[code];
    in_library += run.at == "library";
    if (code != 0 && code != 2 && code != 3) count.Finding("label_image: exit code " + std::to_string(code) + ": " + run.process.err);
    if (code != 0 && run.process.err.find("label_image: ") == std::string::npos) count.Finding("label_image: no line: " + run.process.err);
    if (const std::string wrong = GaveBack(run, clean); !wrong.empty()) count.Finding("label_image: " + wrong);
    if (code == 0 && answer(run.process) != answer(clean.process)) count.Finding("label_image: another answer: " + run.process.out);
    count.Done();
  }
  std::string seen;
  for (const auto& [code, times] : codes) seen += " " + std::to_string(code) + " (" + std::to_string(times) + " times)";
  count.Note("all " + std::to_string(calls) + " allocations of retrain and " + std::to_string(clean.calls) +
             " of label_image, but for " + std::to_string(in_library) + " inside oneDNN and OpenSSL, which are spared; exit codes" + seen);
}
