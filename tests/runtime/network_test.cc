// Whole networks: a generated GraphDef is parsed, imported, optimised and run by the CPU backend. What must
// not change the result: the form the file holds the network in, the passes, the batch, the worker.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <thread>

#include "loaders/import_tf.h"
#include "runtime/graph_passes.h"
#include "runtime/session.h"
#include "tests/support/graph_generator.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;
using Form = MobileNetOptions::Form;

namespace {

constexpr int kSize = 96;

Graph Import(const std::string& bytes, const ImportOptions& options) {
  const auto owner = std::make_shared<const std::string>(bytes);
  const auto def = GraphDef::Parse(std::as_bytes(std::span(*owner)), owner, "generated.pb");
  REQUIRE_MESSAGE(def.ok(), def.status().message());
  auto graph = ImportGraph(*def, options);
  REQUIRE_MESSAGE(graph.ok(), graph.status().message());
  return std::move(graph).value();
}

Graph MobileNet(const MobileNetOptions& options, const std::string& output = kMobileNetBottleneck,
                bool photos = false) {
  return Import(GenerateMobileNet(options), {.input_layer = "input",
                                             .output_layer = output,
                                             .input_height = options.size,
                                             .input_width = options.size,
                                             .photos = photos,
                                             .normalization = {127.5f, 127.5f}});
}

std::unique_ptr<Session> Make(Graph graph, Backend& backend, const SessionOptions& options = {}) {
  auto session = Session::Create(std::move(graph), backend, options);
  REQUIRE_MESSAGE(session.ok(), session.status().message());
  return std::move(session).value();
}

std::vector<float> RunPixels(const Session& session, std::span<const float> pixels) {
  auto worker = session.NewWorker();
  REQUIRE(worker.ok());
  const size_t n = pixels.size() / static_cast<size_t>(session.input_shape().per_image());
  std::vector<float> out(n * static_cast<size_t>(session.output_size()), NAN);
  REQUIRE(session.RunPixels(**worker, pixels, out).ok());
  return out;
}

std::vector<float> RunGraph(Graph graph, std::span<const float> pixels) {
  const auto backend = MakeCpuBackend();
  return RunPixels(*Make(std::move(graph), *backend), pixels);
}

double RelativeL2(std::span<const float> got, std::span<const float> want) {
  REQUIRE(got.size() == want.size());
  double error = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    error += (double{got[i]} - want[i]) * (double{got[i]} - want[i]);
    norm += double{want[i]} * want[i];
  }
  return std::sqrt(error / norm);
}

std::vector<float> RandomPixels(int photos, int size = kSize, uint64_t seed = 1) {
  return Values(seed).Reals(static_cast<size_t>(photos) * static_cast<size_t>(size * size * 3));
}

int CountKind(const Graph& graph, const std::string& kind) {
  return static_cast<int>(std::count_if(graph.layers.begin(), graph.layers.end(),
                                        [&](const Layer& layer) { return KindName(layer.attrs) == kind; }));
}

// Keeps every layer's result and compares each layer of `optimized` with the one of that name in `plain`.
void CheckLayersAgree(const Graph& plain, const Graph& optimized, std::span<const float> pixels,
                      double tolerance) {
  const auto backend = MakeCpuBackend();
  const auto a = Make(plain, *backend, {.keep_all = true}), b = Make(optimized, *backend, {.keep_all = true});
  auto worker_a = a->NewWorker(), worker_b = b->NewWorker();
  REQUIRE((worker_a.ok() && worker_b.ok()));
  std::vector<float> out(static_cast<size_t>(a->output_size()));
  REQUIRE(a->RunPixels(**worker_a, pixels, out).ok());
  REQUIRE(b->RunPixels(**worker_b, pixels, out).ok());
  for (size_t i = 0; i < optimized.layers.size(); ++i) {
    const std::string& name = optimized.layers[i].name;
    CAPTURE(name);
    const int same = FindLayer(plain, name);
    REQUIRE(same >= 0);
    const auto want = a->Output(**worker_a, same, 1), got = b->Output(**worker_b, static_cast<int>(i), 1);
    REQUIRE((want.ok() && got.ok()));
    const double error = RelativeL2(*got, *want);
    CHECK_FALSE(!(error <= tolerance));
  }
}

}  // namespace

