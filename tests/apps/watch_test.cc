// retrain --watch: lines beside the progress, curves and energy in the report.
// SPDX-License-Identifier: Apache-2.0
#include "apps/watch.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/graph_generator.h"
#include "tests/support/pictures.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

TEST_CASE("watch: the text has what is known and nothing else") {
  DeviceSample sample;
  CHECK(WatchText(sample).empty());
  sample.gpu_percent = 53.4;
  sample.memory_mb = 2586;
  sample.memory_total_mb = 7846;
  sample.watts = 3.177;
  CHECK(WatchText(sample) == "GPU 53 %, memory 2586 of 7846 MB, 3.2 W");
  sample.gpu_memory_mb = 10;
  sample.gpu_memory_total_mb = 20;
  sample.cpu_percent = 96;
  sample.celsius = 41.5;
  CHECK(WatchText(sample) == "GPU 53 %, GPU memory 10 of 20 MB, CPU 96 %, memory 2586 of 7846 MB, 3.2 W, 42 C");
}

TEST_CASE("watch: a page has a curve of what is known, and says why where there is none") {
  nlohmann::ordered_json watch = {{"source", "tegrastats"}, {"mean_gpu_percent", 53.2}, {"most_gpu_percent", 97}, {"mean_watts", 7.25},
                                  {"most_watts", 9.4}, {"joules", 31.25}, {"joules_a_photo", 0.0071}};
  nlohmann::ordered_json& samples = watch["samples"];
  const auto null = nlohmann::ordered_json();
  samples["seconds"] = {0.001, 0.502, 1.003};
  for (const char* unknown : {"gpu_memory_mb", "gpu_memory_total_mb", "celsius"}) samples[unknown] = {null, null, null};
  samples["gpu_percent"] = {0, null, 53};
  samples["cpu_percent"] = {null, 96, 95};
  samples["watts"] = {3.25, 7.5, 7};
  samples["memory_mb"] = {2586, 2911, 2911};
  const std::string page = WatchHtml(watch);
  CHECK_HAS(page, "GPU, as tegrastats tells; load in per cent on average 53; at most 97; power in W on average 7.2; at most 9.4; "
                  "energy in J 31.2; energy a photo in J 0.007.");
  CHECK_HAS(page, "[[0.001,null],[0.502,0.96],[1.003,0.95]],[[0.001,0],[0.502,null],[1.003,0.53]]");  // processors, GPU
  CHECK_HAS(page, "[[[0.001,3.25],[0.502,7.5],[1.003,7]]]");
  CHECK_HAS(page, "[[[0.001,2586],[0.502,2911],[1.003,2911]]]");  // the GPU's memory is not known: no line
  samples["watts"] = {null, null, null};
  CHECK(WatchHtml(watch).find("Power") == std::string::npos);
  watch["source"] = nullptr;
  for (auto& [key, values] : samples.items()) values = {values[0]};
  CHECK_HAS(WatchHtml(watch), "No GPU told its load");
  CHECK_HAS(WatchHtml(watch), "before there was a curve");
}

TEST_CASE("watch: retrain shows the GPU's load and reports its curves and the energy of a photo; without --watch, nothing") {
  const test::TempDir dir;
  std::ofstream(dir / "backbone.pb", std::ios::binary) << test::GenerateMobileNet({});
  test::WritePhotoFolders(dir / "photos", {"red", "green", "blue"}, 30, 7);
  const auto retrain = [&](const std::string& flag) {
    return test::RunProcess(
        {test::ProgramPath("retrain"), "--model_file=backbone.pb", "--image_dir=photos", "--bottleneck_dir=bottlenecks",
         "--output_graph=out.pb", "--output_labels=out.txt", "--summaries_dir=summaries", "--json=out.json",
         "--device=cpu", "--how_many_training_steps=20", flag},
        {"COUPLET_FAKE_NVML=53 100 200 1000000 41", "LD_LIBRARY_PATH=" + test::ProgramPath("tests/nvml")}, 120, dir.path());
  };
  const auto result = retrain("--watch");
  REQUIRE_MESSAGE(result.code == 0, result.err);
  CHECK_HAS(result.err, "Watched by NVML; GPU 53 % on average, 53 % at most; 1000.0 W on average, 1000.0 W at most; ");
  CHECK_HAS(result.err, " J a photo");
  const auto watch = nlohmann::json::parse(test::FileContents(dir / "out.json"))["watch"];
  CHECK(watch["source"] == "NVML");
  CHECK(watch["mean_gpu_percent"] == 53);
  CHECK(watch["most_watts"] == 1000);
  CHECK(watch["joules"] > 0);
  CHECK(watch["joules_a_photo"] > 0);
  CHECK(watch["joules_a_photo"] <= watch["joules"].get<double>() / 90 + 0.001);
  const auto& samples = watch["samples"];
  REQUIRE(samples["seconds"].size() >= 1);
  for (const char* curve : {"gpu_percent", "gpu_memory_mb", "gpu_memory_total_mb", "watts", "celsius", "cpu_percent", "memory_mb",
                            "memory_total_mb"}) {
    CAPTURE(curve);
    CHECK(samples[curve].size() == samples["seconds"].size());
  }
  CHECK(samples["gpu_memory_mb"][0] == 100);
  CHECK(samples["celsius"][0] == 41);
  CHECK_HAS(test::FileContents(dir / "out_report.html"), "GPU, as NVML tells; load in per cent on average 53; at most 53; power in W on average 1000.0;");

  REQUIRE(retrain("--strict").code == 0);
  CHECK_FALSE(nlohmann::json::parse(test::FileContents(dir / "out.json")).contains("watch"));
  CHECK(test::FileContents(dir / "out_report.html").find("as NVML tells") == std::string::npos);
}

}  // namespace
}  // namespace couplet
