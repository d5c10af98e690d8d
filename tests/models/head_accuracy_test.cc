// The codelab's training against TensorFlow's on the same splits: five spellings of a folder of 1,000 flowers,
// five seeds, 4000 steps each (tests/golden/head_accuracy/make.py made TensorFlow's table).
// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "loaders/image_list.h"
#include "models/classifier_head.h"
#include "runtime/backend.h"
#include "kernels/philox.h"
#include "tests/support/network.h"
#include "tests/support/test.h"

namespace couplet::test {
namespace {

constexpr int kFeatures = 1001, kSteps = 4000, kBatch = 100;
constexpr float kLearningRate = 0.01f;

struct GoldenRun {
  std::string image_dir;
  uint64_t seed = 0;
  std::array<size_t, 3> counts{};  // by Split
  double accuracy = 0;
};

std::vector<GoldenRun> ReadGolden() {
  std::ifstream file("tests/golden/head_accuracy/tensorflow.tsv");
  std::string line;
  std::getline(file, line);
  std::vector<GoldenRun> runs;
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    GoldenRun run;
    fields >> run.image_dir >> run.seed >> run.counts[0] >> run.counts[1] >> run.counts[2] >> run.accuracy;
    REQUIRE_MESSAGE(fields, line);
    runs.push_back(run);
  }
  return runs;
}

// Vectors of all photos of `photos_dir`, and the row of each "folder/file".
std::map<std::string, uint32_t> ComputeVectors(const std::string& shared, const std::string& photos_dir,
                                               std::vector<float>* vectors) {
  const auto options = PhotoOptions("input", "MobilenetV1/Predictions/Reshape", 128, 127.5f, 127.5f, false);
  auto network = Network::Load(shared + "/models/mobilenet_v1_0.25_128/frozen_graph.pb", options,
                               Network::Form::kOptimized, false);
  REQUIRE_MESSAGE(network.ok(), network.status().message());
  std::map<std::string, uint32_t> rows;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(photos_dir)) {
    if (entry.path().extension() != ".jpg") continue;
    const auto vector = (*network)->Run(entry.path());
    REQUIRE_MESSAGE(vector.ok(), entry.path().string(), ": ", vector.status().message());
    rows[entry.path().lexically_relative(photos_dir)] = static_cast<uint32_t>(rows.size());
    vectors->insert(vectors->end(), vector->begin(), vector->end());
  }
  return rows;
}

HeadData MakeData(const ImageLists& lists, const std::map<std::string, uint32_t>& rows) {
  HeadData data;
  data.features = kFeatures;
  data.classes = static_cast<int>(lists.classes.size());
  for (size_t split = 0; split < 3; ++split)
    for (const LabelledImages& images : lists.classes) {
      std::vector<uint32_t>& list = data.rows[split].emplace_back();
      for (const std::string& file : images.files[split]) list.push_back(rows.at(images.folder + "/" + file));
    }
  return data;
}

// Accuracy over the whole test split.
double Train(HeadTrainer& trainer, const HeadData& data, uint64_t seed) {
  REQUIRE(trainer.set_params(InitialParams({data.features, data.classes}, seed)).ok());
  for (uint32_t step = 0; step < kSteps; ++step) {
    const HeadBatch batch = DrawBatch(data.rows[0], kBatch, seed, step, kStreamTrain);
    REQUIRE(trainer.step(batch.rows, batch.labels, kLearningRate, {}).ok());
  }
  const HeadBatch test = DrawBatch(data.rows[2], -1, seed, 0, kStreamTest);
  const auto result = trainer.evaluate(test.rows, test.labels, {});
  REQUIRE(result.ok());
  return static_cast<double>(result->correct) / static_cast<double>(test.rows.size());
}

}  // namespace

TEST_CASE("head accuracy: retrain.py's counts a split, mean over 25 runs within 1.5 points of TensorFlow's") {
  COUPLET_NEEDS_SHARED(shared);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  COUPLET_SKIP("25 trainings take minutes under a sanitizer");
#endif
  namespace fs = std::filesystem;
  const std::string photos_dir = fs::absolute(shared + "/data/flower_photos");
  std::vector<float> vectors;
  const auto rows = ComputeVectors(shared, photos_dir, &vectors);
  CHECK(rows.size() == 1000);

  // The spellings are relative: look at the photos from a folder of our own.
  const auto runs = ReadGolden();
  REQUIRE(runs.size() == 25);
  const TempDir folder;
  fs::create_directory(folder / "tf_files");
  fs::create_directory_symlink(photos_dir, folder / "tf_files/flower_1000");
  fs::create_directory_symlink(photos_dir, folder / "flower_1000");
  const fs::path home = fs::current_path();
  const auto backend = MakeCpuBackend();
  auto trainer = backend->make_head_trainer({kFeatures, 5});
  REQUIRE(trainer.ok());
  REQUIRE((*trainer)->set_vectors(vectors).ok());
  double ours = 0, theirs = 0;
  for (const GoldenRun& run : runs) {
    CAPTURE(run.image_dir);
    ImageListOptions options;
    options.image_dir = run.image_dir;
    fs::current_path(folder.path());
    const auto lists = CreateImageLists(options);
    fs::current_path(home);
    REQUIRE_MESSAGE(lists.ok(), lists.status().message());
    const HeadData data = MakeData(*lists, rows);
    for (size_t split = 0; split < 3; ++split) {
      size_t count = 0;
      for (const auto& list : data.rows[split]) count += list.size();
      CHECK(count == run.counts[split]);
    }
    ours += Train(**trainer, data, run.seed) / 25;
    theirs += run.accuracy / 25;
  }
  MESSAGE("mean test accuracy ", ours, ", TensorFlow's ", theirs);
  CHECK(std::abs(ours - theirs) <= 0.015);
}

}  // namespace couplet::test
