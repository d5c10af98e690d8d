// Each kind of layer through the CUDA engine on stand-ins, held against the CPU's.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <functional>

#include "tests/support/model_layers.h"
#include "tests/support/standin_device.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

struct Case {
  Layer layer;
  std::vector<Shape> src;
};

Layer Named(std::string name, Shape shape, LayerAttrs attrs) {
  return {.name = std::move(name), .inputs = {0}, .shape = shape, .attrs = std::move(attrs)};
}

Case Convolution(const ConvShape& s, Activation activation, bool scale, bool bias) {
  Values values(11);
  const auto count = [](int a, int b, int c, int d) { return static_cast<size_t>(a) * b * c * d; };
  // Sums near 1, whatever the window.
  std::vector<float> weights = values.Reals(count(s.kh, s.kw, s.depthwise ? 1 : s.ic, s.oc));
  const float shrink = 1.7f / std::sqrt(static_cast<float>(s.kh * s.kw * (s.depthwise ? 1 : s.ic)));
  for (float& weight : weights) weight *= shrink;
  std::vector<float> scales, biases;
  for (int i = 0; i < s.oc && scale; ++i) scales.push_back(1.0f + values.real() / 2);
  for (int i = 0; i < s.oc && bias; ++i) biases.push_back(values.real());
  const ConstTensor tensor({s.kh, s.kw, s.ic, s.depthwise ? s.oc / s.ic : s.oc}, std::move(weights));
  LayerAttrs attrs;
  if (s.depthwise)
    attrs = DepthwiseAttrs{s.sh, s.sw, s.dh, s.dw, s.pads, tensor, scales, biases, activation};
  else
    attrs = ConvAttrs{s.sh, s.sw, s.dh, s.dw, s.pads, tensor, scales, biases, activation};
  return {Named(s.name, {1, s.oh(), s.ow(), s.oc}, std::move(attrs)), {{1, s.ih, s.iw, s.ic}}};
}

ConvShape Conv(const char* name, int ih, int iw, int ic, int oc, int kh, int kw, int stride, int dilation = 1,
               bool depthwise = false) {
  ConvShape shape;
  shape.name = name;
  shape.ih = ih, shape.iw = iw, shape.ic = ic, shape.oc = oc, shape.kh = kh, shape.kw = kw;
  shape.sh = shape.sw = stride;
  shape.dh = shape.dw = dilation;
  shape.depthwise = depthwise;
  shape.pads = SamePads(shape);
  return shape;
}

std::vector<Case> ConvolutionCases() {
  const ConvShape shapes[] = {Conv("1x1", 7, 7, 24, 40, 1, 1, 1),
                              Conv("1x1, odd channels", 5, 9, 7, 13, 1, 1, 1),
                              Conv("1x1 stride 2", 9, 9, 8, 16, 1, 1, 2),
                              Conv("3x3 odd size, stride 2", 17, 15, 3, 8, 3, 3, 2),
                              Conv("3x3 even size, stride 2", 16, 18, 3, 16, 3, 3, 2),
                              Conv("3x3", 12, 10, 16, 24, 3, 3, 1),
                              Conv("1x7", 9, 17, 12, 8, 1, 7, 1),
                              Conv("7x1", 17, 9, 12, 8, 7, 1, 1),
                              Conv("5x5", 11, 11, 6, 10, 5, 5, 1),
                              Conv("3x3 dilated", 13, 13, 4, 8, 3, 3, 1, 2),
                              Conv("one pixel", 1, 1, 5, 3, 3, 3, 1),
                              Conv("depthwise 3x3", 14, 14, 32, 32, 3, 3, 1, 1, true),
                              Conv("depthwise 3x3 stride 2, even", 14, 14, 16, 16, 3, 3, 2, 1, true),
                              Conv("depthwise 3x3 stride 2, odd", 7, 9, 24, 24, 3, 3, 2, 1, true),
                              Conv("depthwise odd channels", 6, 6, 5, 5, 3, 3, 1, 1, true),
                              Conv("depthwise multiplier 2", 6, 6, 8, 16, 3, 3, 1, 1, true),
                              Conv("depthwise 5x5", 9, 9, 8, 8, 5, 5, 2, 1, true),
                              Conv("depthwise dilated", 9, 9, 8, 8, 3, 3, 1, 2, true)};
  std::vector<Case> cases;
  size_t i = 0;
  for (const ConvShape& shape : shapes) {
    const Activation activations[] = {Activation::kRelu6, Activation::kNone, Activation::kRelu};
    for (size_t k = 0; k < 3; ++k, ++i)
      cases.push_back(Convolution(shape, activations[k], i % 2 == 0, k != 1));
  }
  ConvShape valid = Conv("3x3 VALID", 11, 12, 8, 8, 3, 3, 2);
  valid.pads = {};
  cases.push_back(Convolution(valid, Activation::kRelu, true, true));
  return cases;
}

