// The session against a tiny backend that trips over every mistake in memory: fresh memory is NaN with
// canaries around it, and each op fills its dst and scratch with NaN before it reads its sources.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/session.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>

#include "kernels/philox.h"
#include "tests/support/allocations.h"
#include "tests/support/test.h"

using namespace couplet;

namespace {

constexpr size_t kCanary = 128;
std::atomic<int> broken_canaries{0};

void FreeWithCanaries(void* data, size_t bytes) {
  auto* memory = static_cast<unsigned char*>(data) - kCanary;
  for (size_t i = 0; i < kCanary; ++i)
    if (memory[i] != 0xC5 || memory[kCanary + bytes + i] != 0xC5) {
      ++broken_canaries;
      break;
    }
  std::free(memory);
}

class FakeWorker : public WorkerContext {};
class FakeState : public OpState {
 public:
  std::thread::id last_thread;
  std::atomic<bool> busy{false};
};

class FakeOp : public PreparedOp {
 public:
  FakeOp(Layer layer, std::vector<Shape> src, int max_batch, size_t scratch)
      : layer_(std::move(layer)), src_(std::move(src)), max_batch_(max_batch), scratch_(scratch) {}
  size_t scratch_bytes() const override { return scratch_; }
  std::unique_ptr<OpState> make_state() const override { return std::make_unique<FakeState>(); }

  Status run(const RunArgs& args) const override {
    if (args.n < 1 || args.n > max_batch_ || args.worker == nullptr) return Internal("bad arguments");
    if (args.src.size() != src_.size()) return Internal("bad sources");
    auto* state = dynamic_cast<FakeState*>(args.state);
    if (state == nullptr || state->busy.exchange(true)) return Internal("state is shared");
    if (reinterpret_cast<uintptr_t>(args.dst) % kArenaAlignment != 0) return Internal("dst is not aligned");
    if (scratch_ != 0 && reinterpret_cast<uintptr_t>(args.scratch) % kArenaAlignment != 0)
      return Internal("scratch is not aligned");
    auto* dst = static_cast<float*>(args.dst);
    std::fill_n(dst, max_batch_ * layer_.shape.per_image(), NAN);
    if (scratch_ != 0) std::memset(args.scratch, 0xFF, scratch_);
    for (int row = 0; row < args.n; ++row) RunRow(args, row, dst + row * layer_.shape.per_image());
    state->busy = false;
    if (layer_.name == "fails") return DeviceError("layer fails: it was asked to");
    return {};
  }

 private:
  void RunRow(const RunArgs& args, int row, float* dst) const {
    const int64_t size = layer_.shape.per_image();
    if (std::holds_alternative<PreprocessAttrs>(layer_.attrs)) {
      const ImageEntry& entry = args.images->images[static_cast<size_t>(row)];
      for (int64_t i = 0; i < size; ++i) dst[i] = static_cast<float>(args.images->bytes[entry.offset] + i);
    } else if (std::holds_alternative<ConcatAttrs>(layer_.attrs)) {
      int at = 0;
      for (size_t s = 0; s < src_.size(); ++s) {
        const float* src = static_cast<const float*>(args.src[s]) + row * src_[s].per_image();
        const int hw = layer_.shape.h * layer_.shape.w, c = src_[s].c;
        for (int p = 0; p < hw; ++p) std::copy_n(src + p * c, c, dst + p * layer_.shape.c + at);
        at += c;
      }
    } else {
      const auto& affine = std::get<AffineAttrs>(layer_.attrs);
      const float* src = static_cast<const float*>(args.src[0]) + row * size;
      for (int64_t i = 0; i < size; ++i)
        dst[i] = src[i] * affine.scale[static_cast<size_t>(i % layer_.shape.c)] +
                 affine.offset[static_cast<size_t>(i % layer_.shape.c)];
    }
  }
  Layer layer_;
  std::vector<Shape> src_;
  int max_batch_;
  size_t scratch_;
};

class FakeBackend : public Backend {
 public:
  std::string_view kind() const override { return "fake"; }
  std::string description() const override { return "for tests"; }
  Result<std::unique_ptr<PreparedOp>> prepare(const Layer& layer, std::span<const Shape> src,
                                              const PrepareOptions& options) override {
    if (layer.name == "unsupported") return BadInput("layer unsupported: not by this one");
    for (const Shape& shape : src) CHECK(shape.n == options.max_batch);
    ++prepared;
    const size_t scratch = layer.name.size() % 3 * 100;
    return std::unique_ptr<PreparedOp>(std::make_unique<FakeOp>(
        layer, std::vector<Shape>(src.begin(), src.end()), options.max_batch, scratch));
  }
  Result<std::unique_ptr<WorkerContext>> make_worker(int) override {
    return std::unique_ptr<WorkerContext>(std::make_unique<FakeWorker>());
  }
  Result<Buffer> allocate(size_t bytes) override {
    if (refuse_memory) return DeviceError("no memory");
    const size_t total = (bytes + 2 * kCanary + 127) / 128 * 128;
    auto* memory = static_cast<unsigned char*>(std::aligned_alloc(128, total));
    std::memset(memory, 0xC5, total);
    std::memset(memory + kCanary, 0xFF, bytes);  // all bits set is a NaN
    return Buffer(memory + kCanary, bytes, FreeWithCanaries);
  }
  Status copy_in(void* dst, const void* src, size_t bytes, WorkerContext&) override {
    std::memcpy(dst, src, bytes);
    return {};
  }
  Status copy_out(void* dst, const void* src, size_t bytes, WorkerContext&) override {
    std::memcpy(dst, src, bytes);
    return {};
  }
  Status wait(WorkerContext&) override { return {}; }
  Result<std::unique_ptr<HeadTrainer>> make_head_trainer(const HeadShape&) override {
    return Internal("none");
  }

