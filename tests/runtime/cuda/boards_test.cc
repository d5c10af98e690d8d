// The boards of labs, played by the stand-ins: a GPU that shares the host's memory, most of which is page cache.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdlib>
#include <fstream>

#include "loaders/import_tf.h"
#include "models/batch_line.h"
#include "models/photo_network.h"
#include "runtime/graph_passes.h"
#include "tests/support/graph_generator.h"
#include "tests/support/standin_device.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

// What cudaMemGetInfo and /proc/meminfo tell there; on Tegra the former does not count what page cache could give back.
struct Board {
  const char *name, *capability;
  int total_mb, free_mb, available_mb;
};
const Board kNano = {"Nano 4 GB", "5.3", 3964, 1500, 2800};
const Board kTx2 = {"TX2 8 GB with 5 GB of page cache", "6.2", 7846, 1300, 6200};
const Board kOrin = {"Orin 8 GB", "8.7", 7620, 5200, 4100};

class Played {
 public:
  Played(const StandinDevice& device, const Board& board) {
    device.Set("memory_mb", std::to_string(board.total_mb));
    device.Set("free_mb", std::to_string(board.free_mb));
    device.Set("capability", board.capability);
    device.Set("integrated", "1");
    WriteMeminfo(dir_ / "meminfo", board);
    setenv("COUPLET_MEMINFO", (dir_ / "meminfo").c_str(), 1);
  }
  ~Played() { unsetenv("COUPLET_MEMINFO"); }
  Played(const Played&) = delete;
  Played& operator=(const Played&) = delete;

  static void WriteMeminfo(const std::string& path, const Board& board) {
    std::ofstream(path) << "MemTotal:       " << board.total_mb * 1024 << " kB\nMemFree:         " << board.free_mb * 1024
                        << " kB\nMemAvailable:    " << board.available_mb * 1024 << " kB\n";
  }

 private:
  TempDir dir_;
};

Graph Photos(const std::string& bytes, const char* input, const char* output, int size) {
  const auto owner = std::make_shared<const std::string>(bytes);
  const auto def = GraphDef::Parse(std::as_bytes(std::span(*owner)), owner, "generated.pb");
  REQUIRE_MESSAGE(def.ok(), def.status().message());
  auto graph = ImportGraph(*def, {.input_layer = input, .output_layer = output, .input_height = size, .input_width = size,
                                  .photos = true, .normalization = {127.5f, 127.5f}});
  REQUIRE_MESSAGE(graph.ok(), graph.status().message());
  return std::move(graph).value();
}

constexpr size_t kMiB = size_t{1} << 20;
constexpr int kMostInBatch = 256;

// Of the codelab's 3,670 photos: what is planned, and that what the run then takes lies within.
void CheckFits(const StandinDevice& device, const Graph& graph, size_t budget, const CudaOptions& options = {}) {
  CAPTURE(graph.layers.size());
  auto opened = OpenStandinBackend(options);
  REQUIRE(opened.ok());
  const std::unique_ptr<Backend> backend = std::move(*opened);
  const int features = graph.layers[static_cast<size_t>(graph.output)].shape.c;
  const std::vector<float> vectors(size_t{3670} * static_cast<size_t>(features));
  const auto network = MakePhotoNetwork(graph, *backend, vectors.size() * sizeof(float));
  REQUIRE(network.ok());
  const MemoryPlan& plan = network->memory;
  INFO(Describe(plan));
  CHECK(plan.budget == budget);
  CHECK(plan.total() <= budget);
  CHECK(plan.batch >= 8);
  CHECK(plan.vectors >= vectors.size() * sizeof(float));
  {
    // Both workers, the ring of slots, and the vectors where the trainer reads them.
    const auto session = network->make_session({.max_batch = network->max_batch});
    REQUIRE_MESSAGE(session.ok(), session.status().message());
    const auto one = (*session)->NewWorker(), two = (*session)->NewWorker();
    CHECK((one.ok() && two.ok()));
    std::vector<Buffer> slots;
    for (int i = 0; i < BatchLineOptions().slots; ++i) {
      auto slot = backend->allocate_pinned(BatchLineOptions().slot_bytes);
      REQUIRE(slot.ok());
      slots.push_back(std::move(*slot));
    }
    const auto trainer = backend->make_head_trainer({features, 5});
    REQUIRE(trainer.ok());
    CHECK((*trainer)->set_vectors(vectors).ok());
    CHECK(device.PeakBytes() <= budget);
  }
}

TEST_CASE("cuda: boards: the codelab's networks fit into seven tenths of the less that GPU and host can give") {
  COUPLET_NEEDS_STANDIN(device);
  const Graph mobile = Photos(GenerateMobileNet({.width = 1.0, .size = 224}), "input", "MobilenetV1/Predictions/Reshape", 224);
  const Graph inception = Photos(GenerateInception2015({.divide_channels = 1}), "Mul", "pool_3/_reshape", 299);
  std::vector<Board> boards = {kNano, kTx2, kOrin};
  if (test::Sanitized()) boards.resize(1);  // the least memory
  for (const Board& board : boards) {
    CAPTURE(board.name);
    device.Reset();
    const Played played(device, board);
    device.Set("idle", "1");  // algorithms are tried on whole networks, and only the memory is looked at
    const size_t least = static_cast<size_t>(std::min(board.free_mb, board.available_mb)) * kMiB;
    CheckFits(device, mobile, least / 10 * 7);
    CheckFits(device, inception, least / 10 * 7);
  }
}

