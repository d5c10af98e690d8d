// Vectors that stay on the device from the network to the trainer, on stand-ins for NVIDIA's libraries.
// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <functional>

#include "kernels/philox.h"
#include "models/photo_network.h"
#include "models/training.h"
#include "tests/support/extraction_bed.h"
#include "tests/support/standin_device.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

constexpr int kSide = 4, kFeatures = 3;

// A photo's mean red, green and blue.
Graph Means() {
  Graph graph;
  graph.layers.push_back({"photo", {}, {1, kSide, kSide, 3}, PreprocessAttrs{}});
  graph.layers.push_back({"mean", {0}, {1, 1, 1, kFeatures}, GlobalAverageAttrs{}});
  graph.output = 1;
  return graph;
}

// Rows of the vectors as a trainer on the device reads them: the logits of weights that are the identity.
std::vector<float> Read(HeadTrainer& trainer, const std::vector<uint32_t>& rows) {
  REQUIRE(trainer.set_params({{1, 0, 0, 0, 1, 0, 0, 0, 1}, {0, 0, 0}}).ok());
  std::vector<float> logits(rows.size() * kFeatures);
  const std::vector<int32_t> labels(rows.size(), 0);
  REQUIRE(trainer.evaluate(rows, labels, {.logits = logits.data()}).ok());
  return logits;
}

TEST_CASE("cuda resident vectors: a session's rows go where they belong, neighbours or not, in each precision") {
  COUPLET_NEEDS_STANDIN(device);
  const std::vector<uint32_t> rows = {7, 2, 3, 4, 0};
  const size_t photo_bytes = size_t{kSide} * kSide * 3;
  const std::vector<uint8_t> pixels = Values(5).Bytes(rows.size() * photo_bytes);
  std::vector<ImageEntry> entries;
  for (size_t i = 0; i < rows.size(); ++i) entries.push_back({.width = kSide, .height = kSide, .offset = i * photo_bytes});
  for (const Precision precision : {Precision::kFp32, Precision::kFp16}) {
    device.Order("late");
    const auto backend = MakeStandinBackend(precision);
    const auto session = Session::Create(Means(), *backend, {.max_batch = 8});
    REQUIRE_MESSAGE(session.ok(), session.status().message());
    const auto worker = (*session)->NewWorker();
    const auto kept = backend->make_resident(9, kFeatures, {});
    REQUIRE((worker.ok() && kept.ok()));
    std::vector<float> vectors(rows.size() * kFeatures);
    const long before = device.Calls("cudaMemcpyAsync");
    REQUIRE((*session)->Run(**worker, {pixels, entries}, vectors, {kept->get(), rows}).ok());
    // Bytes, table and vectors, and where no conversion puts them there, 7, then 2 to 4, then 0.
    CHECK(device.Calls("cudaMemcpyAsync") - before == (precision == Precision::kFp32 ? 6 : 3));
    const auto trainer = backend->make_head_trainer({kFeatures, kFeatures});
    REQUIRE((trainer.ok() && (*trainer)->use_resident(**kept).ok()));
    CHECK(SameBits(Read(**trainer, rows), vectors));
    CHECK_FALSE((*trainer)->evaluate(std::vector<uint32_t>{1}, std::vector<int32_t>{0}, {})->finite);  // nobody wrote it
  }
}

