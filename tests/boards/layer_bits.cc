// SPDX-License-Identifier: Apache-2.0
#include "tests/boards/layer_bits.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "runtime/backend.h"
#include "tests/support/values.h"

namespace couplet::test {
namespace {

// FNV-1a, 64 bits.
uint64_t Hash(const std::vector<float>& values) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const float value : values) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    for (int byte = 0; byte < 4; ++byte) hash = (hash ^ (bits >> (8 * byte) & 255)) * 0x100000001b3u;
  }
  return hash;
}

class Lines {
 public:
  void Add(Layer layer, const Shape& src, const ImageBatch* images = nullptr) {
    const int n = images != nullptr ? static_cast<int>(images->images.size()) : 2;
    Shape batched = src;
    batched.n = n;
    const std::vector<Shape> shapes(images == nullptr ? 1 : 0, batched);
    layer.inputs.assign(shapes.size(), 0);
    auto op = backend_->prepare(layer, shapes, {.max_batch = n});
    auto worker = backend_->make_worker(1);
    if (!op.ok() || !worker.ok()) std::abort();
    const auto state = (*op)->make_state();
    auto scratch = backend_->allocate((*op)->scratch_bytes() + 64);
    if (!scratch.ok()) std::abort();
    std::vector<float> pixels = values_.Reals(static_cast<size_t>(n * src.per_image()));
    if (behind_relu)
      for (float& pixel : pixels) pixel = std::fabs(pixel);
    std::vector<float> dst(static_cast<size_t>(n * layer.shape.per_image()));
    const std::vector<const void*> sources(shapes.size(), pixels.data());
    if (!(*op)->run({.n = n, .src = sources, .images = images, .dst = dst.data(), .scratch = scratch->data(),
                     .state = state.get(), .worker = worker->get()}).ok())
      std::abort();
    AddLine(layer.name.c_str(), dst);
  }
  template <class Attrs>
  void Convolve(const char* name, const Shape& src, int oc, int kh, int stride, const Pads& pads, int kw = 0) {
    if (kw == 0) kw = kh;
    constexpr bool kDepthwise = std::is_same_v<Attrs, DepthwiseAttrs>;
    Attrs attrs;
    attrs.sh = attrs.sw = stride;
    attrs.pads = pads;
    attrs.weights = ConstTensor({kh, kw, src.c, kDepthwise ? 1 : oc},
                                values_.Reals(static_cast<size_t>(kh) * kw * src.c * (kDepthwise ? 1 : oc)));
    attrs.scale = values_.Reals(oc);
    attrs.bias = values_.Reals(oc);
    attrs.activation = Activation::kRelu6;
    const int oh = (src.h + pads.top + pads.bottom - kh) / stride + 1, ow = (src.w + pads.left + pads.right - kw) / stride + 1;
    Add({.name = name, .inputs = {}, .shape = {.n = 1, .h = oh, .w = ow, .c = oc}, .attrs = attrs}, src);
  }
  void Pool(const char* name, PoolAttrs::Kind kind, const Shape& src, int stride) {
    PoolAttrs attrs{.kind = kind, .kh = 3, .kw = 3, .sh = stride, .sw = stride, .pads = {0, 0, 1, 1}};
    Add({.name = name, .inputs = {}, .shape = {.n = 1, .h = (src.h - 2) / stride + 1, .w = (src.w - 2) / stride + 1, .c = src.c},
         .attrs = attrs}, src);
  }
  void Photos(const char* name, Normalization::Mode mode) {
    const std::vector<uint8_t> bytes = values_.Bytes(33 * 21 * 3);
    const ImageEntry entry{.width = 33, .height = 21, .offset = 0};
    const ImageBatch batch{bytes, {&entry, 1}};
    Add({.name = name, .inputs = {}, .shape = {.n = 1, .h = 17, .w = 17, .c = 3},
         .attrs = PreprocessAttrs{{.mean = 127.5f, .std = 127.5f, .mode = mode}}}, {.n = 1, .h = 17, .w = 17, .c = 3}, &batch);
  }
  // Logits of a head whose classes fill vectors; how few classes are summed depends on a vector's width.
  void Head(const char* name, int features, int classes) {
    const size_t d = static_cast<size_t>(features), c = static_cast<size_t>(classes);
    auto trainer = backend_->make_head_trainer({.features = features, .classes = classes});
    const std::vector<uint32_t> rows = {3, 0, 2, 2, 1, 6, 5};
    const std::vector<float> vectors = values_.Reals(7 * d);
    const std::vector<int32_t> labels(rows.size(), 0);
    std::vector<float> logits(rows.size() * c);
    if (!trainer.ok() || !(*trainer)->set_vectors(vectors).ok() ||
        !(*trainer)->set_params({.weights = values_.Reals(d * c), .biases = values_.Reals(c)}).ok() ||
        !(*trainer)->evaluate(rows, labels, {.logits = logits.data()}).ok())
      std::abort();
    AddLine(name, logits);
  }