// All but Input and Identity, for which a session runs nothing.
std::vector<Case> OtherCases() {
  std::vector<Case> cases;
  Values values(5);
  const auto add = [&](const char* name, Shape dst, LayerAttrs attrs, std::vector<Shape> src) {
    cases.push_back({Named(name, dst, std::move(attrs)), std::move(src)});
    for (size_t k = 1; k < cases.back().src.size(); ++k)
      cases.back().layer.inputs.push_back(static_cast<int>(k));
  };
  for (const Activation activation : {Activation::kNone, Activation::kRelu, Activation::kRelu6})
    add("fully connected", {1, 1, 1, 19},
        FullyConnectedAttrs{ConstTensor({33, 19}, values.Reals(33 * 19)), values.Reals(19), values.Reals(19),
                            activation},
        {{1, 1, 1, 33}});
  for (const int c : {1, 8, 13}) {
    const auto n = static_cast<size_t>(c);
    add("affine", {1, 3, 5, c}, AffineAttrs{values.Reals(n), values.Reals(n)}, {{1, 3, 5, c}});
    add("affine without scale", {1, 3, 5, c}, AffineAttrs{{}, values.Reals(n)}, {{1, 3, 5, c}});
    add("affine without offset", {1, 3, 5, c}, AffineAttrs{values.Reals(n), {}}, {{1, 3, 5, c}});
    add("relu", {1, 3, 5, c}, ActivationAttrs{Activation::kRelu}, {{1, 3, 5, c}});
    add("relu6", {1, 3, 5, c}, ActivationAttrs{Activation::kRelu6}, {{1, 3, 5, c}});
    add("pad", {1, 6, 12, c}, PadAttrs{{1, 3, 2, 4}}, {{1, 3, 5, c}});
    add("global average", {1, 1, 1, c}, GlobalAverageAttrs{}, {{1, 7, 7, c}});
    add("softmax", {1, 1, 1, c}, SoftmaxAttrs{}, {{1, 1, 1, c}});
    add("concat", {1, 3, 5, 2 * c + 8}, ConcatAttrs{}, {{1, 3, 5, c}, {1, 3, 5, 8}, {1, 3, 5, c}});
    for (const auto kind : {PoolAttrs::Kind::kMax, PoolAttrs::Kind::kAverage}) {
      add("pool 3x3 SAME", {1, 7, 9, c}, PoolAttrs{kind, 3, 3, 1, 1, {1, 1, 1, 1}}, {{1, 7, 9, c}});
      add("pool 3x3/2 SAME, even", {1, 4, 4, c}, PoolAttrs{kind, 3, 3, 2, 2, {0, 0, 1, 1}}, {{1, 8, 8, c}});
      add("pool 3x3/2 VALID", {1, 3, 4, c}, PoolAttrs{kind, 3, 3, 2, 2, {}}, {{1, 7, 9, c}});
      add("pool of all", {1, 1, 1, c}, PoolAttrs{kind, 8, 8, 1, 1, {}}, {{1, 8, 8, c}});
    }
  }
  add("softmax of many", {1, 1, 1, 1001}, SoftmaxAttrs{}, {{1, 1, 1, 1001}});
  return cases;
}