TEST_CASE("cuda resident vectors: what was extracted is trained on without a copy, and to the same bits") {
  COUPLET_NEEDS_STANDIN(device);
  Bed bed(40);
  bed.options.decode.resize_rows = kSide;
  bed.options.keep_on_device = true;
  const auto backend = MakeStandinBackend();
  const auto network = MakePhotoNetwork(Means(), *backend);
  REQUIRE(network.ok());
  const auto extract = [&] {
    auto result = ExtractFeatures(bed.photos, kFeatures, *network, bed.options, [](const ExtractProgress&) {}, [] { return false; });
    REQUIRE_MESSAGE(result.ok(), result.status().message());
    return std::move(*result);
  };
  ExtractResult cold = extract();
  REQUIRE(cold.resident != nullptr);
  CHECK(cold.computed == 40);
  HeadData data{.features = kFeatures, .classes = 2, .vectors = cold.vectors, .resident = cold.resident, .rows = {}};
  for (auto& by_class : data.rows) by_class.resize(2);
  for (uint32_t row = 0; row < 40; ++row) data.rows[row % 3][row % 2].push_back(row);
  TrainOptions options;
  options.how_many_training_steps = 30;
  options.train_batch_size = 8;
  const auto train = [&](HeadParams* params) {
    const auto trainer = backend->make_head_trainer({kFeatures, 2});
    REQUIRE(trainer.ok());
    const long before = device.Calls("bytes to the device");
    const auto trained = Train(**trainer, data, options, {}, nullptr);
    REQUIRE_MESSAGE(trained.ok(), trained.status().message());
    REQUIRE(EvaluateBatch(**trainer, data, DrawBatch(data.rows[2], -1, 0, 0, kStreamTest)).ok());
    *params = trained->params;
    return device.Calls("bytes to the device") - before;
  };
  HeadParams kept, copied;
  const long with = train(&kept);
  data.resident.reset();
  const long without = train(&copied);
  CHECK(without - with == 2 * static_cast<long>(data.vectors.size() * sizeof(float)));  // training, test
  CHECK(SameBits(kept.weights, copied.weights));
  // Known by their files; by their contents alone; not asked for; no room.
  CHECK(extract().resident == nullptr);
  for (Photo& photo : bed.photos) {
    const std::string moved = photo.path + "2.bmp";
    std::filesystem::rename(photo.path, moved);
    photo.path = moved;
  }
  bed.Add("new.bmp", Bmp(3, 3, 77, 41));
  const ExtractResult moved = extract();
  CHECK(moved.cached == 40);
  CHECK(moved.computed == 1);
  CHECK(moved.resident == nullptr);
  bed.photos.pop_back();
  bed.options.keep_on_device = false;
  std::filesystem::remove_all(bed.options.bottleneck_dir);
  CHECK(extract().resident == nullptr);
  bed.options.keep_on_device = true;
  std::filesystem::remove_all(bed.options.bottleneck_dir);
  device.Fail("cudaMalloc:1:oom");
  const ExtractResult full = extract();
  CHECK(full.resident == nullptr);
  CHECK(full.batch_warning == "");
  CHECK(SameBits(full.vectors, cold.vectors));
}

TEST_CASE("cuda resident vectors: one upload for what comes from a cache, and what was captured on others is void") {
  COUPLET_NEEDS_STANDIN(device);
  const std::vector<float> first = Values(1).Reals(30 * kFeatures), second = Values(2).Reals(30 * kFeatures);
  const auto backend = MakeStandinBackend();
  const auto one = backend->make_resident(30, kFeatures, first), two = backend->make_resident(30, kFeatures, second);
  const auto trainer = backend->make_head_trainer({kFeatures, 2}), apart = backend->make_head_trainer({kFeatures, 2});
  REQUIRE((one.ok() && two.ok() && trainer.ok() && apart.ok()));
  RunPlan plan;
  plan.train = {.rows = {0, 1, 2, 3, 4, 5}, .first = {0, 3, 6}, .labels = {0, 1}, .size = 4, .stream = kStreamTrain};
  plan.learning_rate = 0.1f, plan.steps = 90, plan.eval_interval = 100;
  // Runs alike are replayed; the last one finds other vectors.
  const auto params = [&](HeadTrainer& head, const std::function<Status()>& use_first, const std::function<Status()>& use_second) {
    REQUIRE(use_first().ok());
    REQUIRE(head.set_params(InitialParams({kFeatures, 2}, 4)).ok());
    REQUIRE(head.runner()->set_plans({&plan, 1}).ok());
    for (int at = 1; at < 61; at += 20) REQUIRE(head.runner()->run(at, 20).ok());
    REQUIRE(use_second().ok());
    REQUIRE(head.runner()->run(61, 20).ok());
    return head.params()->weights;
  };
  const long before = device.Calls("bytes to the device");
  REQUIRE((*trainer)->use_resident(**one).ok());
  REQUIRE((*trainer)->use_resident(**two).ok());
  CHECK(device.Calls("bytes to the device") == before);
  const auto resident = params(**trainer, [&] { return (*trainer)->use_resident(**one); }, [&] { return (*trainer)->use_resident(**two); });
  CHECK(device.Calls("cudaGraphLaunch") > 0);
  CHECK(SameBits(resident, params(**apart, [&] { return (*apart)->set_vectors(first); }, [&] { return (*apart)->set_vectors(second); })));
}

}  // namespace
