// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstring>

#include "tests/reference/pool.h"
#include "tests/support/run_layer.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

Layer Named(const char* name, Shape shape, LayerAttrs attrs) {
  return {.name = name, .inputs = {0}, .shape = shape, .attrs = std::move(attrs)};
}

struct PoolShape {
  int ih, iw, c, k, s;
  Pads pads;
};

std::vector<PoolShape> PoolShapes() {
  std::vector<PoolShape> shapes;
  for (const int c : {1, 3, 8, 16, 17, 33, 192}) shapes.push_back({7, 9, c, 3, 2, {0, 0, 0, 0}});
  for (const int size : {1, 2, 5, 8}) shapes.push_back({size, size + 3, 20, 3, 1, {1, 1, 1, 1}});
  shapes.push_back({6, 6, 24, 3, 2, {0, 0, 1, 1}});   // SAME on an even size
  shapes.push_back({4, 4, 256, 4, 2, {0, 0, 0, 0}});  // MobileNet's last: the window is the picture
  shapes.push_back({35, 35, 288, 3, 1, {1, 1, 1, 1}});
  shapes.push_back({17, 17, 768, 3, 2, {0, 0, 0, 0}});
  shapes.push_back({11, 13, 5, 5, 3, {2, 1, 2, 1}});
  return shapes;
}

