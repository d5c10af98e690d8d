// SPDX-License-Identifier: Apache-2.0
#include "tests/support/extraction_bed.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <ctime>

#include "loaders/files.h"

namespace couplet::test {
namespace {

class CornerWorker final : public WorkerContext {
 public:
  explicit CornerWorker(CornerBackend* backend) : backend_(backend) {}
  ~CornerWorker() override { --backend_->live_workers; }

 private:
  CornerBackend* const backend_;
};

class CornerOp final : public PreparedOp {
 public:
  CornerOp(CornerBackend* backend, int max_batch) : backend_(backend), max_batch_(max_batch) {}

  Status run(const RunArgs& args) const override {
    const auto& images = args.images->images;
    if (args.n < 1 || args.n > max_batch_ || images.size() != static_cast<size_t>(args.n))
      return Internal("batch");
    {
      const std::lock_guard lock(backend_->mutex);
      backend_->batches.insert(args.n);
    }
    if (args.n > backend_->runs_up_to) return OutOfMemory("no memory for a run");
    float* const dst = static_cast<float*>(args.dst);
    std::fill_n(dst, args.n * kDim, NAN);
    for (size_t i = 0; i < images.size(); ++i) {
      COUPLET_RETURN_IF_ERROR(RunOne(images[i], args.images->bytes, dst + i * kDim));
    }
    return {};
  }

 private:
  Status RunOne(const ImageEntry& entry, std::span<const uint8_t> all, float* dst) const {
    const size_t size = static_cast<size_t>(entry.width) * static_cast<size_t>(entry.height) * 3;
    if (entry.paired_rows != 0 || entry.offset > all.size() || size > all.size() - entry.offset)
      return Internal("bytes");
    const auto bytes = all.subspan(entry.offset, size);
    float sum = 0;
    for (const uint8_t byte : bytes) sum += byte;
    for (size_t c = 0; c < 3; ++c) dst[c] = bytes[c];
    dst[3] = bytes[0] == 13 ? NAN : sum;
    dst[4] = static_cast<float>(entry.width);
    if (backend_->sleep_us > 0) usleep(static_cast<useconds_t>((bytes[1] * 7919) % backend_->sleep_us));
    if (bytes[0] == 14) return DeviceError("the device is gone");
    return {};
  }

  CornerBackend* const backend_;
  const int max_batch_;
};

// Hands on what the first layer gives.
class LastOp final : public PreparedOp {
 public:
  explicit LastOp(CornerBackend* backend) : backend_(backend) {}
  Status run(const RunArgs& args) const override {
    std::copy_n(static_cast<const float*>(args.src[0]), args.n * kDim, static_cast<float*>(args.dst));
    const std::lock_guard lock(backend_->mutex);
    backend_->last_batches.insert(args.n);
    if (backend_->last_fails) return DeviceError("the last layer failed");
    return {};
  }