// What the layer makes of `src` (floats, n photos a source) on the backend.
std::vector<float> RunOn(Backend& backend, const Case& c, const std::vector<std::vector<float>>& src, int n,
                         const ImageBatch* images = nullptr) {
  std::vector<Shape> shapes = c.src;
  for (Shape& shape : shapes) shape.n = n;
  const auto op = backend.prepare(c.layer, shapes, {.max_batch = n});
  REQUIRE_MESSAGE(op.ok(), op.status().message());
  const auto worker = backend.make_worker(1);
  REQUIRE(worker.ok());
  const auto state = (*op)->make_state();
  std::vector<Buffer> sources;
  std::vector<const void*> addresses;
  for (const auto& values : src) {
    auto buffer = backend.allocate(values.size() * backend.element_bytes());
    REQUIRE(buffer.ok());
    REQUIRE(backend.copy_in(buffer->data(), values.data(), values.size(), **worker).ok());
    addresses.push_back(buffer->data());
    sources.push_back(std::move(*buffer));
  }
  const auto count = static_cast<size_t>(n * c.layer.shape.per_image());
  auto dst = backend.allocate(count * backend.element_bytes());
  auto scratch = backend.allocate((*op)->scratch_bytes());
  REQUIRE((dst.ok() && scratch.ok()));
  const Status ran = (*op)->run({.n = n,
                                 .src = addresses,
                                 .images = images,
                                 .dst = dst->data(),
                                 .scratch = scratch->data(),
                                 .state = state.get(),
                                 .worker = worker->get()});
  REQUIRE_MESSAGE(ran.ok(), ran.message());
  std::vector<float> out(count, NAN);
  REQUIRE(backend.copy_out(out.data(), dst->data(), count, **worker).ok());
  const Status waited = backend.wait(**worker);
  REQUIRE_MESSAGE(waited.ok(), waited.message());
  return out;
}

// |got - want| over |want|, or over half a unit a number where the numbers are smaller: what cancels out
// keeps the errors of what it was. Infinite where a value is not finite.
double Error(const std::vector<float>& got, const std::vector<float>& want) {
  if (got.size() != want.size()) return INFINITY;
  double difference = 0, size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    if (!std::isfinite(got[i])) return INFINITY;
    difference += std::pow(double{got[i]} - double{want[i]}, 2);
    size += std::pow(double{want[i]}, 2);
  }
  return std::sqrt(difference / std::max(size, 0.25 * static_cast<double>(want.size())));
}

struct Tolerance {
  Precision precision;
  std::string name;
  double relative_l2;
};
// Rounding of inputs to 11 significant bits moves each product by 2^-11 at most, most sums by far less.
const Tolerance kTolerances[] = {
    {Precision::kFp32, "fp32", 1e-6}, {Precision::kTf32, "tf32", 6e-4}, {Precision::kFp16, "fp16", 1e-3}};

void CheckCase(Backend& cpu, Backend& cuda, const Case& c, const Tolerance& tolerance, int n) {
  INFO(c.layer.name, " ", tolerance.name, " n=", n);
  CAPTURE(c.layer.shape.c);
  std::vector<std::vector<float>> src;
  uint64_t seed = 1;
  for (const Shape& shape : c.src) {
    src.push_back(Values(seed++).Reals(static_cast<size_t>(n * shape.per_image())));
    for (float& value : src.back()) value *= 4;
  }
  const std::vector<float> want = RunOn(cpu, c, src, n), got = RunOn(cuda, c, src, n);
  const double error = Error(got, want);
  CAPTURE(error);
  CHECK_FALSE(!(error <= tolerance.relative_l2));
}

void CheckAll(const std::vector<Case>& cases) {
  const auto cpu = MakeCpuBackend();
  for (const Tolerance& tolerance : kTolerances) {
    const auto cuda = MakeStandinBackend(tolerance.precision);
    for (const Case& c : cases)
      for (const int n : {1, 3}) CheckCase(*cpu, *cuda, c, tolerance, n);
  }
}

}  // namespace

