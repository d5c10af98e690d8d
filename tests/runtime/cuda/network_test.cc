// Whole networks through the CUDA engine on stand-ins: against the CPU layer by layer, whatever the batch, in
// any order the streams allow, and with every call failing in its turn. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "loaders/import_tf.h"
#include "runtime/graph_passes.h"
#include "runtime/session.h"
#include "tests/support/graph_generator.h"
#include "tests/support/network.h"
#include "tests/support/standin_device.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

struct Tolerance {
  Precision precision;
  std::string name;
  double layer;  // relative L2 of any layer's output; the errors of the layers before it are in it
};
const Tolerance kTolerances[] = {
    {Precision::kFp32, "fp32", 1e-5}, {Precision::kTf32, "tf32", 1e-2}, {Precision::kFp16, "fp16", 2e-2}};

Graph Import(const std::string& bytes, const ImportOptions& options) {
  const auto owner = std::make_shared<const std::string>(bytes);
  const auto def = GraphDef::Parse(std::as_bytes(std::span(*owner)), owner, "generated.pb");
  REQUIRE_MESSAGE(def.ok(), def.status().message());
  auto graph = ImportGraph(*def, options);
  REQUIRE_MESSAGE(graph.ok(), graph.status().message());
  return Optimize(std::move(graph).value());
}

Graph MobileNet(int size, bool photos = false) {
  return Import(GenerateMobileNet({.size = size, .head_classes = 5}), {.input_layer = "input",
                                                                       .output_layer = "final_result",
                                                                       .input_height = size,
                                                                       .input_width = size,
                                                                       .photos = photos,
                                                                       .normalization = {127.5f, 127.5f}});
}
Graph Inception(int divide) {
  return Import(GenerateInception2015({.divide_channels = divide}), {.input_layer = "Mul",
                                                                     .output_layer = "softmax",
                                                                     .input_height = 299,
                                                                     .input_width = 299,
                                                                     .photos = false,
                                                                     .normalization = {}});
}

std::unique_ptr<Session> Make(const Graph& graph, Backend& backend, const SessionOptions& options) {
  auto session = Session::Create(graph, backend, options);
  REQUIRE_MESSAGE(session.ok(), session.status().message());
  return std::move(session).value();
}

std::vector<float> Pixels(const Graph& graph, int n) {
  return Values(9).Reals(static_cast<size_t>(n * graph.layers[0].shape.per_image()));
}

void CheckLayers(const Graph& graph, const Tolerance& tolerance) {
  CAPTURE(tolerance.name);
  const auto cpu = MakeCpuBackend();
  const auto cuda = MakeStandinBackend(tolerance.precision);
  const SessionOptions keep = {.keep_all = true};
  const auto a = Make(graph, *cpu, keep), b = Make(graph, *cuda, keep);
  auto worker_a = a->NewWorker(), worker_b = b->NewWorker();
  REQUIRE((worker_a.ok() && worker_b.ok()));
  const std::vector<float> pixels = Pixels(graph, 1);
  std::vector<float> out(static_cast<size_t>(a->output_size()));
  REQUIRE(a->RunPixels(**worker_a, pixels, out).ok());
  const Status ran = b->RunPixels(**worker_b, pixels, out);
  REQUIRE_MESSAGE(ran.ok(), ran.message());
  for (size_t i = 1; i < graph.layers.size(); ++i) {
    CAPTURE(graph.layers[i].name);
    const int index = static_cast<int>(i);
    const auto want = a->Output(**worker_a, index, 1), got = b->Output(**worker_b, index, 1);
    REQUIRE((want.ok() && got.ok()));
    const double error = RelativeL2(*got, *want);
    CAPTURE(error);
    CHECK_FALSE(!(error <= tolerance.layer));
  }
}

