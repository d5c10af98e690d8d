// Both programs on the shared graphs and photos: the codelab's command, and files that are not what they seem.
// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/awkward_photos.h"
#include "tests/support/test.h"

using namespace couplet::test;
namespace fs = std::filesystem;

namespace {

constexpr long kMaxKib = 1 << 20;  // 1 GiB

nlohmann::json ReadJson(const std::string& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

}  // namespace

TEST_CASE("real photos: the codelab's command gives retrain.py's split, and a second run computes nothing") {
  COUPLET_NEEDS_SHARED(shared);
  TempDir dir;
  fs::create_directories(dir / "tf_files/models/mobilenet_v1_0.25_128");
  fs::create_directory_symlink(fs::absolute(shared + "/data/flower_photos"), dir / "tf_files/flower_1000");
  // The archive as the codelab's download leaves it.
  fs::create_symlink(fs::absolute(shared + "/models/mobilenet_v1_0.25_128_frozen.tgz"),
                     dir / "tf_files/models/mobilenet_v1_0.25_128_frozen.tgz");
  const auto run = [&](const std::string& json, const std::string& threads) {
    std::vector<std::string> argv = {ProgramPath("retrain"), "--bottleneck_dir=tf_files/bottlenecks", "--model_dir=tf_files/models/",
                       "--summaries_dir=tf_files/training_summaries/mobilenet_0.25_128", "--offline",
                       "--output_graph=tf_files/" + json + ".pb", "--output_labels=tf_files/retrained_labels.txt",
                       "--architecture=mobilenet_0.25_128", "--image_dir=tf_files/flower_1000", "--json=" + json,
                       "--threads=" + threads};
    if (Sanitized()) argv.push_back("--how_many_training_steps=400");
    return RunProcess(argv, {}, 300, dir.path());
  };
  const ProcessResult first = run("first", "2"), second = run("second", "1");
  INFO(first.err);
  REQUIRE(first.code == 0);
  REQUIRE(second.code == 0);
  CHECK(first.out.find("% (N=105)\n") != std::string::npos);
  const auto json = ReadJson(dir / "first");
  CHECK(json["photos"]["training"] == 790);
  CHECK(json["photos"]["validation"] == 105);
  CHECK(json["photos"]["testing"] == 105);
  CHECK(json["steps"] == (Sanitized() ? 400 : 4000));
  CHECK(json["bottlenecks"]["computed"] == 1000);
  CHECK(json["test"]["accuracy"].get<double>() > 0.65);
  CHECK(ReadJson(dir / "second")["bottlenecks"]["computed"] == 0);
  CHECK(first.peak_rss_kib < kMaxKib);
  CHECK(fs::file_size(dir / "tf_files/first.pb") > 2'000'000);
  std::ifstream a(dir / "tf_files/first.pb", std::ios::binary), b(dir / "tf_files/second.pb", std::ios::binary);
  CHECK(std::equal(std::istreambuf_iterator<char>(a), {}, std::istreambuf_iterator<char>(b), {}));
}

TEST_CASE("real photos: label_image and every awkward file") {
  COUPLET_NEEDS_SHARED(shared);
  const std::string model = shared + "/models/retrained/scratches_0.25_128/";
  for (const auto& [name, outcome] : AwkwardPhotos()) {
    CAPTURE(name);
    const std::string path = shared + "/data/nasty/" + name;
    const ProcessResult run = RunProcess({ProgramPath("label_image"), "--graph=" + model + "retrained_graph.pb",
                                          "--labels=" + model + "retrained_labels.txt", "--image=" + path}, {}, 20);
    CHECK(run.peak_rss_kib < kMaxKib);
    if (IsDecoded(outcome)) {
      CHECK(run.code == 0);
      CHECK(run.out.find("(score=") != std::string::npos);
    } else {
      CHECK(run.code == 2);
      CHECK(run.out == "");
      CHECK(run.err == "label_image: error: " + path + ": " + outcome + "\n");
    }
  }
}

TEST_CASE("real photos: retrain leaves out just the awkward files that cannot be decoded") {
  COUPLET_NEEDS_SHARED(shared);
  TempDir dir;
  fs::create_directories(dir / "photos");
  fs::create_directory_symlink(fs::absolute(shared + "/data/nasty"), dir / "photos/awkward");
  fs::create_directory_symlink(fs::absolute(shared + "/data/flower_photos/roses"), dir / "photos/roses");
  const ProcessResult run =
      RunProcess({ProgramPath("retrain"), "--image_dir=photos", "--bottleneck_dir=b", "--summaries_dir=s",
                  "--output_graph=g.pb", "--output_labels=l.txt", "--json=json", "--how_many_training_steps=20",
                  "--model_file=" + fs::absolute(shared + "/models/mobilenet_v1_0.25_128/frozen_graph.pb").string()},
                 {}, 120, dir.path());
  INFO(run.err);
  REQUIRE(run.code == 0);
  CHECK(run.peak_rss_kib < kMaxKib);
  std::map<std::string, std::string> left_out, expected;
  const auto json = ReadJson(dir / "json");
  for (const auto& entry : json["left_out"]) left_out[entry["path"]] = entry["reason"];
  for (const auto& [name, outcome] : AwkwardPhotos())
    if (!IsDecoded(outcome)) expected["photos/awkward/" + name] = outcome;
  CHECK(left_out == expected);
  CHECK(json["bottlenecks"]["computed"] == 200 + AwkwardPhotos().size() - expected.size());
}