TEST_CASE("cuda: convolutions and depthwise ones agree with the CPU's in each precision") {
  COUPLET_NEEDS_STANDIN(device);
  CheckAll(ConvolutionCases());
}

TEST_CASE("cuda: every other kind of layer agrees with the CPU's in each precision") {
  COUPLET_NEEDS_STANDIN(device);
  CheckAll(OtherCases());
}

// What a race keeps where gathered windows win.
std::string GatheredTuning(const Case& c, int most, size_t workspace_bytes) {
  CudaOptions options;
  options.workspace_bytes = workspace_bytes;
  options.tune = true;
  auto opened = OpenStandinBackend(options);
  REQUIRE(opened.ok());
  Shape shape = c.src[0];
  shape.n = most;
  REQUIRE((*opened)->prepare(c.layer, std::span(&shape, 1), {.max_batch = most}).ok());
  std::string tuning = (*opened)->tuning();
  if (const size_t at = tuning.find("\tcudnn ms"); at != std::string::npos) tuning.replace(at + 1, 5, "gathered");
  return tuning;
}

TEST_CASE("cuda: in fp32 the windows of as many photos are gathered as the workspace holds, and where none's fit cuDNN does it") {
  COUPLET_NEEDS_STANDIN(device);
  const auto cpu = MakeCpuBackend();
  const Case c = Convolution(Conv("3x3", 6, 5, 8, 12, 3, 3, 1), Activation::kRelu6, true, true);
  const int most = 64, few = 37;  // two groups of 32, and a part of the second
  const size_t photo = 30 * 72 * sizeof(float), room_of_one = (photo + 255) / 256 * 256;
  const auto src = Values(1).Reals(most * 240);
  const std::vector<float> want = RunOn(*cpu, c, {src}, most);
  struct Room {
    size_t bytes;
    long products;  // of 64 photos; 0: cuDNN's
  };
  for (const Room& room : {Room{size_t{64} << 20, 2}, Room{32 * photo, 2}, Room{32 * photo - 1, 4}, Room{5 * photo, 16},
                           Room{room_of_one, 64}, Room{room_of_one - 1, 0}}) {
    CAPTURE(room.bytes);
    CudaOptions options;
    options.workspace_bytes = room.bytes;
    options.tuning = GatheredTuning(c, most, room.bytes);
    device.Reset();
    auto opened = OpenStandinBackend(options);
    REQUIRE(opened.ok());
    Backend& cuda = **opened;
    Shape shape = c.src[0];
    shape.n = most;
    const auto op = cuda.prepare(c.layer, std::span(&shape, 1), {.max_batch = most});
    REQUIRE_MESSAGE(op.ok(), op.status().message());
    if (room.products != 0) CHECK((*op)->scratch_bytes() <= room.bytes);
    const auto worker = cuda.make_worker(1);
    const auto from = cuda.allocate(src.size() * sizeof(float)), to = cuda.allocate(want.size() * sizeof(float)),
               scratch = cuda.allocate((*op)->scratch_bytes());
    REQUIRE((worker.ok() && from.ok() && to.ok() && scratch.ok()));
    REQUIRE(cuda.copy_in(from->data(), src.data(), src.size(), **worker).ok());
    const auto run = [&](int n) {
      const void* const source = from->data();
      const Status ran = (*op)->run({.n = n, .src = std::span(&source, 1), .dst = to->data(), .scratch = scratch->data(),
                                     .worker = worker->get()});
      REQUIRE_MESSAGE(ran.ok(), ran.message());
      std::vector<float> out(want.size() / most * static_cast<size_t>(n));
      REQUIRE(cuda.copy_out(out.data(), to->data(), out.size(), **worker).ok());
      REQUIRE(cuda.wait(**worker).ok());
      return out;
    };
    const long before = device.Calls("cublasLtMatmul"), launches = device.Calls("launch");
    const std::vector<float> all = run(most);
    CHECK(device.Calls("cublasLtMatmul") - before == room.products);
    if (room.products != 0) CHECK(device.Calls("launch") - launches == room.products + 1);  // ReLU6 comes once, after all
    CHECK((device.Calls("cudnnConvolutionForward") != 0) == (room.products == 0));
    CHECK_FALSE(!(Error(all, want) <= kTolerances[0].relative_l2));
    const std::vector<float> part = run(few);
    CHECK(std::equal(part.begin(), part.end(), all.begin()));
    device.Reset();
  }
}