std::vector<float> Run(const Session& session, Session::Worker& worker, std::span<const float> pixels) {
  const size_t n = pixels.size() / static_cast<size_t>(session.input_shape().per_image());
  std::vector<float> out(n * static_cast<size_t>(session.output_size()), NAN);
  const Status ran = session.RunPixels(worker, pixels, out);
  REQUIRE_MESSAGE(ran.ok(), ran.message());
  return out;
}

// A layer of each way the engine has: photos, a padded convolution with ReLU6, depthwise, 1x1, branches into
// a concatenation, a pool, the fully connected end.
Graph SmallGraph() {
  Values values(4);
  const auto conv = [&](int kernel, int ic, int oc) {
    return ConstTensor({kernel, kernel, ic, oc},
                       values.Reals(static_cast<size_t>(kernel * kernel * ic * oc)));
  };
  Graph graph;
  const auto add = [&](const char* name, std::vector<int> inputs, Shape shape, LayerAttrs attrs) {
    graph.layers.push_back({name, std::move(inputs), shape, std::move(attrs)});
  };
  add("photos", {}, {1, 12, 12, 3}, PreprocessAttrs{{127.5f, 127.5f, Normalization::Mode::kMultiply}});
  add("first", {0}, {1, 6, 6, 8},
      ConvAttrs{2, 2, 1, 1, {0, 0, 1, 1}, conv(3, 3, 8), {}, values.Reals(8), Activation::kRelu6});
  add("depthwise", {1}, {1, 6, 6, 8},
      DepthwiseAttrs{1, 1, 1, 1, {1, 1, 1, 1}, conv(3, 8, 1), {}, values.Reals(8), Activation::kRelu6});
  add("pointwise", {2}, {1, 6, 6, 16}, ConvAttrs{1, 1, 1, 1, {}, conv(1, 8, 16), {}, {}, Activation::kRelu});
  add("wide", {2}, {1, 6, 6, 8},
      ConvAttrs{1, 1, 1, 1, {1, 1, 1, 1}, conv(3, 8, 8), {}, values.Reals(8), Activation::kRelu});
  add("pool", {2}, {1, 6, 6, 8}, PoolAttrs{PoolAttrs::Kind::kAverage, 3, 3, 1, 1, {1, 1, 1, 1}});
  add("branches", {3, 4, 5}, {1, 6, 6, 32}, ConcatAttrs{});
  add("mean", {6}, {1, 1, 1, 32}, GlobalAverageAttrs{});
  add("logits", {7}, {1, 1, 1, 4},
      FullyConnectedAttrs{ConstTensor({32, 4}, values.Reals(128)), {}, values.Reals(4), Activation::kNone});
  add("softmax", {8}, {1, 1, 1, 4}, SoftmaxAttrs{});
  graph.output = 9;
  return graph;
}

struct Photos {
  std::vector<uint8_t> bytes;
  std::vector<ImageEntry> entries;
  explicit Photos(int n) {
    size_t used = 0;
    for (int i = 0; i < n; ++i) {
      const int width = 9 + 5 * i, height = 30 - 3 * i;
      entries.push_back({width, height, used, 0});
      used += static_cast<size_t>(width * height * 3);
    }
    bytes = Values(6).Bytes(used);
  }
  ImageBatch batch() const { return {bytes, entries}; }
};