  int prepared = 0;
  bool refuse_memory = false;
};

AffineAttrs RandomAffine(int channels, uint32_t seed) {
  AffineAttrs attrs;
  for (int c = 0; c < channels; ++c) {
    const Philox4 r = Philox(7, static_cast<uint32_t>(c), seed, 9);
    attrs.scale.push_back(0.5f + static_cast<float>(r.v[0] % 64) / 128.0f);
    attrs.offset.push_back(static_cast<float>(r.v[1] % 64) / 16.0f - 2.0f);
  }
  return attrs;
}

// A random network of Affine, Concat and Identity whose layers read anything earlier.
Graph RandomGraph(uint32_t seed, LayerAttrs first) {
  Graph graph;
  graph.layers.push_back({"in", {}, {1, 2, 3, 2}, std::move(first)});
  const uint32_t count = 2 + Philox(seed, 0, 0, 9).v[0] % 20;
  for (uint32_t i = 1; i <= count; ++i) {
    const Philox4 r = Philox(seed, i, 0, 9);
    const int a = static_cast<int>(r.v[0] % i), b = static_cast<int>(r.v[1] % i);
    const Shape sa = graph.layers[a].shape, sb = graph.layers[b].shape;
    const std::string name(i, 'x');
    if (r.v[2] % 4 == 0)
      graph.layers.push_back({name, {a}, sa, IdentityAttrs{}});
    else if (r.v[2] % 4 == 1 && sa.c + sb.c <= 40)
      graph.layers.push_back({name, {a, b}, {1, 2, 3, sa.c + sb.c}, ConcatAttrs{}});
    else
      graph.layers.push_back({name, {a}, sa, RandomAffine(sa.c, seed * 100 + i)});
  }
  graph.output = static_cast<int>(Philox(seed, 0, 1, 9).v[0] % (count + 1));
  return graph;
}

// The same network with a vector of its own for every layer, one photo.
std::vector<std::vector<float>> Evaluate(const Graph& graph, std::vector<float> input) {
  std::vector<std::vector<float>> values = {std::move(input)};
  for (size_t i = 1; i < graph.layers.size(); ++i) {
    const Layer& layer = graph.layers[i];
    const auto& src = values[static_cast<size_t>(layer.inputs[0])];
    std::vector<float> dst;
    if (std::holds_alternative<IdentityAttrs>(layer.attrs)) {
      dst = src;
    } else if (const auto* affine = std::get_if<AffineAttrs>(&layer.attrs)) {
      for (size_t k = 0; k < src.size(); ++k)
        dst.push_back(src[k] * affine->scale[k % affine->scale.size()] +
                      affine->offset[k % affine->scale.size()]);
    } else {
      for (int p = 0; p < layer.shape.h * layer.shape.w; ++p)
        for (const int source : layer.inputs) {
          const int c = graph.layers[source].shape.c;
          const float* from = values[static_cast<size_t>(source)].data() + p * c;
          dst.insert(dst.end(), from, from + c);
        }
    }
    values.push_back(std::move(dst));
  }
  return values;
}

std::vector<float> Pixels(const Graph& graph, int n, uint32_t seed) {
  std::vector<float> pixels(static_cast<size_t>(n * graph.layers[0].shape.per_image()));
  for (size_t i = 0; i < pixels.size(); ++i)
    pixels[i] = static_cast<float>(Philox(seed, static_cast<uint32_t>(i), 2, 9).v[0] % 256) / 16.0f - 8.0f;
  return pixels;
}

std::vector<float> RunOnce(const Session& session, const std::vector<float>& pixels) {
  auto worker = session.NewWorker();
  REQUIRE(worker.ok());
  const size_t n = pixels.size() / static_cast<size_t>(session.input_shape().per_image());
  std::vector<float> out(n * static_cast<size_t>(session.output_size()), -1.0f);
  REQUIRE(session.RunPixels(**worker, pixels, out).ok());
  return out;
}

std::unique_ptr<Session> MustCreate(Graph graph, Backend& backend, const SessionOptions& options) {
  auto session = Session::Create(std::move(graph), backend, options);
  REQUIRE(session.ok());
  return std::move(session).value();
}

}  // namespace

