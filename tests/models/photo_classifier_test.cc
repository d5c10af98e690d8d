// Labels and distorted photos through a device that takes batches, against the CPU's one by one.
// SPDX-License-Identifier: Apache-2.0
#include "models/photo_classifier.h"

#include <fmt/format.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "loaders/files.h"
#include "models/distorted_batches.h"
#include "models/profile.h"
#include "tests/support/batching_backend.h"
#include "tests/support/graph_generator.h"
#include "tests/support/pictures.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

using test::BatchingBackend;

// A graph of three labels and 21 photos, one of which is none.
struct Desk {
  Desk() {
    test::MobileNetOptions graph;
    graph.head_classes = 3;
    options.graph = dir / "graph.pb";
    REQUIRE(WriteFileAtomically(options.graph, test::GenerateMobileNet(graph)).ok());
    test::WritePhotoFolders(dir / "photos", {"a", "b"}, 10, 3);
    for (const char* label : {"a", "b"})
      for (int i = 0; i < 10; ++i) paths.push_back(dir / fmt::format("photos/{0}/{0}_{1}.jpg", label, i));
    REQUIRE(WriteFileAtomically(dir / "text.jpg", "text").ok());
    paths.insert(paths.begin() + 7, dir / "text.jpg");
  }
  // Path, labels and scores of each photo; or why not.
  std::vector<std::string> Classify(Backend& backend, int threads, Status* status = nullptr) {
    std::vector<std::string> lines;
    auto classifier = PhotoClassifier::Open(options, backend, threads, paths.size());
    REQUIRE(classifier.ok());
    CHECK((*classifier)->classes() == 3);
    const Status result = (*classifier)
                              ->Classify(
                                  paths, 3,
                                  [&](const PhotoPrediction& photo) {
                                    std::string line = photo.path + photo.status.message();
                                    for (const Prediction& p : photo.top) {
                                      uint32_t bits;
                                      std::memcpy(&bits, &p.score, sizeof bits);
                                      line += fmt::format(" {}:{}", p.index, bits);
                                    }
                                    lines.push_back(line);
                                  },
                                  [&] { return lines.size() >= stop_at; }, &warning);
    if (status != nullptr)
      *status = result;
    else
      CHECK(result.message() == "");
    return lines;
  }

  test::TempDir dir;
  ClassifierOptions options;
  std::vector<std::string> paths;
  std::string warning;
  size_t stop_at = 1000;
};

TEST_CASE("classifier: batches give the answers of single photos, in the order of the paths [threads]") {
  Desk desk;
  const auto cpu = MakeCpuBackend();
  const auto expected = desk.Classify(*cpu, 1);
  REQUIRE(expected.size() == 21);
  CHECK(expected[7].find("found text") != std::string::npos);
  for (const auto& [batch, threads] : {std::pair{1, 3}, {2, 1}, {5, 3}, {64, 2}}) {
    BatchingBackend backend(batch);
    CHECK(desk.Classify(backend, threads) == expected);
    CHECK(backend.largest_prepared == std::min(batch, 21));
    CHECK(desk.warning == "");
  }
}

TEST_CASE(
    "classifier: no memory for a batch halves it, for one photo ends it; a lost device ends it, too "
    "[threads]") {
  Desk desk;
  const auto cpu = MakeCpuBackend();
  const auto expected = desk.Classify(*cpu, 1);
  BatchingBackend small(16);
  small.prepares_up_to = 3;
  CHECK(desk.Classify(small, 2) == expected);
  CHECK(desk.warning ==
        "16 photos at a time were too many for the device (no memory for 16); went on with 2");

  Status status;
  for (const int batch : {16, 1}) {
    BatchingBackend none(batch);
    none.prepares_up_to = 0;
    CHECK(desk.Classify(none, 2, &status).empty());
    CHECK(status.code() == Code::kOutOfMemory);
  }

  // What was answered before is as it should be.
  BatchingBackend lost(4);
  lost.lost_after_runs = 2;
  const auto some = desk.Classify(lost, 2, &status);
  CHECK(status.code() == Code::kDevice);
  CHECK(status.message() == "the device is gone");
  CHECK(some.size() < expected.size());
  for (size_t i = 0; i < some.size(); ++i) CHECK(some[i] == expected[i]);

  BatchingBackend both(1);
  both.lost_after_runs = 0;
  both.two_are_told = true;
  desk.Classify(both, 2, &status);
  CHECK(status.message() == "layer 'last': the device is gone");
}