TEST_CASE("network: MobileNet gives the same in every form, optimised or not") {
  const std::vector<float> pixels = RandomPixels(1);
  const std::vector<float> want = RunGraph(MobileNet({.size = kSize}), pixels);
  REQUIRE(want.size() == 1001);
  for (const Form form : {Form::kDecomposed, Form::kFused, Form::kBiasAdd, Form::kQuantized}) {
    CAPTURE(static_cast<int>(form));
    const Graph plain = MobileNet({.size = kSize, .form = form});
    const Graph optimized = Optimize(plain);
    // Eight bits move two weight matrices by a thousandth of their range.
    const double tolerance = form == Form::kQuantized ? 0.02 : 1e-5;
    const std::vector<float> from_plain = RunGraph(plain, pixels),
                             from_optimized = RunGraph(optimized, pixels);
    CHECK_FALSE(!(RelativeL2(from_plain, want) <= tolerance));
    CHECK_FALSE(!(RelativeL2(from_optimized, want) <= tolerance));
    CHECK_FALSE(!(RelativeL2(from_optimized, from_plain) <= 1e-5));
    // 14 convolutions and 13 depthwise ones, pool, logits, and nothing between them.
    CHECK(CountKind(optimized, "Conv") + CountKind(optimized, "FullyConnected") == 15);
    CHECK(CountKind(optimized, "Depthwise") == 13);
    CHECK(CountKind(optimized, "Affine") + CountKind(optimized, "Activation") +
              CountKind(optimized, "Identity") ==
          0);
    CHECK(optimized.layers.size() == 30);
  }
}

TEST_CASE("network: each layer that is left computes what it computed before the passes") {
  const Graph plain = MobileNet({.size = kSize, .head_classes = 5}, "final_result");
  CheckLayersAgree(plain, Optimize(plain), RandomPixels(1), 1e-5);
}

TEST_CASE("network: a retrained head is the softmax of x . w + b, early and late") {
  const std::vector<float> pixels = RandomPixels(1);
  const std::vector<float> features = RunGraph(Optimize(MobileNet({.size = kSize})), pixels);
  const Graph graph = MobileNet({.size = kSize, .head_classes = 5}, "final_result");
  const auto& head =
      graph.layers[static_cast<size_t>(FindLayer(graph, "final_training_ops/Wx_plus_b/MatMul"))];
  const auto& weights = std::get<FullyConnectedAttrs>(head.attrs).weights;
  const auto& add = graph.layers[static_cast<size_t>(FindLayer(graph, "final_training_ops/Wx_plus_b/add"))];
  const auto& biases = std::get<AffineAttrs>(add.attrs).offset;
  std::array<double, 5> scores{};
  double sum = 0;
  for (size_t c = 0; c < 5; ++c) {
    double logit = biases[c];
    for (size_t i = 0; i < 1001; ++i) logit += double{features[i]} * weights.at(i * 5 + c);
    sum += scores[c] = std::exp(logit);
  }
  const std::vector<float> early = RunGraph(Optimize(graph), pixels);
  REQUIRE(early.size() == 5);
  for (size_t c = 0; c < 5; ++c) CHECK_FALSE(!(std::fabs(early[c] - scores[c] / sum) <= 1e-5));
  CHECK(RunGraph(Optimize(MobileNet({.size = kSize, .head_classes = 5, .add_v2 = true}, "final_result")),
                 pixels) == early);
}

TEST_CASE("network: a photo's row does not depend on its batch, to the bit") {
  const auto backend = MakeCpuBackend();
  const Graph graph = Optimize(MobileNet({.size = kSize}));
  const std::vector<float> pixels = RandomPixels(5);
  const auto one = Make(graph, *backend), five = Make(graph, *backend, {.max_batch = 5});
  const std::vector<float> together = RunPixels(*five, pixels);
  const size_t photo = static_cast<size_t>(kSize * kSize * 3);
  for (size_t i = 0; i < 5; ++i) {
    const std::span<const float> alone = std::span(pixels).subspan(i * photo, photo);
    const std::vector<float> row(together.begin() + static_cast<int64_t>(i) * 1001,
                                 together.begin() + static_cast<int64_t>(i + 1) * 1001);
    CHECK(RunPixels(*one, alone) == row);
    CHECK(RunPixels(*five, alone) == row);  // fewer photos than the most
  }
  CHECK(five->worker_bytes() < 5 * one->worker_bytes() + 4096);
}