TEST_CASE("cuda: boards: --gpu_memory_mb is a lower budget, not a lower start for one") {
  COUPLET_NEEDS_STANDIN(device);
  const Graph mobile = Photos(GenerateMobileNet({.size = 128}), "input", "MobilenetV1/Predictions/Reshape", 128);
  const Played played(device, kOrin);
  CudaOptions options;
  options.memory_limit_bytes = 700 * kMiB;
  CheckFits(device, mobile, 700 * kMiB, options);
  options.memory_limit_bytes = 4000 * kMiB;  // more than seven tenths of what is free
  CheckFits(device, mobile, size_t{4100} * kMiB / 10 * 7, options);
}

TEST_CASE("cuda: boards: a plan counts weights, slots and vectors, and a batch is no larger than the job") {
  COUPLET_NEEDS_STANDIN(device);
  const Played played(device, kTx2);
  const auto backend = MakeStandinBackend();
  const auto plan = [&](const MemoryNeeds& needs) { return backend->plan_memory(needs); };
  const MemoryNeeds needs{.weights = 50 * kMiB, .photo = 4 * kMiB, .workers = 2, .slots = 192 * kMiB, .vectors = 30 * kMiB};
  const MemoryPlan all = plan(needs);
  CHECK(all.slots == needs.slots);
  CHECK(all.vectors == 2 * needs.vectors);  // the host's are in the same memory
  CHECK(all.total() <= all.budget);
  CHECK(all.batch < kMostInBatch);
  for (size_t MemoryNeeds::*part : {&MemoryNeeds::weights, &MemoryNeeds::slots, &MemoryNeeds::vectors}) {
    MemoryNeeds more = needs;
    more.*part += 100 * kMiB;
    CHECK(plan(more).batch < all.batch);
    CHECK(plan(more).total() <= all.budget);
  }
  MemoryNeeds few = needs;
  few.photos = 3;
  CHECK(plan(few).batch == 3);
  device.Set("integrated", "0");
  const auto apart = MakeStandinBackend()->plan_memory(needs);
  CHECK(apart.slots == 0);
  CHECK(apart.vectors == needs.vectors);
  CHECK(Describe(all) == fmt::format("GPU memory: 910 MB may be taken, {} MB are planned for: weights 50, {} photos at a time {}, "
                                     "photos on their way 192, vectors 60",
                                     (all.total() + kMiB - 1) / kMiB, all.batch, (all.batches + kMiB - 1) / kMiB));
}

TEST_CASE("cuda: boards: photos in page-locked memory are read where they lie, and the vectors are the same") {
  COUPLET_NEEDS_STANDIN(device);
  const Graph graph = Optimize(Photos(GenerateMobileNet({.size = 32}), "input", "MobilenetV1/Predictions/Reshape", 32));
  const std::vector<uint8_t> pixels = Values(3).Bytes(2 * 40 * 24 * 3);
  const ImageEntry two[] = {{.width = 40, .height = 24, .offset = 0}, {.width = 24, .height = 40, .offset = pixels.size() / 2}};
  struct Run {
    long copies;
    std::vector<float> vectors;
    long allocations = 0;
  };
  const auto run = [&](bool integrated, bool pinned, std::span<const uint8_t> bytes_of, std::span<const ImageEntry> entries) {
    device.Reset();
    const Played played(device, kTx2);
    device.Set("integrated", integrated ? "1" : "0");
    const auto backend = MakeStandinBackend();
    const auto session = Session::Create(graph, *backend, {.max_batch = 2});
    REQUIRE_MESSAGE(session.ok(), session.status().message());
    const auto worker = (*session)->NewWorker();
    REQUIRE(worker.ok());
    auto memory = backend->allocate_pinned(bytes_of.size());
    REQUIRE(memory.ok());
    std::copy(bytes_of.begin(), bytes_of.end(), reinterpret_cast<uint8_t*>(memory->data()));
    const uint8_t* const bytes = pinned ? reinterpret_cast<const uint8_t*>(memory->data()) : bytes_of.data();
    Run result{-device.Calls("cudaMemcpyAsync"), std::vector<float>(entries.size() * static_cast<size_t>((*session)->output_size()))};
    result.allocations = -device.Calls("cudaMalloc");
    const Status status = (*session)->Run(**worker, {{bytes, bytes_of.size()}, entries}, result.vectors);
    REQUIRE_MESSAGE(status.ok(), status.message());
    result.copies += device.Calls("cudaMemcpyAsync");
    result.allocations += device.Calls("cudaMalloc");
    return result;
  };
  const Run copied = run(false, true, pixels, two), mapped = run(true, true, pixels, two), pageable = run(true, false, pixels, two);
  CHECK(copied.copies == 3);  // bytes, table, vectors
  CHECK(mapped.copies == 1);
  CHECK(pageable.copies == 3);
  CHECK(mapped.vectors == copied.vectors);
  CHECK(pageable.vectors == copied.vectors);
  // One that scratch does not hold is read where it lies by any GPU, and no run takes memory; but for where it cannot be.
  const std::vector<uint8_t> wide = Values(4).Bytes(size_t{9000} * 60 * 3);
  const ImageEntry one[] = {{.width = 9000, .height = 60, .offset = 0}};
  const Run in_place = run(false, true, wide, one), elsewhere = run(false, false, wide, one);
  CHECK(in_place.copies == 1);
  CHECK(in_place.allocations == 0);
  CHECK(elsewhere.copies == 3);
  CHECK(elsewhere.allocations == 1);
  CHECK(in_place.vectors == elsewhere.vectors);
}

}  // namespace