TEST_CASE("session: random networks in shared memory equal the same with memory of their own") {
  FakeBackend backend;
  broken_canaries = 0;
  for (uint32_t seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    const Graph graph = RandomGraph(seed, InputAttrs{});
    const int batch = 1 + static_cast<int>(seed % 4);
    const std::vector<float> pixels = Pixels(graph, batch, seed);
    std::vector<float> want;
    std::vector<std::vector<std::vector<float>>> rows;
    const int64_t size = graph.layers[0].shape.per_image();
    for (int row = 0; row < batch; ++row) {
      rows.push_back(Evaluate(graph, {pixels.begin() + row * size, pixels.begin() + (row + 1) * size}));
      const auto& out = rows.back()[static_cast<size_t>(graph.output)];
      want.insert(want.end(), out.begin(), out.end());
    }
    const auto packed = MustCreate(graph, backend, {.max_batch = 4});
    CHECK(RunOnce(*packed, pixels) == want);

    const auto kept = MustCreate(graph, backend, {.max_batch = 4, .keep_all = true});
    CHECK(packed->worker_bytes() <= kept->worker_bytes());
    auto worker = kept->NewWorker();
    REQUIRE(worker.ok());
    std::vector<float> out(want.size());
    REQUIRE(kept->RunPixels(**worker, pixels, out).ok());
    CHECK(out == want);
    for (size_t layer = 0; layer < graph.layers.size(); ++layer) {
      const auto got = kept->Output(**worker, static_cast<int>(layer), batch);
      REQUIRE(got.ok());
      std::vector<float> expected;
      for (const auto& row : rows) expected.insert(expected.end(), row[layer].begin(), row[layer].end());
      CHECK(*got == expected);
    }
  }
  CHECK(broken_canaries == 0);
}

TEST_CASE("session: photos go through the first layer, floats take its place") {
  FakeBackend backend;
  Graph graph = RandomGraph(5, PreprocessAttrs{});
  const auto session = MustCreate(graph, backend, {.max_batch = 3});
  auto worker = session->NewWorker();
  REQUIRE(worker.ok());
  const std::vector<uint8_t> bytes = {10, 20, 30};
  const std::vector<ImageEntry> entries = {{1, 1, 2, 0}, {1, 1, 0, 0}};
  std::vector<float> out(2 * static_cast<size_t>(session->output_size()));
  REQUIRE(session->Run(**worker, {bytes, entries}, out).ok());

  std::vector<float> pixels;
  for (const float first : {30.0f, 10.0f})
    for (int i = 0; i < 12; ++i) pixels.push_back(first + static_cast<float>(i));
  CHECK(RunOnce(*session, pixels) == out);
}

TEST_CASE("session: a chain takes two blocks of memory however long it is") {
  FakeBackend backend;
  Graph graph;
  graph.layers.push_back({"in", {}, {1, 4, 4, 16}, InputAttrs{}});
  for (int i = 1; i <= 50; ++i)
    graph.layers.push_back({"abc", {i - 1}, {1, 4, 4, 16}, RandomAffine(16, static_cast<uint32_t>(i))});
  graph.output = 50;
  CHECK(MustCreate(graph, backend, {.max_batch = 2})->worker_bytes() == 2 * 2 * 4 * 4 * 16 * sizeof(float));
}

TEST_CASE("session: each layer is prepared once, Input and Identity not at all") {
  FakeBackend backend;
  Graph graph;
  graph.layers.push_back({"in", {}, {1, 1, 1, 2}, InputAttrs{}});
  graph.layers.push_back({"same", {0}, {1, 1, 2, 1}, IdentityAttrs{}});
  graph.layers.push_back({"affine", {0}, {1, 1, 1, 2}, RandomAffine(2, 3)});
  graph.layers.push_back({"out", {2}, {1, 2, 1, 1}, IdentityAttrs{}});
  graph.output = 3;
  const auto session = MustCreate(graph, backend, {});
  CHECK(backend.prepared == 1);
  const std::vector<float> pixels = {1.0f, 2.0f};
  CHECK(RunOnce(*session, pixels) == Evaluate(graph, pixels)[2]);
}

