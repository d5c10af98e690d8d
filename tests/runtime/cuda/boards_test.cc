// The boards of labs, played by the stand-ins: a GPU that shares the host's memory, most of which is page cache.
// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <fstream>

#include "loaders/import_tf.h"
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

TEST_CASE("cuda: boards: the codelab's networks fit into seven tenths of the less that GPU and host can give") {
  COUPLET_NEEDS_STANDIN(device);
  const Graph mobile = Photos(GenerateMobileNet({.width = 1.0, .size = 224}), "input", "MobilenetV1/Predictions/Reshape", 224);
  const Graph inception = Photos(GenerateInception2015({.divide_channels = 1}), "Mul", "pool_3/_reshape", 299);
#if defined(__SANITIZE_ADDRESS__)
  const std::vector<Board> boards = {kNano};  // the least memory; Inception's kernels under a sanitizer take their time
#else
  const std::vector<Board> boards = {kNano, kTx2, kOrin};
#endif
  for (const Board& board : boards) {
    CAPTURE(board.name);
    device.Reset();
    const Played played(device, board);
    for (const Graph* graph : {&mobile, &inception}) {
      CAPTURE(graph->layers.size());
      const auto backend = MakeStandinBackend();
      const auto network = MakePhotoNetwork(*graph, *backend);
      REQUIRE(network.ok());
      CHECK(network->max_batch >= 8);
      const auto session = network->make_session({.max_batch = network->max_batch});
      REQUIRE_MESSAGE(session.ok(), session.status().message());
      const auto one = (*session)->NewWorker(), two = (*session)->NewWorker();
      CHECK((one.ok() && two.ok()));
      // Both workers' activations and scratch; the weights come on top, out of the other three tenths.
      const size_t least = static_cast<size_t>(std::min(board.free_mb, board.available_mb)) * kMiB;
      CHECK(2 * (*session)->worker_bytes() <= least * 7 / 10);
      CHECK(device.PeakBytes() <= least * 9 / 10);
    }
  }
}

TEST_CASE("cuda: boards: photos in page-locked memory are read where they lie, and the vectors are the same") {
  COUPLET_NEEDS_STANDIN(device);
  const Graph graph = Optimize(Photos(GenerateMobileNet({.size = 32}), "input", "MobilenetV1/Predictions/Reshape", 32));
  const std::vector<uint8_t> pixels = Values(3).Bytes(2 * 40 * 24 * 3);
  const ImageEntry entries[] = {{.width = 40, .height = 24, .offset = 0}, {.width = 24, .height = 40, .offset = pixels.size() / 2}};
  struct Run {
    long copies;
    std::vector<float> vectors;
  };
  const auto run = [&](bool integrated, bool pinned) {
    device.Reset();
    const Played played(device, kTx2);
    device.Set("integrated", integrated ? "1" : "0");
    const auto backend = MakeStandinBackend();
    const auto session = Session::Create(graph, *backend, {.max_batch = 2});
    REQUIRE_MESSAGE(session.ok(), session.status().message());
    const auto worker = (*session)->NewWorker();
    REQUIRE(worker.ok());
    auto memory = backend->allocate_pinned(pixels.size());
    REQUIRE(memory.ok());
    std::copy(pixels.begin(), pixels.end(), reinterpret_cast<uint8_t*>(memory->data()));
    const uint8_t* const bytes = pinned ? reinterpret_cast<const uint8_t*>(memory->data()) : pixels.data();
    Run result{-device.Calls("cudaMemcpyAsync"), std::vector<float>(static_cast<size_t>(2 * (*session)->output_size()))};
    const Status status = (*session)->Run(**worker, {{bytes, pixels.size()}, entries}, result.vectors);
    REQUIRE_MESSAGE(status.ok(), status.message());
    result.copies += device.Calls("cudaMemcpyAsync");
    return result;
  };
  const Run copied = run(false, true), mapped = run(true, true), pageable = run(true, false);
  CHECK(copied.copies == 3);  // bytes, table, vectors
  CHECK(mapped.copies == 1);
  CHECK(pageable.copies == 3);
  CHECK(mapped.vectors == copied.vectors);
  CHECK(pageable.vectors == copied.vectors);
}

}  // namespace
