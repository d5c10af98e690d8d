// SPDX-License-Identifier: Apache-2.0
#include "runtime/session.h"

#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <numeric>
#include <thread>

#include "tests/support/allocations.h"
#include "tests/support/fake_backend.h"
#include "tests/support/test.h"

using namespace couplet;
using namespace couplet::test;

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

    backend.slices = true;
    CHECK(RunOnce(*MustCreate(graph, backend, {.max_batch = 4}), pixels) == want);
    backend.slices = seed % 2 == 0;

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
    backend.slices = false;
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

TEST_CASE("session: layers prepared on several threads, the first refusal in the graph's order is told [threads]") {
  const auto backend = MakeCpuBackend();
  Graph graph;
  graph.layers.push_back({"input", {}, Shape{1, 4, 4, 3}, InputAttrs{}});
  for (int i = 1; i <= 12; ++i) {
    ConvAttrs conv;
    const int oc = i == 5 || i == 9 ? 4 : 3;  // those two do not fit their weights
    conv.weights = ConstTensor({1, 1, 3, 3}, std::vector<float>{1, 0, 0, 0, 1, 0, 0, 0, 1});
    graph.layers.push_back({"conv" + std::to_string(i), {i == 6 || i == 10 ? i - 2 : i - 1}, Shape{1, 4, 4, oc}, conv});
  }
  graph.output = 12;
  for (const int threads : {1, 4}) {
    const auto session = Session::Create(graph, *backend, {.prepare_threads = threads});
    REQUIRE_FALSE(session.ok());
    CHECK(session.status().message().find("conv5") != std::string::npos);
  }
  for (const int bad : {5, 9}) graph.layers[static_cast<size_t>(bad)].shape.c = 3;
  const auto session = Session::Create(graph, *backend, {.prepare_threads = 4});
  REQUIRE(session.ok());
  auto worker = (*session)->NewWorker();
  REQUIRE(worker.ok());
  std::vector<float> pixels(48), out(48);
  std::iota(pixels.begin(), pixels.end(), 1.0f);
  REQUIRE((*session)->RunPixels(**worker, pixels, out).ok());
  CHECK(out == pixels);
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
  if (!CanCountAllocations()) COUPLET_SKIP("a sanitizer keeps operator new for itself");
  FakeBackend backend;
  const Graph graph = RandomGraph(11, PreprocessAttrs{});
  const auto session = MustCreate(graph, backend, {.max_batch = 2});
  auto worker = session->NewWorker();
  REQUIRE(worker.ok());
  const std::vector<float> pixels = Pixels(graph, 2, 1);
  std::vector<float> out(2 * static_cast<size_t>(session->output_size()));
  const std::vector<uint8_t> bytes = {10, 20};
  const std::vector<ImageEntry> entries = {{1, 1, 0, 0}, {1, 1, 1, 0}};
  const int64_t before = AllocationsOfThisThread();
  for (int run = 0; run < 3; ++run) {
    const bool ran =
        session->RunPixels(**worker, pixels, out).ok() && session->Run(**worker, {bytes, entries}, out).ok();
    if (!ran) FAIL("a run failed");
  }
  CHECK(AllocationsOfThisThread() == before);
}
