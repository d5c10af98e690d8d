// The lab through the program itself: its figures, its page, what is left out, and going on after an interruption.
// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/browser.h"
#include "tests/support/pictures.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

namespace fs = std::filesystem;

struct Bench {
  Bench() {
    fs::copy_file("weights/couplet_mobilenet_v1_0.25_128.pb", dir / "backbone.pb");
    test::WritePhotoFolders(dir / "photos", {"red", "green <b>", "blue"}, 20, 7);
  }
  test::ProcessResult Lab(std::vector<std::string> more = {}) {
    std::vector<std::string> argv = {test::ProgramPath("lab"), "--image_dir=photos", "--architectures=./backbone.pb,mobilenet_0.25_160",
                                     "--learning_rates=0.005,0.01,1e38", "--steps=40", "--seeds=2", "--offline",
                                     "--model_dir=models", "--testing_percentage=20"};
    argv.insert(argv.end(), more.begin(), more.end());  // cpu and cuda are the default
    return test::RunProcess(argv, {}, 120, dir.path());
  }
  nlohmann::json Json() { return nlohmann::json::parse(test::FileContents(dir / "lab/lab.json")); }
  test::TempDir dir;
};

TEST_CASE("lab: every training is there, what is missing is named, the page answers thirteen questions") {
  Bench bench;
  const auto run = bench.Lab();
  INFO(run.err);
  REQUIRE(run.code == 0);
  const auto json = bench.Json();
  CHECK_HAS(run.err, "left out: mobilenet_0.25_160: ");
  CHECK_HAS(run.err, "left out: cuda: ");
  CHECK(json["left_out"].size() == 2);
  REQUIRE(json["systems"].size() == 1);
  const auto& system = json["systems"][0];
  CHECK(system["extraction"]["photos"] == 60);
  CHECK(system["graph"]["weight_layers"] == 28);
  CHECK(system["input"] == "input");
  CHECK(system["example"]["vector"].size() == 1001);
  CHECK(system["watch"]["samples"]["seconds"].size() >= 1);
  CHECK(system["watch"]["samples"]["memory_mb"][0] > 0);
  REQUIRE(system["runs"].size() == 6);
  for (const auto& one : system["runs"]) {
    CHECK(one["count"] == json["setting"]["photos"]["testing"]);
    CHECK(one["accuracy"].get<double>() == one["right"].get<double>() / one["count"].get<double>());
    CHECK(one["diverged"] == (one["learning_rate"] == 1e38));
  }
  // Fourteen or fewer photos a class: fifty are not to be had.
  CHECK(system["few"].size() == 4);
  CHECK(system["few"][0]["per_class"] == 5);
  const std::string page = test::FileContents(bench.dir / "lab/lab_report.html");
  for (int i = 1; i <= 13; ++i) CHECK_HAS(page, "<h2 id=\"q" + std::to_string(i) + "\">" + std::to_string(i) + ". ");
  CHECK_HAS(page, "Left out: cuda: ");
  CHECK_HAS(page, "cpu: the machine meanwhile</h3>");
  CHECK_HAS(page, "--input_layer=input --input_height=128 --input_width=128");
  CHECK_HAS(page, "diverged with 2 of 2 seeds");
  CHECK(page.find("green <b>") == std::string::npos);
}

TEST_CASE("lab: --resume keeps what is there, of the same lab alone; without it all is cold again") {
  Bench bench;
  REQUIRE(bench.Lab().code == 0);
  const auto first = bench.Json();
  const auto again = bench.Lab({"--resume"});
  CHECK(again.code == 0);
  CHECK_HAS(again.err, "./backbone.pb on cpu: measured before");
  CHECK(bench.Json()["systems"] == first["systems"]);
  const auto other = bench.Lab({"--resume", "--steps=41"});
  CHECK(other.code == 2);
  CHECK_HAS(other.err, "lab/lab.json is of other photos, steps, learning rates or seeds");
  // Cold: nothing comes from the first run's bottlenecks.
  REQUIRE(bench.Lab().code == 0);
  CHECK(bench.Json()["systems"][0]["extraction"]["photos"] == 60);
  std::ofstream(bench.dir / "lab/lab.json") << "[1";
  CHECK(bench.Lab({"--resume"}).code == 2);
}

TEST_CASE("lab: what is wrong with a command is one line and the documented exit code") {
  Bench bench;
  CHECK(test::RunProcess({test::ProgramPath("lab")}).code == 2);
  CHECK(bench.Lab({"--devices=tpu"}).code == 2);
  CHECK(bench.Lab({"--testing_percentage=0"}).code == 2);
  CHECK(bench.Lab({"--learning_rates=0.1,x"}).code == 2);
  CHECK(bench.Lab({"--output_dir=/proc/nowhere"}).code == 4);
  const auto nothing = bench.Lab({"--devices=cuda"});
  CHECK(nothing.code == 2);
  CHECK_HAS(nothing.err, "nothing could be measured");
}

TEST_CASE("lab: a browser shows the page without a word") {
  COUPLET_NEEDS_BROWSER();
  Bench bench;
  REQUIRE(bench.Lab().code == 0);
  const test::BrowsedPage page = test::Browse(bench.dir / "lab/lab_report.html");
  CHECK(page.console == "");
  CHECK_HAS(page.dom, "id=\"q13\"");
  // On a phone tables scroll by themselves, and nothing else is wider than the page: not the long name of a graph in a legend either.
  const std::string phone = test::Browse(bench.dir / "lab/lab_report.html", R"(<p id="too-wide"></p><script>
    document.body.style.width = '200px';
    const edge = document.body.getBoundingClientRect().right + 1;
    document.getElementById('too-wide').textContent = 'too wide: ' + [...document.querySelectorAll('.key')].filter(
        (key) => key.getBoundingClientRect().right > edge).length;
  </script>)").dom;
  CHECK_HAS(phone, "too wide: 0");
}

}  // namespace
}  // namespace couplet