// Photos and the first convolution, and a block of MobileNet: the pairs there are kernels for.
Graph PairGraph() {
  Values values(14);
  Graph graph;
  const auto add = [&](const char* name, Shape shape, LayerAttrs attrs) {
    const int last = static_cast<int>(graph.layers.size()) - 1;
    graph.layers.push_back({name, last < 0 ? std::vector<int>{} : std::vector<int>{last}, shape, std::move(attrs)});
  };
  const auto product = [&](int ic, int oc) {
    return ConvAttrs{1, 1, 1, 1, {}, ConstTensor({1, 1, ic, oc}, values.Reals(static_cast<size_t>(ic * oc))),
                     {}, values.Reals(static_cast<size_t>(oc)), Activation::kRelu6};
  };
  add("photos", {1, 12, 12, 3}, PreprocessAttrs{{127.5f, 127.5f, Normalization::Mode::kMultiply}});
  add("first", {1, 6, 6, 8},
      ConvAttrs{2, 2, 1, 1, {0, 0, 1, 1}, ConstTensor({3, 3, 3, 8}, values.Reals(216)), {}, values.Reals(8),
                Activation::kRelu6});
  add("grow", {1, 6, 6, 16}, product(8, 16));  // leaves its ReLU6's upper half to the depthwise layer
  add("depthwise", {1, 3, 3, 16},
      DepthwiseAttrs{2, 2, 1, 1, {0, 0, 1, 1}, ConstTensor({3, 3, 16, 1}, values.Reals(144)), {}, values.Reals(16),
                     Activation::kRelu6});
  add("pointwise", {1, 3, 3, 24}, product(16, 24));
  add("mean", {1, 1, 1, 24}, GlobalAverageAttrs{});
  graph.output = 5;
  return graph;
}

// What the race of a graph's layers keeps.
std::string Tuned(const Graph& graph, Precision precision, int max_batch) {
  CudaOptions options;
  options.precision = precision;
  options.tune = true;
  auto backend = OpenStandinBackend(options);
  REQUIRE_MESSAGE(backend.ok(), backend.status().message());
  Make(graph, **backend, {.max_batch = max_batch});
  return (*backend)->tuning();
}

// Every line's choice of that name turned into the other one.
std::string Turned(std::string tuning, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = tuning.find("\t" + from, at)) != std::string::npos;) tuning.replace(at + 1, from.size(), to);
  return tuning;
}

// Opens the engine, prepares, runs three batches (the third is a replay) and lets go. What it said, or "".
std::string WholeRun(const Graph& graph, Precision precision, std::vector<float>* out,
                     const std::string& tuning = "") {
  CudaOptions options;
  options.precision = precision;
  options.tuning = tuning;
  auto backend = OpenStandinBackend(options);
  if (!backend.ok()) return backend.status().message();
  auto session = Session::Create(graph, **backend, {.max_batch = 3});
  if (!session.ok()) return session.status().message();
  auto worker = (*session)->NewWorker();
  if (!worker.ok()) return worker.status().message();
  const Photos photos(3);
  out->assign(static_cast<size_t>(3 * (*session)->output_size()), NAN);
  for (int run = 0; run < 3; ++run)
    if (const Status ran = (*session)->Run(**worker, photos.batch(), *out); !ran.ok()) return ran.message();
  return "";
}

}  // namespace

TEST_CASE("cuda: MobileNet agrees with the CPU layer by layer in each precision") {
  COUPLET_NEEDS_STANDIN(device);
  for (const Tolerance& tolerance : kTolerances) CheckLayers(MobileNet(64), tolerance);
}

TEST_CASE("cuda: Inception agrees with the CPU layer by layer in each precision") {
  COUPLET_NEEDS_STANDIN(device);
  const Graph graph = Inception(16);
  for (const Tolerance& tolerance : kTolerances) CheckLayers(graph, tolerance);
}