TEST_CASE("classifier: an interruption ends batches too [threads]") {
  Desk desk;
  desk.stop_at = 3;
  BatchingBackend backend(2);
  Status status;
  CHECK(desk.Classify(backend, 2, &status).size() < 21);
  CHECK(status.code() == Code::kInterrupted);
}

TEST_CASE(
    "distortion: a step's vectors are the same in batches, with less memory, and one by one [threads]") {
  Desk desk;
  std::vector<Photo> photos;
  for (const std::string& path : desk.paths)
    if (path.find("text") == std::string::npos) photos.push_back({path, "", ""});
  BackboneOptions backbone_options;
  backbone_options.model_file = desk.options.graph;
  const auto backbone = Backbone::Open(backbone_options, {});
  REQUIRE(backbone.ok());
  DistortedBatchesOptions options;
  options.distortion.flip_left_right = true;
  options.distortion.random_brightness = 20;
  options.seed = 5;
  HeadBatch batch;
  for (uint32_t i = 0; i < 23; ++i) batch.rows.push_back(i * 7 % 20);
  const size_t features = static_cast<size_t>(backbone->features());
  const auto make = [&](Backend& backend, int threads, Status* status) {
    options.threads = threads;
    auto batches = DistortedBatches::Create(photos, *backbone, backend, options);
    REQUIRE(batches.ok());
    std::vector<float> vectors(batch.rows.size() * features);
    for (const int step : {3, 4}) *status = (*batches)->Make(step, batch, vectors);
    return vectors;
  };
  Status status;
  const auto cpu = MakeCpuBackend();
  const auto expected = make(*cpu, 1, &status);
  CHECK(status.ok());
  for (const auto& [size, fits] : {std::pair{4, 100}, {64, 100}, {16, 5}}) {
    BatchingBackend backend(size);
    backend.prepares_up_to = fits;
    CHECK(make(backend, 2, &status) == expected);
    CHECK(status.ok());
    CHECK(backend.largest_prepared == size);
    CHECK(backend.smallest_prepared == (fits == 5 ? 4 : size));  // 16, 8, 4
  }
  BatchingBackend lost(4);
  lost.lost_after_runs = 3;
  make(lost, 2, &status);
  CHECK(status.message() == "the device is gone");
  photos[5].path = desk.dir / "text.jpg";
  BatchingBackend backend(4);
  make(backend, 2, &status);
  CHECK(status.message().find("text.jpg: expected a JPEG") != std::string::npos);
}

TEST_CASE("profile: stages and layers, each photo counted, floors where they are known [threads]") {
  Desk desk;
  Profile profile;
  desk.options.profile = &profile;
  BatchingBackend backend(8);
  CHECK(desk.Classify(backend, 2).size() == 21);
  const std::string table = profile.Table();
  for (const char* row : {"\n  read ", "\n  decode ", "\n  copy into the batch ", "\n  preprocess ",
                          "Conv2d_13_pointwise", "\n  final_result ", "\n  copy and wait "})
    CHECK_HAS(table, row);
  const auto trace = nlohmann::json::parse(profile.ChromeTrace());
  int decoded = 0, preprocessed = 0, floors = 0;
  for (const auto& event : trace["traceEvents"]) {
    if (event["ph"] != "X") continue;
    CHECK(event["dur"] >= 0.0);
    CHECK(event["ts"] >= 0.0);
    if (event["name"] == "decode") decoded += event["args"]["photos"].get<int>();
    if (event["name"] == "preprocess") preprocessed += event["args"]["photos"].get<int>();
  }
  CHECK(decoded == 21);
  CHECK(preprocessed == 20);
  for (size_t at = table.find("%\n"); at != std::string::npos; at = table.find("%\n", at + 1)) ++floors;
  CHECK(floors >= 27);  // the convolutions
}

TEST_CASE("profile: a long run's trace ends, its table goes on") {
  Profile profile(1000);
  const auto now = Profile::Clock::now();
  for (int i = 0; i < 1005; ++i)
    profile.AddStage("decode", now, now + std::chrono::milliseconds(1), 1);
  CHECK_HAS(profile.Table(), "1005.00");
  CHECK_HAS(profile.ChromeTrace().substr(0, 100), "\"spans left out\":5");
}

}  // namespace
}  // namespace couplet