  // What comes next is done by it.
  void By(std::unique_ptr<Backend> backend) { backend_ = std::move(backend); }

  std::string text;
  bool behind_relu = false;  // no source is negative

 private:
  void AddLine(const char* name, const std::vector<float>& values) {
    char line[160];
    std::snprintf(line, sizeof line, "%s %016llx %.9g %.9g %.9g\n", name, static_cast<unsigned long long>(Hash(values)),
                  static_cast<double>(values[0]), static_cast<double>(values[values.size() / 2]), static_cast<double>(values.back()));
    text += line;
  }

  std::unique_ptr<Backend> backend_ = MakeCpuBackend(CpuKernels::kOwn);
  Values values_{20261128};
};

}  // namespace

std::string LayerBits() {
  Lines lines;
  lines.Photos("photos_multiply", Normalization::Mode::kMultiply);
  lines.Photos("photos_divide", Normalization::Mode::kDivide);
  lines.Convolve<ConvAttrs>("first", {.n = 1, .h = 17, .w = 15, .c = 3}, 8, 3, 2, {0, 0, 1, 1});
  lines.Convolve<DepthwiseAttrs>("depthwise", {.n = 1, .h = 9, .w = 11, .c = 24}, 24, 3, 1, {1, 1, 1, 1});
  lines.Convolve<DepthwiseAttrs>("depthwise_2", {.n = 1, .h = 10, .w = 8, .c = 13}, 13, 3, 2, {0, 0, 1, 1});
  lines.Convolve<ConvAttrs>("pointwise", {.n = 1, .h = 7, .w = 5, .c = 67}, 41, 1, 1, {});
  lines.Convolve<ConvAttrs>("pointwise_one", {.n = 1, .h = 1, .w = 1, .c = 256}, 1001, 1, 1, {});
  lines.Convolve<ConvAttrs>("valid", {.n = 1, .h = 9, .w = 9, .c = 32}, 48, 3, 2, {});
  lines.Convolve<ConvAttrs>("five", {.n = 1, .h = 8, .w = 8, .c = 16}, 64, 5, 1, {2, 2, 2, 2});
  lines.Convolve<ConvAttrs>("winograd", {.n = 1, .h = 23, .w = 26, .c = 80}, 48, 3, 1, {1, 1, 1, 1});
  lines.Convolve<ConvAttrs>("winograd_five", {.n = 1, .h = 23, .w = 24, .c = 48}, 32, 5, 1, {2, 2, 2, 2});
  lines.Convolve<ConvAttrs>("winograd_row", {.n = 1, .h = 12, .w = 17, .c = 80}, 48, 1, 1, {0, 3, 0, 3}, 7);
  lines.Convolve<ConvAttrs>("winograd_column", {.n = 1, .h = 9, .w = 11, .c = 32}, 80, 3, 1, {1, 0, 1, 0}, 1);
  lines.Pool("max", PoolAttrs::Kind::kMax, {.n = 1, .h = 9, .w = 7, .c = 21}, 2);
  lines.Pool("average", PoolAttrs::Kind::kAverage, {.n = 1, .h = 6, .w = 7, .c = 21}, 1);
  lines.Add({.name = "mean", .inputs = {}, .shape = {.n = 1, .h = 1, .w = 1, .c = 70}, .attrs = GlobalAverageAttrs{}},
            {.n = 1, .h = 7, .w = 7, .c = 70});
  lines.Head("head_of_many", 201, 61);
  lines.By(MakeInt8CpuBackend());
  lines.Convolve<ConvAttrs>("int8_pointwise", {.n = 1, .h = 7, .w = 5, .c = 67}, 41, 1, 1, {});
  lines.Convolve<ConvAttrs>("int8_windows", {.n = 1, .h = 9, .w = 11, .c = 30}, 48, 3, 2, {1, 1, 0, 0});
  lines.behind_relu = true;
  lines.Convolve<ConvAttrs>("int8_pointwise_relu", {.n = 1, .h = 7, .w = 5, .c = 67}, 41, 1, 1, {});
  lines.Convolve<ConvAttrs>("int8_windows_relu", {.n = 1, .h = 9, .w = 11, .c = 30}, 48, 3, 2, {1, 1, 0, 0});
  return lines.text;
}

}  // namespace couplet::test

#ifdef COUPLET_LAYER_BITS_MAIN
int main() { std::fputs(couplet::test::LayerBits().c_str(), stdout); }
#endif