 private:
  CornerBackend* const backend_;
};

}  // namespace

Result<std::unique_ptr<PreparedOp>> CornerBackend::prepare(const Layer& layer, std::span<const Shape>,
                                                           const PrepareOptions& options) {
  if (options.max_batch > prepares_up_to) return OutOfMemory("no memory for a session");
  if (layer.name == "last") return std::unique_ptr<PreparedOp>(std::make_unique<LastOp>(this));
  return std::unique_ptr<PreparedOp>(std::make_unique<CornerOp>(this, options.max_batch));
}

Result<std::unique_ptr<WorkerContext>> CornerBackend::make_worker(int) {
  if (++live_workers > workers_up_to) {
    --live_workers;
    return OutOfMemory("no memory for a worker");
  }
  ++workers;
  return std::unique_ptr<WorkerContext>(std::make_unique<CornerWorker>(this));
}

Result<Buffer> CornerBackend::allocate(size_t bytes) {
  return Buffer(::operator new(bytes, std::align_val_t(64)), bytes,
                [](void* data, size_t) { ::operator delete(data, std::align_val_t(64)); });
}

Result<Buffer> CornerBackend::allocate_pinned(size_t bytes) {
  if (no_pinned) return OutOfMemory("no pinned memory");
  return allocate(bytes);
}

Status CornerBackend::copy_in(void* dst, const float* src, size_t count, WorkerContext&) {
  std::memcpy(dst, src, count * sizeof(float));
  return {};
}

Status CornerBackend::copy_out(float* dst, const void* src, size_t count, WorkerContext&) {
  std::memcpy(dst, src, count * sizeof(float));
  return {};
}

std::string Bmp(int width, int height, int red, int seed) {
  const size_t stride = (static_cast<size_t>(width) * 3 + 3) / 4 * 4;
  std::string file(54 + stride * static_cast<size_t>(height), '\0');
  const auto put = [&](size_t at, uint32_t value) {
    for (size_t i = 0; i < 4; ++i) file[at + i] = static_cast<char>(value >> (8 * i));
  };
  file[0] = 'B';
  file[1] = 'M';
  put(2, static_cast<uint32_t>(file.size()));
  put(10, 54);
  put(14, 40);
  put(18, static_cast<uint32_t>(width));
  put(22, static_cast<uint32_t>(height));
  put(26, 1 | 24 << 16);
  for (size_t i = 54; i < file.size(); ++i)
    file[i] = static_cast<char>((i * 31 + static_cast<size_t>(seed) * 17) % 251);
  // The top row comes last; blue, green, red.
  const size_t corner = 54 + stride * static_cast<size_t>(height - 1);
  file[corner + 2] = static_cast<char>(red);
  return file;
}

void MakeOld(const std::string& path) {
  const timespec hour_ago = {time(nullptr) - 3600, 5};
  const timespec times[2] = {hour_ago, hour_ago};
  REQUIRE(utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
}

bool SameBits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

Bed::Bed(int count) {
  options.threads = 2;
  options.bottleneck_dir = dir / "cache";
  options.architecture = "fake_1";
  for (int i = 0; i < count; ++i)
    Add(std::to_string(i) + ".bmp", Bmp(1 + i % 7, 2 + i % 5, 100 + i % 100, i));
}

void Bed::Add(const std::string& name, const std::string& contents) {
  REQUIRE(MakeDirectories(dir / "photos/a").ok());
  photos.push_back({dir / ("photos/a/" + name), "a", name});
  REQUIRE(WriteFileAtomically(photos.back().path, contents).ok());
  MakeOld(photos.back().path);
}

PhotoNetwork Bed::Network() {
  PhotoNetwork network;
  network.backend = &backend;
  network.in_batches = in_batches || max_batch > 1;
  network.max_batch = max_batch;
  const auto count = [this](const SessionOptions& asked) {
    ++sessions;
    run_threads = asked.threads;
    CHECK(asked.max_batch <= max_batch);
  };
  Graph graph;
  graph.layers.push_back({"input", {}, Shape{1, 1, 1, kDim}, PreprocessAttrs{}});
  if (last_layer) {
    // As many weights as make it one for several photos; CornerBackend looks at none.
    FullyConnectedAttrs many;
    many.weights = ConstTensor({256, 256}, std::vector<float>(size_t{256} * 256));
    graph.layers.push_back({"last", {0}, Shape{1, 1, 1, kDim}, many});
  }
  graph.output = static_cast<int>(graph.layers.size()) - 1;
  network.make_session = [this, count, graph](const SessionOptions& asked) -> Result<std::shared_ptr<const Session>> {
    count(asked);
    COUPLET_ASSIGN_OR_RETURN(auto session, Session::Create(graph, backend, {.max_batch = asked.max_batch}));
    return std::shared_ptr<const Session>(std::move(session));
  };
  network.make_split = [this, count, graph](const SessionOptions& asked, bool whole) {
    count(asked);
    return SplitSession::Create(graph, backend, {.max_batch = asked.max_batch}, whole);
  };
  return network;
}

Result<ExtractResult> Bed::TryRun() {
  sessions = 0;
  return ExtractFeatures(
      photos, kDim, Network(), options, [&](const ExtractProgress& p) { progress.push_back(p); },
      [&] { return interrupt_at > 0 && --interrupt_at == 0; });
}

ExtractResult Bed::Run() {
  auto result = TryRun();
  REQUIRE_MESSAGE(result.ok(), result.status().message());
  return std::move(*result);
}

void Bed::Sql(const std::string& sql) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open((dir / "cache/bottlenecks.sqlite").c_str(), &db) == SQLITE_OK);
  CHECK(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(db);
}

}  // namespace couplet::test