TEST_CASE("cuda: photos of any size become the CPU's pixels, to the bit in fp32") {
  COUPLET_NEEDS_STANDIN(device);
  const auto cpu = MakeCpuBackend();
  std::vector<ImageEntry> entries;
  size_t used = 0;
  for (const auto& [width, height] : {std::pair{32, 32}, std::pair{7, 51}, std::pair{100, 33}}) {
    entries.push_back({width, height, used, 0});
    used += static_cast<size_t>(width * height * 3);
  }
  // Only the rows a resize to 32 reads are stored of the last one.
  entries.push_back({40, 1000, used, 32});
  used += 40 * 64 * 3;
  const std::vector<uint8_t> bytes = Values(3).Bytes(used);
  const ImageBatch images = {bytes, entries};
  for (const auto mode : {Normalization::Mode::kMultiply, Normalization::Mode::kDivide}) {
    const Case c = {Named("photos", {1, 32, 32, 3}, PreprocessAttrs{{127.5f, 127.5f, mode}}), {}};
    const std::vector<float> want = RunOn(*cpu, c, {}, 4, &images);
    for (const Tolerance& tolerance : kTolerances) {
      CAPTURE(tolerance.name);
      const auto cuda = MakeStandinBackend(tolerance.precision);
      const std::vector<float> got = RunOn(*cuda, c, {}, 4, &images);
      // A part of the batch, whose bytes begin later.
      const ImageBatch last = {bytes, std::span(entries).subspan(2)};
      const std::vector<float> two = RunOn(*cuda, c, {}, 2, &last);
      CHECK(std::equal(two.begin(), two.end(), got.begin() + 2 * 32 * 32 * 3));
      if (tolerance.precision == Precision::kFp16)
        CHECK_FALSE(!(Error(got, want) <= tolerance.relative_l2));
      else
        CHECK(got == want);
    }
  }
}

TEST_CASE("cuda: a slice of a concatenation gets what the dense result has, and nothing beside it") {
  COUPLET_NEEDS_STANDIN(device);
  for (const Tolerance& tolerance : kTolerances) {
    const auto cuda = MakeStandinBackend(tolerance.precision);
    std::vector<Case> cases = ConvolutionCases();
    for (Case& other : OtherCases()) cases.push_back(std::move(other));
    int sliced = 0;
    for (const Case& c : cases) {
      const int at = 8, stride = c.layer.shape.c + 24;
      if (c.src.size() != 1 || !cuda->writes_slice(c.layer, at, stride)) continue;
      INFO(c.layer.name, " ", tolerance.name);
      ++sliced;
      const int n = 2;
      const auto src = Values(1).Reals(static_cast<size_t>(n * c.src[0].per_image()));
      const std::vector<float> dense = RunOn(*cuda, c, {src}, n);
      // The same with a stride, into zeros.
      const int pixels = n * c.layer.shape.h * c.layer.shape.w;
      const auto wide = static_cast<size_t>(pixels) * static_cast<size_t>(stride);
      Shape shape = c.src[0];
      shape.n = n;
      const auto op = cuda->prepare(c.layer, std::span(&shape, 1), {.max_batch = n, .dst_stride = stride});
      REQUIRE_MESSAGE(op.ok(), op.status().message());
      const auto worker = cuda->make_worker(1);
      auto from = cuda->allocate(src.size() * cuda->element_bytes()),
           to = cuda->allocate(wide * cuda->element_bytes()),
           scratch = cuda->allocate((*op)->scratch_bytes());
      REQUIRE((worker.ok() && from.ok() && to.ok() && scratch.ok()));
      std::vector<float> out(wide, 0.5f);
      REQUIRE(cuda->copy_in(from->data(), src.data(), src.size(), **worker).ok());
      REQUIRE(cuda->copy_in(to->data(), out.data(), wide, **worker).ok());
      const void* const source = from->data();
      REQUIRE((*op)
                  ->run({.n = n,
                         .src = std::span(&source, 1),
                         .dst = to->data() + static_cast<size_t>(at) * cuda->element_bytes(),
                         .scratch = scratch->data(),
                         .worker = worker->get()})
                  .ok());
      REQUIRE(cuda->copy_out(out.data(), to->data(), wide, **worker).ok());
      REQUIRE(cuda->wait(**worker).ok());
      int wrong = 0;
      for (size_t i = 0; i < wide; ++i) {
        const int channel = static_cast<int>(i % static_cast<size_t>(stride)) - at;
        const size_t pixel = i / static_cast<size_t>(stride);
        const bool inside = channel >= 0 && channel < c.layer.shape.c;
        const float want =
            inside ? dense[pixel * static_cast<size_t>(c.layer.shape.c) + static_cast<size_t>(channel)]
                   : 0.5f;
        // In fp16 the dense result may have its bias added before the only rounding, the slice after one.
        const double apart =
            inside && tolerance.precision == Precision::kFp16 ? 0x1p-9 * std::fabs(want) + 0x1p-10 : 0;
        if (!(std::fabs(double{out[i]} - double{want}) <= apart)) ++wrong;
      }
      CHECK(wrong == 0);
    }
    CHECK(sliced > 20);
  }
}