TEST_CASE("session: the output may be the input") {
  FakeBackend backend;
  Graph graph;
  graph.layers.push_back({"in", {}, {1, 1, 1, 2}, InputAttrs{}});
  graph.layers.push_back({"out", {0}, {1, 1, 1, 2}, IdentityAttrs{}});
  for (const int output : {0, 1}) {
    graph.output = output;
    const std::vector<float> pixels = {1.0f, 2.0f, 3.0f, 4.0f};
    CHECK(RunOnce(*MustCreate(graph, backend, {.max_batch = 2}), pixels) == pixels);
  }
}

TEST_CASE("session: what the backend refuses reaches the caller") {
  FakeBackend backend;
  Graph graph;
  graph.layers.push_back({"in", {}, {1, 1, 1, 2}, InputAttrs{}});
  graph.layers.push_back({"unsupported", {0}, {1, 1, 1, 2}, RandomAffine(2, 3)});
  graph.output = 1;
  const auto refused = Session::Create(graph, backend, {});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.status().message() == "layer unsupported: not by this one");

  graph.layers[1].name = "fails";
  const auto session = MustCreate(graph, backend, {});
  auto worker = session->NewWorker();
  REQUIRE(worker.ok());
  std::vector<float> out(2);
  const Status run = session->RunPixels(**worker, std::vector<float>{1, 2}, out);
  CHECK(run.code() == Code::kDevice);
  CHECK(run.message() == "layer fails: it was asked to");

  backend.refuse_memory = true;
  CHECK(session->NewWorker().status().message() == "no memory");

  graph.layers[1].name = "huge";
  graph.layers[0].shape = graph.layers[1].shape = {1, 1 << 12, 1 << 12, 8};
  const auto huge = Session::Create(graph, backend, {.max_batch = 1 << 20});
  REQUIRE_FALSE(huge.ok());
  CHECK(huge.status().message() ==
        "layer in: 1048576 x 1x4096x4096x8 floats are too many; use a smaller batch or image");
}

TEST_CASE("session: workers in threads of their own do not disturb each other [threads]") {
  FakeBackend backend;
  broken_canaries = 0;
  const Graph graph = RandomGraph(11, InputAttrs{});
  const auto session = MustCreate(graph, backend, {.max_batch = 2});
  constexpr int kThreads = 4, kRuns = 50;
  std::array<std::vector<float>, kThreads> pixels, want;
  for (int t = 0; t < kThreads; ++t) {
    pixels[t] = Pixels(graph, 1 + t % 2, static_cast<uint32_t>(t) + 1);
    want[t] = RunOnce(*session, pixels[t]);
  }
  std::atomic<int> wrong{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        auto worker = session->NewWorker();
        std::vector<float> out(want[t].size());
        for (int run = 0; run < kRuns; ++run) {
          std::fill(out.begin(), out.end(), NAN);
          if (!worker.ok() || !session->RunPixels(**worker, pixels[t], out).ok() || out != want[t]) ++wrong;
        }
      });
  }
  CHECK(wrong == 0);
  CHECK(broken_canaries == 0);
}

TEST_CASE("session: a run allocates nothing") {
  if (!test::CanCountAllocations()) COUPLET_SKIP("a sanitizer keeps operator new for itself");
  FakeBackend backend;
  const Graph graph = RandomGraph(11, PreprocessAttrs{});
  const auto session = MustCreate(graph, backend, {.max_batch = 2});
  auto worker = session->NewWorker();
  REQUIRE(worker.ok());
  const std::vector<float> pixels = Pixels(graph, 2, 1);
  std::vector<float> out(2 * static_cast<size_t>(session->output_size()));
  const std::vector<uint8_t> bytes = {10, 20};
  const std::vector<ImageEntry> entries = {{1, 1, 0, 0}, {1, 1, 1, 0}};
  const int64_t before = test::AllocationsOfThisThread();
  for (int run = 0; run < 3; ++run) {
    const bool ran =
        session->RunPixels(**worker, pixels, out).ok() && session->Run(**worker, {bytes, entries}, out).ok();
    if (!ran) FAIL("a run failed");
  }
  CHECK(test::AllocationsOfThisThread() == before);
}