TEST_CASE("network: photos of any size in one batch, to the same bits as alone") {
  const auto backend = MakeCpuBackend();
  const auto session =
      Make(Optimize(MobileNet({.size = kSize}, kMobileNetBottleneck, true)), *backend, {.max_batch = 3});
  auto worker = session->NewWorker();
  REQUIRE(worker.ok());
  std::vector<ImageEntry> entries;
  size_t bytes_used = 0;
  for (const auto& [width, height] : {std::pair{96, 96}, std::pair{7, 250}, std::pair{131, 64}}) {
    entries.push_back({width, height, bytes_used, 0});
    bytes_used += static_cast<size_t>(width * height * 3);
  }
  const std::vector<uint8_t> bytes = Values(3).Bytes(bytes_used);
  std::vector<float> together(3 * 1001), alone(1001);
  REQUIRE(session->Run(**worker, {bytes, entries}, together).ok());
  for (size_t i = 0; i < 3; ++i) {
    REQUIRE(session->Run(**worker, {bytes, std::span(entries).subspan(i, 1)}, alone).ok());
    CHECK(std::equal(alone.begin(), alone.end(), together.begin() + static_cast<int64_t>(i) * 1001));
  }
  // The first has the network's own size: normalised floats in place of the first layer give the same.
  std::vector<float> pixels;
  for (size_t i = 0; i < static_cast<size_t>(kSize * kSize * 3); ++i)
    pixels.push_back((static_cast<float>(bytes[i]) - 127.5f) * (1.0f / 127.5f));
  REQUIRE(session->RunPixels(**worker, pixels, alone).ok());
  CHECK(std::equal(alone.begin(), alone.end(), together.begin()));
}

TEST_CASE("network: Inception optimised equals Inception as imported, layer by layer") {
  const std::string bytes = GenerateInception2015({.divide_channels = 8});
  const Graph plain = Import(bytes, {.input_layer = "Mul",
                                     .output_layer = "softmax",
                                     .input_height = 299,
                                     .input_width = 299,
                                     .photos = false,
                                     .normalization = {}});
  const Graph optimized = Optimize(plain);
  CHECK(CountKind(optimized, "Conv") == 94);
  CHECK(CountKind(optimized, "Concat") == 11);
  CHECK(CountKind(optimized, "Affine") + CountKind(optimized, "Activation") +
            CountKind(optimized, "Identity") ==
        0);
  CheckLayersAgree(plain, optimized, RandomPixels(1, 299), 1e-5);
}

TEST_CASE("network: planned memory is a fraction of what all layers take") {
  const auto backend = MakeCpuBackend();
  const Graph graph = Optimize(MobileNet({.size = kSize}));
  const auto packed = Make(graph, *backend), kept = Make(graph, *backend, {.keep_all = true});
  CHECK(packed->worker_bytes() * 3 < kept->worker_bytes());
  const std::vector<float> pixels = RandomPixels(1);
  CHECK(RunPixels(*packed, pixels) == RunPixels(*kept, pixels));
}

TEST_CASE("network: workers in threads share one set of weights and agree to the bit [threads]") {
  const auto backend = MakeCpuBackend();
  const auto session = Make(Optimize(MobileNet({.size = 32})), *backend);
  constexpr int kThreads = 3;
  std::array<std::vector<float>, kThreads> pixels, want;
  for (int t = 0; t < kThreads; ++t) {
    pixels[static_cast<size_t>(t)] = RandomPixels(1, 32, static_cast<uint64_t>(t) + 1);
    want[static_cast<size_t>(t)] = RunPixels(*session, pixels[static_cast<size_t>(t)]);
  }
  std::atomic<int> wrong{0};
  {
    std::vector<std::jthread> threads;
    for (size_t t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        auto worker = session->NewWorker();
        std::vector<float> out(1001);
        for (int run = 0; run < 5; ++run)
          if (!worker.ok() || !session->RunPixels(**worker, pixels[t], out).ok() || out != want[t]) ++wrong;
      });
  }
  CHECK(wrong == 0);
}