TEST_CASE("cuda: photos' memory is there before a run, whatever their size; one too wide for it gets its own once") {
  COUPLET_NEEDS_STANDIN(device);
  const Case c = {{"photos", {}, {1, 12, 10, 3}, PreprocessAttrs{{127.5f, 127.5f, Normalization::Mode::kMultiply}}}, {}};
  const auto cpu = MakeCpuBackend(), cuda = MakeStandinBackend();
  const auto op = cuda->prepare(c.layer, {}, {.max_batch = 3});
  const auto worker = cuda->make_worker(1);
  REQUIRE((op.ok() && worker.ok()));
  const auto state = (*op)->make_state();
  const auto scratch = cuda->allocate((*op)->scratch_bytes()), dst = cuda->allocate(3 * 360 * sizeof(float));
  REQUIRE((scratch.ok() && dst.ok()));
  const auto allocated = [&] { return device.Calls("cudaMalloc") + device.Calls("cudaMallocHost") + device.Calls("cudaHostAlloc"); };
  const long before = allocated();
  // Small ones, ones that fit, ones that go in parts, and one that alone is more than there is room for; twice.
  const std::vector<std::vector<int>> batches = {{5, 9, 7}, {300, 200, 400}, {900, 900, 900}, {3000, 20, 30}, {3000, 20, 30}};
  REQUIRE((*op)->scratch_bytes() < 3000 * 600 * 3);
  for (size_t i = 0; i < batches.size(); ++i) {
    CAPTURE(i);
    std::vector<ImageEntry> entries;
    size_t used = 0;
    for (const int width : batches[i]) {
      entries.push_back({width, 600, used, 0});
      used += static_cast<size_t>(width) * 600 * 3;
    }
    const std::vector<uint8_t> bytes = Values(8).Bytes(used);
    const ImageBatch images{bytes, entries};
    const Status ran = (*op)->run({.n = 3, .src = {}, .images = &images, .dst = dst->data(), .scratch = scratch->data(),
                                   .state = state.get(), .worker = worker->get()});
    REQUIRE_MESSAGE(ran.ok(), ran.message());
    std::vector<float> got(3 * 360, NAN);
    REQUIRE(cuda->copy_out(got.data(), dst->data(), got.size(), **worker).ok());
    REQUIRE(cuda->wait(**worker).ok());
    CHECK(got == RunOn(*cpu, c, {}, 3, &images));
    CHECK(allocated() == before + (i >= 3 ? 1 : 0));
  }
}