TEST_CASE("cuda: layers done in pairs where a race chose that: MobileNet as the CPU has it, in each precision") {
  COUPLET_NEEDS_STANDIN(device);
  const Graph graph = MobileNet(32, true);
  const Photos photos(3);
  const auto cpu = MakeCpuBackend();
  const auto oracle = Make(graph, *cpu, {.max_batch = 1});
  auto oracle_worker = oracle->NewWorker();
  REQUIRE(oracle_worker.ok());
  std::vector<float> want;
  for (const ImageEntry& entry : photos.entries) {
    std::vector<float> row(static_cast<size_t>(oracle->output_size()));
    REQUIRE(oracle->Run(**oracle_worker, {photos.bytes, std::span(&entry, 1)}, row).ok());
    want.insert(want.end(), row.begin(), row.end());
  }
  for (const Tolerance& tolerance : kTolerances) {
    if (test::Sanitized() && tolerance.precision == Precision::kTf32) continue;  // blocks are fp16's, too
    CAPTURE(tolerance.name);
    const bool blocks = tolerance.precision != Precision::kFp32;
    const std::string tuning = Tuned(graph, tolerance.precision, 1);
    const std::string fused = Turned(tuning, "apart ms", "fused ms"), apart = Turned(tuning, "fused ms", "apart ms");
    CHECK_HAS(fused, "start 1x32x32 to 16x16x");
    CHECK((fused.find("\nblock 1x") != std::string::npos) == blocks);
    std::vector<float> got, plain;
    for (const std::string& text : {fused, apart}) {
      CudaOptions options;
      options.precision = tolerance.precision;
      options.tuning = text;
      auto cuda = OpenStandinBackend(options);
      REQUIRE(cuda.ok());
      const auto session = Make(graph, **cuda, {.max_batch = 3});
      auto worker = session->NewWorker();
      REQUIRE(worker.ok());
      std::vector<float> out(want.size(), NAN);
      std::vector<LayerTime> times;
      REQUIRE(session->RunTimed(**worker, photos.batch(), out, &times).ok());
      const auto pairs = std::count_if(times.begin(), times.end(),
                                       [](const LayerTime& t) { return t.layer.find(" + ") != std::string::npos; });
      CHECK(pairs == (text == apart ? 0 : blocks ? 14 : 1));
      const std::vector<float> timed = out;
      for (int run = 0; run < 3; ++run) {
        std::fill(out.begin(), out.end(), NAN);
        REQUIRE(session->Run(**worker, photos.batch(), out).ok());
        CHECK(out == timed);
      }
      CHECK_FALSE(!(RelativeL2(out, want) <= tolerance.layer));
      (text == fused ? got : plain) = out;
    }
    // The start's numbers are those of its two layers; a block's middle is rounded for the tensor cores.
    CHECK((got == plain) == !blocks);
  }
}

TEST_CASE("cuda: a race takes convolutions, too, whose result goes among other channels") {
  COUPLET_NEEDS_STANDIN(device);
  const std::string tuning = Tuned(Inception(16), Precision::kFp32, 1);
  CHECK_HAS(tuning, "conv 1x");
  CHECK(device.Mistakes() == "");
}

TEST_CASE("cuda: in fp32 a race between gathered windows and cuDNN is kept, and a run goes by it") {
  COUPLET_NEEDS_STANDIN(device);
  const Graph graph = SmallGraph();
  const std::string tuning = Tuned(graph, Precision::kFp32, 3);
  CHECK_HAS(tuning, "window 1x6x6x8 to 6x6x8 k 3x3 s 1x1 d 1x1 p 1x1x1x1 dst 32 bias true act 1\tcudnn ms: gathered ");
  const std::string gathered = Turned(tuning, "cudnn ms", "gathered ms"), cudnn = Turned(gathered, "gathered ms", "cudnn ms");
  std::vector<float> by_rule, out;
  const auto calls = [&](const std::string& text) {
    device.Reset();
    CHECK(WholeRun(graph, Precision::kFp32, &out, text) == "");
    return device.Calls("cudnnConvolutionForward");
  };
  CHECK(calls("") > 0);
  by_rule = out;
  CHECK(calls(cudnn) > 0);
  CHECK(out == by_rule);
  CHECK(calls(gathered) == 0);
  CHECK_FALSE(!(RelativeL2(out, by_rule) <= 1e-6));
  CHECK(Tuned(graph, Precision::kTf32, 3).find("window") == std::string::npos);
}

