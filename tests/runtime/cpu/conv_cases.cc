// SPDX-License-Identifier: Apache-2.0
#include "tests/runtime/cpu/conv_cases.h"

#include <cstring>

#include "tests/support/run_layer.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

namespace couplet::test {

size_t Count(int64_t a, int64_t b, int64_t c, int64_t d) {
  return static_cast<size_t>(a * b * c * d);
}

Inputs IntegerInputs(const ConvShape& s, int n) {
  Values values(7);
  return {values.Integers(Count(n, s.ih, s.iw, s.ic), -4, 4),
          values.Integers(Count(s.kh, s.kw, s.depthwise ? 1 : s.ic, s.oc), -4, 4),
          values.Integers(static_cast<size_t>(s.oc), 1, 3),
          values.Integers(static_cast<size_t>(s.oc), -50, 50)};
}
Inputs RealInputs(const ConvShape& s, int n) {
  Values values(11);
  Inputs in = {values.Reals(Count(n, s.ih, s.iw, s.ic)),
               values.Reals(Count(s.kh, s.kw, s.depthwise ? 1 : s.ic, s.oc)),
               values.Reals(static_cast<size_t>(s.oc)), values.Reals(static_cast<size_t>(s.oc))};
  // Half to one and a half: where scale all but removes the products, a sum that begins with the bias rounds
  // at the bias's size as often as there are products, and no bound of this kind holds.
  for (float& scale : in.scale) scale = 1.0f + scale / 2.0f;
  return in;
}

namespace {

template <class Attrs>
Attrs AttrsOf(const ConvShape& s, const Inputs& in, int outputs, Activation activation) {
  return {.sh = s.sh, .sw = s.sw, .dh = s.dh, .dw = s.dw, .pads = s.pads, .weights = ConstTensor({s.kh, s.kw, s.ic, outputs}, in.weights),
          .scale = in.scale, .bias = in.bias, .activation = activation};
}

}  // namespace

Layer MakeLayer(const ConvShape& s, const Inputs& in, Activation activation) {
  Layer layer;
  layer.name = s.name;
  layer.inputs = {0};
  layer.shape = {.n = 1, .h = s.oh(), .w = s.ow(), .c = s.oc};
  if (s.depthwise) layer.attrs = AttrsOf<DepthwiseAttrs>(s, in, s.oc / s.ic, activation);
  else layer.attrs = AttrsOf<ConvAttrs>(s, in, s.oc, activation);
  return layer;
}

std::vector<float> Run(Backend& backend, const ConvShape& s, const Inputs& in, int n, int threads,
                       Activation activation) {
  return RunLayer(MakeLayer(s, in, activation), {{.n = 1, .h = s.ih, .w = s.iw, .c = s.ic}}, {in.src}, n,
                  threads, nullptr, &backend);
}

void CheckSlice(Backend& backend, const Layer& layer, const Shape& src, const std::vector<float>& values, const std::vector<float>& dense,
                int n, int threads) {
  const size_t channels = static_cast<size_t>(layer.shape.c), stride = static_cast<size_t>(SliceStride(layer));
  const auto op = backend.prepare(layer, std::span(&src, 1), {.max_batch = n, .threads = threads, .dst_stride = SliceStride(layer)});
  REQUIRE(op.ok());
  auto scratch = backend.allocate((*op)->scratch_bytes());
  const auto worker = backend.make_worker(threads);
  std::vector<float> wide(dense.size() / channels * stride, 0.5f), want = wide;
  for (size_t i = 0; i < dense.size(); ++i) want[i / channels * stride + kSliceAt + i % channels] = dense[i];
  const void* const source = values.data();
  REQUIRE((*op)->run({.n = n, .src = std::span(&source, 1), .dst = wide.data() + kSliceAt, .scratch = scratch->data(), .worker = worker->get()}).ok());
  CHECK(std::memcmp(wide.data(), want.data(), wide.size() * sizeof(float)) == 0);
}

std::vector<ConvShape> TallShapes() {
  std::vector<ConvShape> shapes = {
      Named("1x1", 37, 31, 64, 96, 1, 1, 1, 1, {}),
      Named("3x3 VALID", 43, 41, 32, 48, 3, 3, 1, 1, {}),
      Named("3x3 SAME", 41, 43, 32, 48, 3, 3, 1, 1, {1, 1, 1, 1}),
      Named("3x3/2 SAME of even size", 90, 46, 32, 64, 3, 3, 2, 2, {0, 0, 1, 1}),
      Named("7x1", 33, 17, 64, 64, 7, 1, 1, 1, {3, 0, 3, 0}),
      Named("5x5, pads of their own", 40, 30, 24, 40, 5, 5, 1, 1, {4, 1, 2, 3}),
      Named("stride 3 leaves rows over", 112, 40, 16, 64, 3, 3, 3, 1, {1, 1, 0, 1}),
  };
  // By F(2x2, 3x3): sizes of both parities, pads wider than a window, more channels than a block of products, one panel and several.
  shapes.push_back(Named("tiles, even", 24, 26, 16, 16, 3, 3, 1, 1, {1, 1, 1, 1}));
  shapes.push_back(Named("tiles, pads of their own", 25, 22, 80, 112, 3, 3, 1, 1, {4, 0, 3, 5}));
  shapes.push_back(Named("tiles two by two", 35, 35, 48, 64, 5, 5, 1, 1, {2, 2, 2, 2}));
  shapes.push_back(Named("tiles two by two, pads of their own", 27, 24, 80, 48, 5, 5, 1, 1, {0, 4, 3, 1}));
  shapes.push_back(Named("tiles, 128 channels", 23, 40, 128, 48, 3, 3, 1, 1, {0, 1, 2, 0}));
  // By F(2, 3) along a line: rows and columns, three taps and seven, lengths of both parities, pads of their own.
  shapes.push_back(Named("lines of a row", 21, 17, 48, 80, 1, 7, 1, 1, {0, 3, 0, 3}));
  shapes.push_back(Named("lines of a column, pads of their own", 30, 19, 80, 48, 7, 1, 1, 1, {5, 0, 2, 0}));
  shapes.push_back(Named("lines without pads", 24, 23, 32, 16, 1, 7, 1, 1, {}));
  shapes.push_back(Named("lines of three", 19, 12, 80, 48, 1, 3, 1, 1, {0, 2, 0, 1}));
  shapes.push_back(Named("lines with pads beside them", 18, 15, 32, 32, 1, 3, 1, 1, {1, 1, 2, 1}));
  shapes.push_back(Named("lines of five", 22, 13, 80, 32, 5, 1, 1, 1, {2, 0, 1, 0}));
  shapes.push_back(Named("columns of three", 26, 15, 16, 112, 3, 1, 1, 1, {1, 0, 1, 0}));
  ConvShape dilated = Named("dilated", 45, 45, 32, 32, 3, 3, 1, 1, {3, 3, 3, 3});
  dilated.dh = dilated.dw = 3;
  shapes.push_back(dilated);
  return shapes;
}

}  // namespace couplet::test
