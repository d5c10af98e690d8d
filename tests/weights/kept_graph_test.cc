// Training the default backbone: a worse graph never takes the place of a better one, whatever happened between two runs.
// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/test.h"

namespace couplet::test {
namespace {

// Runs on a folder of its own. A graph here is a text file that says what it misses; "none" is no graph at all.
struct Runs {
  TempDir dir;
  std::string output = dir / "out.pb", checkpoint = dir / "checkpoint.pt";

  ProcessResult Python(const std::string& code) const {
    return RunProcess({"python3", "-B", "-c",
                       "import sys; sys.path.insert(0, 'weights')\n"
                       "from kept_graph import KeptGraph, refuse_start_beside_checkpoint\n"
                       "def measure(path):\n"
                       "    text = open(path).read()\n"
                       "    return None if text == 'none' else float(text)\n"
                       "output, checkpoint = '" + output + "', '" + checkpoint + "'\n" + code});
  }
  // A run that measures these graphs one after the other.
  ProcessResult Train(const std::string& graphs) const {
    return Python("kept = KeptGraph(output, measure)\n"
                  "for missed in [" + graphs + "]:\n"
                  "    kept.offer(missed, lambda path: open(path, 'w').write(str(missed)))\n"
                  "print('best', kept.missed)\n");
  }
  std::string Kept() const { return FileContents(output); }
  void Put(const std::string& text) const { std::ofstream(output) << text; }
};

bool NoPython() { return RunProcess({"python3", "-c", ""}).code != 0; }

}  // namespace

TEST_CASE("train-default: of all that a run measures the best graph is kept") {
  if (NoPython()) COUPLET_SKIP("needs python3");
  const Runs runs;
  const auto first = runs.Train("0.9, 0.7510, 0.8, float('nan')");
  CHECK_MESSAGE(first.code == 0, first.err);
  CHECK(first.out == "best 0.751\n");
  CHECK(runs.Kept() == "0.751");
}

TEST_CASE("train-default: the same command again overwrites no better graph, only a worse one") {
  if (NoPython()) COUPLET_SKIP("needs python3");
  const Runs runs;
  runs.Put("0.7510");   // written after the last checkpoint, which knows nothing of it
  const auto again = runs.Train("0.8278");
  CHECK_HAS(again.out, runs.output + " is there and misses 0.7510");
  CHECK_HAS(again.out, "best 0.751\n");
  CHECK(runs.Kept() == "0.7510");
  CHECK_HAS(runs.Train("0.8278, 0.7").out, "best 0.7\n");
  CHECK(runs.Kept() == "0.7");
  runs.Put("0.9");   // what is there counts, not what a run wrote
  runs.Train("0.8278");
  CHECK(runs.Kept() == "0.8278");
}

TEST_CASE("train-default: a removed graph is written anew, one of not-a-number is no bar, one of another form stops the run") {
  if (NoPython()) COUPLET_SKIP("needs python3");
  const Runs runs;
  CHECK(runs.Train("0.9").out == "best 0.9\n");
  std::filesystem::remove(runs.output);
  runs.Train("0.95");
  CHECK(runs.Kept() == "0.95");
  runs.Put("nan");
  runs.Train("0.96");
  CHECK(runs.Kept() == "0.96");
  runs.Put("none");
  const auto other = runs.Train("0.1");
  CHECK(other.code == 1);
  CHECK_HAS(other.err, "--output=" + runs.output + ": is there, but is no MobileNet v1 0.25_128");
  CHECK(runs.Kept() == "none");
}

TEST_CASE("train-default: --start beside a checkpoint is refused, with the ways out") {
  if (NoPython()) COUPLET_SKIP("needs python3");
  const Runs runs;
  const auto start = [&](const std::string& graph) { return runs.Python("refuse_start_beside_checkpoint('" + graph + "', checkpoint)"); };
  CHECK(start("a.pb").code == 0);
  std::ofstream(runs.checkpoint) << "x";
  CHECK(start("").code == 0);
  const auto refused = start("a.pb");
  CHECK(refused.code == 1);
  CHECK(refused.err == "--start=a.pb: " + runs.checkpoint + " is there, and training goes on from that: leave --start out, or remove " +
                           runs.checkpoint + " to begin with --start, or name another folder with --work\n");
}

}  // namespace couplet::test