TEST_CASE("cuda: a race keeps its winner, which runs; every call that fails with pairs ends in one clear line") {
  COUPLET_NEEDS_STANDIN(device);
  const Graph graph = PairGraph();
  const std::string tuning = Tuned(graph, Precision::kFp16, 1);
  // The played clock ticks a piece of work: one kernel wins over two.
  CHECK_HAS(tuning, "start 1x12x12 to 6x6x8 dst 0\tfused ms: fused ");
  CHECK_HAS(tuning, "block 1x6x6x16 to 3x3x24 s 2 p 0x0 dst 0 clip true\tfused ms: fused ");
  std::vector<float> want, out;
  device.Reset();
  REQUIRE(WholeRun(graph, Precision::kFp16, &want) == "");
  const long apart = device.Calls("launch");
  device.Reset();
  REQUIRE(WholeRun(graph, Precision::kFp16, &want, tuning) == "");
  CHECK(device.Calls("launch") < apart);
  const long calls = device.Calls("*");
  int failed = 0;
  for (long n = 1; n <= calls; ++n) {
    CAPTURE(n);
    device.Reset();
    device.Fail("*:" + std::to_string(n));
    CapturedErrors errors;
    const std::string said = WholeRun(graph, Precision::kFp16, &out, tuning);
    for (const std::string& line : errors.Lines()) CHECK_HAS(line, "couplet: while letting go of the device: ");
    CHECK(device.Mistakes() == "");
    device.Reset();
    CHECK(device.Alive() == "");
    if (said.empty()) CHECK(out == want);
    failed += said.empty() ? 0 : 1;
    CHECK(said.find('\n') == std::string::npos);
  }
  CHECK(failed > calls / 2);
  // And the race's own calls.
  device.Reset();
  for (long n = 1; n <= 400; n += 3) {
    CAPTURE(n);
    device.Fail("*:" + std::to_string(n));
    CapturedErrors errors;
    CudaOptions options;
    options.precision = Precision::kFp16;
    options.tune = true;
    {
      auto backend = OpenStandinBackend(options);
      if (backend.ok()) static_cast<void>(Session::Create(graph, **backend, {.max_batch = 1}));
    }
    CHECK(device.Mistakes() == "");
    device.Reset();
    CHECK(device.Alive() == "");
  }
}

TEST_CASE("cuda: a photo's row does not depend on its batch, to the bit") {
  COUPLET_NEEDS_STANDIN(device);
  const Graph graph = MobileNet(32);
  const std::vector<float> pixels = Pixels(graph, 40);
  const auto photo = static_cast<size_t>(graph.layers[0].shape.per_image());
  for (const Tolerance& tolerance : kTolerances) {
    CAPTURE(tolerance.name);
    const auto cuda = MakeStandinBackend(tolerance.precision);
    const auto forty = Make(graph, *cuda, {.max_batch = 40}), more = Make(graph, *cuda, {.max_batch = 96});
    auto worker = forty->NewWorker(), other = more->NewWorker();
    REQUIRE((worker.ok() && other.ok()));
    const std::vector<float> want = Run(*forty, **worker, pixels);
    CHECK(Run(*more, **other, pixels) == want);
    for (const int n : {1, 2, 31, 33})
      for (const int first : {0, 7}) {
        const auto part =
            std::span(pixels).subspan(static_cast<size_t>(first) * photo, static_cast<size_t>(n) * photo);
        const auto got = Run(*forty, **worker, part);
        CHECK(std::equal(got.begin(), got.end(), want.begin() + first * forty->output_size()));
      }
    // Sessions made for few photos take them one by one, and agree among themselves.
    const auto one = Make(graph, *cuda, {.max_batch = 1}), few = Make(graph, *cuda, {.max_batch = 31});
    auto worker_one = one->NewWorker(), worker_few = few->NewWorker();
    REQUIRE((worker_one.ok() && worker_few.ok()));
    const auto got = Run(*few, **worker_few, std::span(pixels).first(31 * photo));
    for (const size_t i : {size_t{0}, size_t{13}, size_t{30}}) {
      const auto alone = Run(*one, **worker_one, std::span(pixels).subspan(i * photo, photo));
      CHECK(std::equal(alone.begin(), alone.end(), got.begin() + static_cast<std::ptrdiff_t>(i) * one->output_size()));
    }
  }
}