void CheckPool(Backend& backend, const PoolShape& p, PoolAttrs::Kind kind) {
  const bool average = kind == PoolAttrs::Kind::kAverage;
  CAPTURE(p.ih);
  CAPTURE(p.c);
  CAPTURE(average);
  const int oh = (p.ih + p.pads.top + p.pads.bottom - p.k) / p.s + 1;
  const int ow = (p.iw + p.pads.left + p.pads.right - p.k) / p.s + 1;
  const Shape src_shape = {1, p.ih, p.iw, p.c};
  // All negative: a padding of 0 that wins a maximum shows.
  const std::vector<float> src = Values(3).Integers(static_cast<size_t>(2 * src_shape.per_image()), -40, -1);
  const Layer layer =
      Named("pool", {1, oh, ow, p.c},
            PoolAttrs{.kind = kind, .kh = p.k, .kw = p.k, .sh = p.s, .sw = p.s, .pads = p.pads});
  const std::vector<float> got = RunLayer(layer, {src_shape}, {src}, 2, 1, nullptr, &backend);
  const reference::PoolCase c = {p.ih, p.iw, p.c, p.k, p.k, p.s, p.s, p.pads.top, p.pads.left, average};
  int wrong = 0;
  size_t i = 0;
  for (int n = 0; n < 2; ++n)
    for (int y = 0; y < oh; ++y)
      for (int x = 0; x < ow; ++x)
        for (int channel = 0; channel < p.c; ++channel) {
          // The sum of integers is exact, so only the division rounds.
          const float want = static_cast<float>(reference::PoolAt(c, src, n, y, x, channel).value);
          if (!(got[i++] == want)) ++wrong;
        }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("cpu: pools are exact on integers, padding neither wins nor counts") {
  for (const CpuKernels kernels : BuiltCpuKernels()) {
    const auto backend = MakeCpuBackend(kernels);
    for (const PoolShape& p : PoolShapes()) {
      CheckPool(*backend, p, PoolAttrs::Kind::kMax);
      CheckPool(*backend, p, PoolAttrs::Kind::kAverage);
    }
  }
}

TEST_CASE("cpu: averages of real values stay within the bound of their rounding errors") {
  const Shape src_shape = {1, 8, 8, 2048};
  const std::vector<float> src = Values(4).Reals(static_cast<size_t>(src_shape.per_image()));
  const reference::PoolCase c = {8, 8, 2048, 8, 8, 1, 1, 0, 0, true};
  const std::vector<float> global =
      RunLayer(Named("mean", {1, 1, 1, 2048}, GlobalAverageAttrs{}), {src_shape}, {src});
  const std::vector<float> pooled =
      RunLayer(Named("pool_3", {1, 1, 1, 2048},
                     PoolAttrs{.kind = PoolAttrs::Kind::kAverage, .kh = 8, .kw = 8, .pads = {}}),
               {src_shape}, {src});
  CHECK(std::memcmp(global.data(), pooled.data(), global.size() * sizeof(float)) == 0);
  int wrong = 0;
  for (int channel = 0; channel < 2048; ++channel) {
    const reference::Sum sum = reference::PoolAt(c, src, 0, 0, 0, channel);
    const double error = std::fabs(static_cast<double>(global[static_cast<size_t>(channel)]) - sum.value);
    if (!(error <= 8.0 / (1 << 24) * sum.magnitude)) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("cpu: a pool whose window can lie in the padding alone is refused") {
  for (const Pads& pads : {Pads{.top = 2}, Pads{.left = 2}, Pads{.bottom = 2}, Pads{.right = 2}}) {
    const bool rows = pads.top + pads.bottom != 0;
    const Layer layer = Named("pool", {1, rows ? 4 : 3, rows ? 3 : 4, 8},
                              PoolAttrs{.kh = 2, .kw = 2, .sh = 2, .sw = 2, .pads = pads});
    CHECK(Refusal(layer, {{1, 6, 6, 8}}) == "layer 'pool' (Pool): a window lies in the padding alone");
  }
}

TEST_CASE("cpu: affine multiplies and adds a channel at a time, either may be missing") {
  const std::vector<float> src = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  const Shape shape = {1, 1, 2, 3};
  const auto run = [&](std::vector<float> scale, std::vector<float> offset) {
    return RunLayer(Named("affine", shape, AffineAttrs{std::move(scale), std::move(offset)}), {shape}, {src},
                    2);
  };
  CHECK(run({2, 3, -1}, {10, 0, 1}) == std::vector<float>{12, 6, -2, 18, 15, -5, 24, 24, -8, 30, 33, -11});
  CHECK(run({2, 3, -1}, {}) == std::vector<float>{2, 6, -3, 8, 15, -6, 14, 24, -9, 20, 33, -12});
  CHECK(run({}, {1, 2, 3}) == std::vector<float>{2, 4, 6, 5, 7, 9, 8, 10, 12, 11, 13, 15});
  CHECK(run({}, {}) == src);
  CHECK(Refusal(Named("affine", shape, AffineAttrs{{1, 2}, {}}), {shape}) ==
        "layer 'affine' (Affine): scale or offset is not one a channel");
}

TEST_CASE("cpu: activations clip, and NaN stays NaN") {
  const std::vector<float> src = {-INFINITY, -1, -0.5f, 0, 0.25f, 6, 6.5f, INFINITY, NAN};
  const Shape shape = {1, 1, 1, 9};
  const auto run = [&](Activation activation) {
    std::vector<float> got = RunLayer(Named("act", shape, ActivationAttrs{activation}), {shape}, {src});
    CHECK(std::isnan(got.back()));
    got.pop_back();
    return got;
  };
  CHECK(run(Activation::kRelu) == std::vector<float>{0, 0, 0, 0, 0.25f, 6, 6.5f, INFINITY});
  CHECK(run(Activation::kRelu6) == std::vector<float>{0, 0, 0, 0, 0.25f, 6, 6, 6});
  CHECK(run(Activation::kNone) == std::vector<float>(src.begin(), src.end() - 1));
}

TEST_CASE("cpu: pad surrounds every photo with zeros") {
  const Shape src_shape = {1, 2, 1, 2};
  const std::vector<float> src = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::vector<float> got =
      RunLayer(Named("pad", {1, 4, 3, 2}, PadAttrs{{1, 0, 1, 2}}), {src_shape}, {src}, 2);
  const std::vector<float> zeros(6, 0.0f);
  std::vector<float> want;
  for (const auto& rows : {zeros,
                           {1, 2, 0, 0, 0, 0},
                           {3, 4, 0, 0, 0, 0},
                           zeros,
                           zeros,
                           {5, 6, 0, 0, 0, 0},
                           {7, 8, 0, 0, 0, 0},
                           zeros})
    want.insert(want.end(), rows.begin(), rows.end());
  CHECK(got == want);
}

TEST_CASE("cpu: concat joins along channels, photo by photo") {
  const std::vector<float> a = {1, 2, 3, 4}, b = {10, 20, 30, 40, 50, 60, 70, 80}, c = {-1, -2, -3, -4};
  const Layer layer = Named("join", {1, 1, 2, 4}, ConcatAttrs{});
  CHECK(RunLayer(layer, {{1, 1, 2, 1}, {1, 1, 2, 2}, {1, 1, 2, 1}}, {a, b, c}, 2) ==
        std::vector<float>{1, 10, 20, -1, 2, 30, 40, -2, 3, 50, 60, -3, 4, 70, 80, -4});
  CHECK(Refusal(layer, {{1, 1, 2, 1}, {1, 1, 2, 2}}) ==
        "layer 'join' (Concat): the sources have 3 channels, the result 4");
}

TEST_CASE("cpu: softmax adds up to one, survives large logits and keeps NaN visible") {
  const Shape shape = {1, 1, 1, 4};
  const Layer layer = Named("softmax", shape, SoftmaxAttrs{});
  const std::vector<float> even = RunLayer(layer, {shape}, {{1000, 1000, 1000, 1000, -5, -5, -5, -5}}, 2);
  CHECK(even == std::vector<float>(8, 0.25f));
  const std::vector<float> src = {0.5f, -1.25f, 3.0f, 2.0f};
  const std::vector<float> got = RunLayer(layer, {shape}, {src});
  double sum = 0.0;
  for (const float x : src) sum += std::exp(static_cast<double>(x));
  for (size_t i = 0; i < 4; ++i)
    CHECK(std::fabs(static_cast<double>(got[i]) - std::exp(static_cast<double>(src[i])) / sum) <=
          8.0 / (1 << 24));
  for (const float value : RunLayer(layer, {shape}, {{1, NAN, 2, 3}})) CHECK(std::isnan(value));
}

TEST_CASE("cpu: identity copies") {
  const std::vector<float> src = Values(5).Reals(24);
  CHECK(RunLayer(Named("id", {1, 1, 1, 12}, IdentityAttrs{}), {{1, 2, 2, 3}}, {src}, 2) == src);
}