TEST_CASE("cuda: the same bytes in every order that streams and events allow, recorded or not, two workers") {
  COUPLET_NEEDS_STANDIN(device);
  const Graph graph = SmallGraph();
  for (const Tolerance& tolerance : kTolerances) {
    std::vector<float> want;
    for (const char* order : {"eager", "late", "1", "2", "3", "4", "5", "6", "7", "8"}) {
      CAPTURE(tolerance.name);
      CAPTURE(order);
      device.Order(order);
      const auto cuda = MakeStandinBackend(tolerance.precision);
      const auto session = Make(graph, *cuda, {.max_batch = 3});
      auto a = session->NewWorker(), b = session->NewWorker();
      REQUIRE((a.ok() && b.ok()));
      const Photos photos(3);
      for (int run = 0; run < 4; ++run)
        for (auto* worker : {&a, &b}) {
          std::vector<float> out(static_cast<size_t>(3 * session->output_size()), NAN);
          const Status ran = session->Run(***worker, photos.batch(), out);
          REQUIRE_MESSAGE(ran.ok(), ran.message());
          if (want.empty()) want = out;
          CHECK(out == want);
        }
    }
  }
}

TEST_CASE("cuda: the host never touches device memory itself") {
  COUPLET_NEEDS_STANDIN(device);
  device.Set("guard", "1");
  std::vector<float> out;
  for (const Tolerance& tolerance : kTolerances)
    CHECK(WholeRun(SmallGraph(), tolerance.precision, &out) == "");
}

TEST_CASE("cuda: every call that fails ends in one clear line, and nothing is left behind") {
  COUPLET_NEEDS_STANDIN(device);
  const Graph graph = SmallGraph();
  std::vector<float> want, out;
  REQUIRE(WholeRun(graph, Precision::kFp32, &want) == "");
  device.Reset();
  REQUIRE(WholeRun(graph, Precision::kFp32, &out) == "");
  const long calls = device.Calls("*"), runs = device.Calls("run");
  CHECK(calls > 100);
  CHECK(runs > 20);
  int failed = 0;
  const auto check = [&](const std::string& plan) {
    CAPTURE(plan);
    device.Reset();
    device.Fail(plan);
    CapturedErrors errors;
    const std::string said = WholeRun(graph, Precision::kFp32, &out);
    const std::vector<std::string> lines = errors.Lines();
    CHECK(device.Mistakes() == "");
    device.Reset();
    CHECK(device.Alive() == "");
    // What fails on letting go is logged; where the device itself failed, not for each thing let go of.
    CHECK(lines.size() <= 4);
    for (const std::string& line : lines) CHECK_HAS(line, "couplet: while letting go of the device: ");
    if (said.empty()) {
      CHECK(out == want);  // an error on letting go, or one there was a way around
      return;
    }
    ++failed;
    CHECK(said.find('\n') == std::string::npos);
    CHECK(said.size() > 10);
  };
  for (long n = 1; n <= calls; ++n) check("*:" + std::to_string(n));
  // Where each call's own way to fail is a lack of memory, the code must say so; where it is a fault, all
  // fail.
  for (long n = 1; n <= calls; n += 7) check("*:" + std::to_string(n) + ":oom");
  for (long n = 1; n <= calls; n += 7) check("*:" + std::to_string(n) + ":fault");
  for (long n = 1; n <= runs; ++n) check("run:" + std::to_string(n));
  for (long n = 1; n <= runs; n += 3) check("run:" + std::to_string(n) + ":fault");
  CHECK(failed > calls / 2);
}

TEST_CASE("cuda: where memory does not suffice the code says so") {
  COUPLET_NEEDS_STANDIN(device);
  device.Set("memory_mb", "1");
  const auto cuda = OpenStandinBackend({});
  REQUIRE(cuda.ok());
  const auto session = Session::Create(MobileNet(32), **cuda, {.max_batch = 1});
  const auto bigger = (*cuda)->allocate(size_t{2} << 20);
  REQUIRE_FALSE(bigger.ok());
  CHECK(bigger.status().code() == Code::kOutOfMemory);
  REQUIRE_FALSE(session.ok());
  CHECK(session.status().code() == Code::kOutOfMemory);
  CHECK_HAS(session.status().message(), "layer '");
}

TEST_CASE("cuda: no device, no driver and an old device are told apart") {
  COUPLET_NEEDS_STANDIN(device);
  device.Set("devices", "0");
  CHECK_HAS(OpenStandinBackend({}).status().message(), "no device");
  CHECK(OpenStandinBackend({}).status().code() == Code::kDevice);
  device.Set("driver", "0");
  CHECK_HAS(OpenStandinBackend({}).status().message(), "driver");
  device.Reset();
  device.Set("capability", "7.5");
  const auto cuda = MakeStandinBackend(Precision::kTf32);
  CHECK(cuda->precision() == Precision::kFp32);
  CHECK_HAS(cuda->description(), "fp32 (tf32 needs compute capability 8.0)");
}

TEST_CASE("cuda: a fault that shows late is told with a hint, and with the layer's name where that was asked for") {
  COUPLET_NEEDS_STANDIN(device);
  const Graph graph = SmallGraph();
  std::vector<float> out;
  REQUIRE(WholeRun(graph, Precision::kFp32, &out) == "");
  const long runs = device.Calls("run");
  device.Order("late");
  for (const bool watch : {false, true}) {
    if (watch) setenv("COUPLET_CUDA_WATCH", "1", 1);
    int named = 0, hinted = 0;
    for (long n = 1; n <= runs; ++n) {
      device.Reset(), device.Order("late");
      device.Fail("run:" + std::to_string(n) + ":fault");
      const std::string said = WholeRun(graph, Precision::kFp32, &out);
      named += said.find("layer '") != std::string::npos ? 1 : 0;
      hinted += said.find("COUPLET_CUDA_WATCH=1") != std::string::npos ? 1 : 0;
    }
    CAPTURE(watch);
    CAPTURE(hinted);
    CHECK(named >= 9);  // each layer, at least while it is first run
    CHECK(hinted == (watch ? 0 : runs));
  }
  unsetenv("COUPLET_CUDA_WATCH");
  for (const char* plan : {"cublasLtMatmul:1:fault", "cudnnConvolutionForward:1:fault"}) {  // whose codes don't tell it
    device.Reset(), device.Fail(plan);
    CHECK_HAS(WholeRun(graph, Precision::kFp16, &out), std::string(kLayerUnknown));
  }
  device.Reset();
}

TEST_CASE("cuda: the real MobileNet and Inception agree with the CPU layer by layer") {
  COUPLET_NEEDS_STANDIN(device);
  COUPLET_NEEDS_SHARED(dir);
  const Graph mobilenet = Import(FileContents(dir + "/models/mobilenet_v1_0.25_128/frozen_graph.pb"),
                                 {.input_layer = "input",
                                  .output_layer = "MobilenetV1/Predictions/Reshape",
                                  .input_height = 128,
                                  .input_width = 128,
                                  .photos = false,
                                  .normalization = {}});
  for (const Tolerance& tolerance : kTolerances)
    if (!test::Sanitized() || &tolerance == kTolerances) CheckLayers(mobilenet, tolerance);
  CheckLayers(Import(FileContents(dir + "/models/inception_2015/classify_image_graph_def.pb"),
                     {.input_layer = "Mul",
                      .output_layer = "softmax",
                      .input_height = 299,
                      .input_width = 299,
                      .photos = false,
                      .normalization = {}}),
              kTolerances[0]);
}
