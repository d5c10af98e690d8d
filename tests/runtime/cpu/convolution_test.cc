// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <thread>
#include <utility>

#include "runtime/cpu/dispatch.h"
#include "runtime/cpu/winograd.h"
#include "runtime/cpu/winograd_lines.h"
#include "tests/reference/convolution.h"
#include "tests/runtime/cpu/conv_cases.h"
#include "tests/support/model_layers.h"
#include "tests/support/run_layer.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

// The promises hold for each implementation of this build.
template <class Body>
void EachKernels(const Body& body) {
  for (const CpuKernels kernels : BuiltCpuKernels()) {
    const auto backend = MakeCpuBackend(kernels);
    CAPTURE(backend->description());
    body(*backend);
  }
}

double Activated(double value, Activation activation) {
  if (activation == Activation::kNone) return value;
  value = std::max(value, 0.0);
  return activation == Activation::kRelu6 ? std::min(value, 6.0) : value;
}

// Compares every `stride`-th value with the reference. eps 0: to the bit.
void Compare(const ConvShape& s, const Inputs& in, const std::vector<float>& got, int n, double eps,
             size_t stride = 1, Activation activation = Activation::kNone) {
  const reference::ConvolutionCase c = {s.ih, s.iw, s.ic, s.oc,       s.kh,        s.kw,       s.sh,
                                        s.sw, s.dh, s.dw, s.pads.top, s.pads.left, s.depthwise};
  REQUIRE(got.size() == Count(n, s.oh(), s.ow(), s.oc));
  const size_t oc = static_cast<size_t>(s.oc), ow = static_cast<size_t>(s.ow()),
               oh = static_cast<size_t>(s.oh());
  double low = INFINITY, high = -INFINITY;
  int wrong = 0;
  for (size_t i = 0; i < got.size(); i += stride) {
    const auto at = [&](size_t divisor, size_t size) { return static_cast<int>(i / divisor % size); };
    const reference::Sum sum = reference::ConvolutionAt(c, in.src, in.weights, in.scale, in.bias,
                                                        static_cast<int>(i / (oc * ow * oh)), at(oc * ow, oh),
                                                        at(oc, ow), at(1, oc));
    const double want = Activated(sum.value, activation);
    if (!(std::fabs(static_cast<double>(got[i]) - want) <= eps * sum.magnitude)) ++wrong;
    low = std::min(low, want);
    high = std::max(high, want);
  }
  CAPTURE(s.name);
  CHECK(wrong == 0);
  CHECK(low < high);  // else the comparison says nothing
}

constexpr double kEps = 8.0 / (1 << 24);

// Small shapes around vector widths and tiles, prime sizes and strides, every parity of SAME, one-pixel
// photos.
std::vector<ConvShape> OddShapes() {
  std::vector<ConvShape> shapes;
  for (const int c : {1, 3, 7, 8, 15, 16, 17, 31, 33, 48, 65}) {
    shapes.push_back(Named("1x1 " + std::to_string(c), 5, 7, c, 19, 1, 1, 1, 1, {}));
    shapes.push_back(Named("3x3 to " + std::to_string(c), 7, 5, 3, c, 3, 3, 1, 1, {1, 1, 1, 1}));
    ConvShape depthwise = Named("depthwise " + std::to_string(c), 9, 11, c, c, 3, 3, 1, 1, {1, 1, 1, 1});
    depthwise.depthwise = true;
    shapes.push_back(depthwise);
  }
  for (const int size : {1, 2, 3, 4, 5, 8, 13})
    for (const int stride : {1, 2, 3})
      for (const bool depthwise : {false, true}) {
        ConvShape s = Named("same " + std::to_string(size) + "/" + std::to_string(stride), size, size + 1, 8,
                            8, 3, 3, stride, stride, {});
        s.depthwise = depthwise;
        s.pads = SamePads(s);
        shapes.push_back(s);
      }
  // A network's first layer, and depthwise layers higher than a band.
  for (const int size : {1, 2, 3, 5, 8, 13, 16, 33})
    for (const int c : {5, 8, 12, 16, 24, 32}) {
      ConvShape s = Named("3x3/2 of RGB to " + std::to_string(c), size + 2, size, 3, c, 3, 3, 2, 2, {});
      s.pads = SamePads(s);
      shapes.push_back(s);
    }
  for (const auto& [height, width, c] : {std::array{31, 9, 20}, {6, 5, 512}, {9, 9, 130}})
    for (const int stride : {1, 2}) {
      ConvShape s = Named("high depthwise " + std::to_string(c) + "/" + std::to_string(stride), height, width, c, c, 3, 3, stride, stride, {});
      s.depthwise = true;
      s.pads = SamePads(s);
      shapes.push_back(s);
    }
  // Two columns of 8 channels a vector: an odd one left over, none, and every padding beside them.
  for (int width = 3; width <= 14; ++width)
    for (const Pads& pads : {Pads{.left = 0, .right = 0}, Pads{.left = 1, .right = 0}, Pads{.left = 0, .right = 1}, Pads{.top = 1, .left = 1, .right = 1}}) {
      ConvShape s = Named("depthwise in pairs", 6, width, 8, 8, 3, 3, 1, 1, pads);
      s.depthwise = true;
      shapes.push_back(s);
    }
  shapes.push_back(Named("prime strides", 29, 31, 5, 11, 3, 5, 3, 5, {0, 2, 1, 0}));
  shapes.push_back(Named("1x7", 17, 17, 12, 20, 1, 7, 1, 1, {0, 3, 0, 3}));
  shapes.push_back(Named("7x1", 17, 17, 12, 20, 7, 1, 1, 1, {3, 0, 3, 0}));
  shapes.push_back(Named("5x5", 9, 9, 6, 10, 5, 5, 1, 1, {2, 2, 2, 2}));
  shapes.push_back(Named("1x1 stride 2", 9, 8, 24, 40, 1, 1, 2, 2, {}));
  ConvShape dilated = Named("dilated", 17, 19, 4, 9, 3, 3, 1, 1, {});
  dilated.dh = 2, dilated.dw = 3, dilated.pads = SamePads(dilated);
  shapes.push_back(dilated);
  for (const int multiplier : {2, 3}) {
    ConvShape wide =
        Named("multiplier " + std::to_string(multiplier), 8, 9, 5, 5 * multiplier, 3, 3, 2, 2, {0, 0, 1, 1});
    wide.depthwise = true;
    shapes.push_back(wide);
  }
  return shapes;
}

std::vector<ConvShape> ModelShapes() {
  std::vector<ConvShape> shapes;
  const auto add = [&](std::vector<ConvShape> more) {
    shapes.insert(shapes.end(), more.begin(), more.end());
  };
  add(MobileNetConvs(25, 128));
  add(MobileNetConvs(75, 160));
  add(MobileNetConvs(50, 224));
  add(InceptionConvs());
  return shapes;
}

}  // namespace

TEST_CASE("cpu: convolutions of every odd shape are exact on integers") {
  EachKernels([&](Backend& backend) {
    for (const ConvShape& s : OddShapes()) {
      const Inputs in = IntegerInputs(s, 2);
      Compare(s, in, Run(backend, s, in, 2), 2, 0.0);
    }
  });
}

TEST_CASE("cpu: convolutions of the models' shapes are exact on integers") {
  EachKernels([&](Backend& backend) {
    for (const ConvShape& s : ModelShapes()) {
      const Inputs in = IntegerInputs(s, 1);
      Compare(s, in, Run(backend, s, in, 1), 1, 0.0, Count(s.oh(), s.ow(), s.oc) / 509 + 1);
    }
  });
}

TEST_CASE("cpu: convolutions of real values stay within the bound of their rounding errors") {
  EachKernels([&](Backend& backend) {
    for (const ConvShape& s : OddShapes()) {
      const Inputs in = RealInputs(s, 2);
      Compare(s, in, Run(backend, s, in, 2), 2, kEps);
    }
    for (const ConvShape& s : ModelShapes()) {
      const Inputs in = RealInputs(s, 1);
      Compare(s, in, Run(backend, s, in, 1), 1, kEps, Count(s.oh(), s.ow(), s.oc) / 509 + 1);
    }
  });
}

TEST_CASE("cpu: activations end a convolution, scale and bias may be left out") {
  EachKernels([&](Backend& backend) {
    for (const bool depthwise : {false, true}) {
      ConvShape s = Named("activated", 11, 13, 12, 12, 3, 3, 1, 1, {1, 1, 1, 1});
      s.depthwise = depthwise;
      for (const Activation activation : {Activation::kRelu, Activation::kRelu6}) {
        Inputs in = IntegerInputs(s, 2);
        for (float& x : in.src) x /= 16.0f;  // still exact; without it every sum is beyond 6
        for (float& b : in.bias) b = std::min(b, 4.0f);
        Compare(s, in, Run(backend, s, in, 2, 1, activation), 2, 0.0, 1, activation);
        in.scale.clear();
        in.bias.clear();
        Compare(s, in, Run(backend, s, in, 2, 1, activation), 2, 0.0, 1, activation);
      }
    }
  });
}

TEST_CASE("cpu: a fully connected layer flattens its source and reads weights at any address") {
  EachKernels([&](Backend& backend) {
    for (const int ic : {1, 17, 256, 1024})
      for (const int oc : {1, 6, 1001}) {
        const ConvShape s = Named("fc", 1, 1, ic, oc, 1, 1, 1, 1, {});
        const Inputs in = IntegerInputs(s, 3);
        std::vector<std::byte> odd(in.weights.size() * sizeof(float) + 1);
        std::memcpy(odd.data() + 1, in.weights.data(), in.weights.size() * sizeof(float));
        Layer layer{.name = "fc", .inputs = {0}, .shape = {.n = 1, .h = 1, .w = 1, .c = oc}, .attrs = {}};
        layer.attrs =
            FullyConnectedAttrs{.weights = ConstTensor({ic, oc}, odd.data() + 1, in.weights.size(), nullptr),
                                .scale = in.scale,
                                .bias = in.bias};
        const Shape src = ic == 1024 ? Shape{1, 2, 2, 256} : Shape{1, 1, 1, ic};
        Compare(s, in, RunLayer(layer, {src}, {in.src}, 3, 1, nullptr, &backend), 3, 0.0);
      }
  });
}

TEST_CASE("cpu: NaN in a photo reaches that photo's results and no other's") {
  EachKernels([&](Backend& backend) {
    const ConvShape s = Named("nan", 6, 6, 8, 16, 3, 3, 1, 1, {1, 1, 1, 1});
    Inputs in = RealInputs(s, 3);
    const std::vector<float> clean = Run(backend, s, in, 3);
    in.src[Count(6, 6, 8) + 5] = NAN;
    const std::vector<float> got = Run(backend, s, in, 3);
    const size_t photo = Count(6, 6, 16);
    CHECK(std::isnan(got[photo]));
    CHECK(std::equal(got.begin(), got.begin() + static_cast<long>(photo), clean.begin()));
    CHECK(std::equal(got.begin() + static_cast<long>(2 * photo), got.end(),
                     clean.begin() + static_cast<long>(2 * photo)));
  });
}

TEST_CASE("cpu: a photo's rows are shared out among threads, exact on integers [threads]") {
  EachKernels([&](Backend& backend) {
    for (const ConvShape& s : TallShapes()) {
      const Inputs in = IntegerInputs(s, 2);
      const std::vector<float> shared = Run(backend, s, in, 2, 3);
      Compare(s, in, shared, 2, 0, 13);
      CHECK(Run(backend, s, in, 2, 1) == shared);
    }
  });
}

// The promise behind "one seed, the same bytes": tested on every convolution of the models, real values. The
// library's own threads would break it (8 of them on mixed_3/conv add the products in another order than one
// does).
TEST_CASE("cpu: convolutions give the same bits for any number of threads and any batch [threads]") {
  EachKernels([&](Backend& backend) {
    std::vector<ConvShape> shapes = ModelShapes();
    for (const ConvShape& s : TallShapes()) shapes.push_back(s);
    for (const ConvShape& s : shapes) {
      CAPTURE(s.name);
      const Inputs in = RealInputs(s, 3);
      const std::vector<float> alone = Run(backend, s, in, 1);
      const auto same = [&](const std::vector<float>& other) {
        return std::memcmp(alone.data(), other.data(), alone.size() * sizeof(float)) == 0;
      };
      for (const int threads : {2, 8}) CHECK(same(Run(backend, s, in, 1, threads)));
      CHECK(same(Run(backend, s, in, 3)));
    }
  });
}

TEST_CASE("cpu: a slice of a concatenation gets the dense result's bits, and nothing beside it is touched [threads]") {
  EachKernels([&](Backend& backend) {
    std::vector<ConvShape> shapes = TallShapes();
    shapes.push_back(Named("first", 33, 35, 3, 24, 3, 3, 2, 2, {0, 0, 0, 0}));
    shapes.push_back(Named("odd channels", 9, 8, 5, 19, 1, 1, 1, 1, {}));
    std::vector<std::pair<Layer, Shape>> layers;
    for (const ConvShape& s : shapes) layers.emplace_back(MakeLayer(s, RealInputs(s, 1)), Shape{.n = 1, .h = s.ih, .w = s.iw, .c = s.ic});
    layers.emplace_back(Layer{.name = "pool", .inputs = {0}, .shape = {1, 17, 17, 20},
                              .attrs = PoolAttrs{.kind = PoolAttrs::Kind::kMax, .kh = 3, .kw = 3, .sh = 2, .sw = 2, .pads = {}}},
                        Shape{.n = 1, .h = 35, .w = 35, .c = 20});
    for (const auto& [layer, src] : layers) {
      CAPTURE(layer.name);
      const int n = 2;
      if (!backend.writes_slice(layer, kSliceAt, SliceStride(layer))) continue;
      const std::vector<float> values = Values(5).Reals(static_cast<size_t>(n * src.per_image()));
      const std::vector<float> dense = RunLayer(layer, {src}, {values}, n, 1, nullptr, &backend);
      for (const int threads : {1, 3}) CheckSlice(backend, layer, src, values, dense, n, threads);
    }
  });
  const auto own = MakeCpuBackend(CpuKernels::kOwn);
  CHECK(own->writes_slice(MakeLayer(TallShapes()[0], RealInputs(TallShapes()[0], 1)), 0, 200));
}

// Result `at` of a 3x3 or 5x5 convolution by F(2x2, 3x3), to the bit (winograd.h): every place of a tile by products as below, of a 5x5
// window with one tile after another, those left out whose place of the window is zero.
float PromisedWinograd(const ConvShape& s, const Inputs& in, int y, int x, int o) {
  using Four = std::array<float, 4>;
  using Tile = std::array<Four, 4>;
  const auto both = [](Tile tile, const auto& transform) {
    for (int turn = 0; turn < 2; ++turn) {  // columns first, then rows
      Tile turned;
      for (size_t i = 0; i < 4; ++i) {
        const Four to = transform(Four{tile[0][i], tile[1][i], tile[2][i], tile[3][i]});
        for (size_t k = 0; k < 4; ++k) turned[i][k] = to[k];
      }
      tile = turned;
    }
    return tile;
  };
  const auto spread_window = [](double a, double b, double c, int place) {
    return place == 0 ? a : place == 1 ? (a + b + c) / 2 : place == 2 ? (a - b + c) / 2 : c;
  };
  Tile blocks{}, sums{};
  int products[4][4] = {};
  for (int top = 0; top + 2 < s.kh; top += 2)
    for (int left = 0; left + 2 < s.kw; left += 2)
      for (int i = 0; i < s.ic; ++i) {
        Tile source{};
        double window[3][3] = {}, down[4][3];
        for (int r = 0; r < 4; ++r)
          for (int c = 0; c < 4; ++c) {
            const int sy = y / 2 * 2 - s.pads.top + top + r, sx = x / 2 * 2 - s.pads.left + left + c;
            if (sy >= 0 && sy < s.ih && sx >= 0 && sx < s.iw)
              source[static_cast<size_t>(r)][static_cast<size_t>(c)] = in.src[Count(sy, s.iw, s.ic) + Count(sx, s.ic, 1) + static_cast<size_t>(i)];
            if (r == 3 || c == 3 || (top > 0 && r == 0) || (left > 0 && c == 0)) continue;
            window[r][c] = in.weights[Count((top + r) * s.kw + left + c, s.ic, s.oc) + Count(i, s.oc, 1) + static_cast<size_t>(o)] * in.scale[static_cast<size_t>(o)];
          }
        for (int r = 0; r < 4; ++r)
          for (int c = 0; c < 3; ++c) down[r][c] = spread_window(window[0][c], window[1][c], window[2][c], r);
        source = both(source, [](const Four& d) { return Four{d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]}; });
        for (size_t r = 0; r < 4; ++r)
          for (size_t c = 0; c < 4; ++c) {
            if ((top > 0 && r == 0) || (left > 0 && c == 0)) continue;
            const float weight = static_cast<float>(spread_window(down[r][0], down[r][1], down[r][2], static_cast<int>(c)));
            if (products[r][c]++ % 64 == 0) blocks[r][c] += std::exchange(sums[r][c], 0.0f);
            sums[r][c] = std::fma(source[r][c], weight, sums[r][c]);
          }
      }
  for (size_t r = 0; r < 4; ++r)
    for (size_t c = 0; c < 4; ++c) blocks[r][c] += sums[r][c];
  const Tile results = both(blocks, [](const Four& m) { return Four{m[0] + m[1] + m[2], m[1] - m[2] - m[3], 0, 0}; });
  return results[static_cast<size_t>(y % 2)][static_cast<size_t>(x % 2)] + in.bias[static_cast<size_t>(o)];
}

// The same of windows that are a line, by F(2, 3) along it (winograd_lines.h): each place's products by three taps, of which the first
// is zero but for the window's own.
float PromisedLines(const ConvShape& s, const Inputs& in, int y, int x, int o) {
  const bool column = s.kw == 1;
  const int taps = s.kh * s.kw, at = column ? y : x, pad = column ? s.pads.top : s.pads.left;
  const auto source = [&](int tap, int i) {
    const int along = at / 2 * 2 - pad + tap, sy = column ? along : y - s.pads.top, sx = column ? x - s.pads.left : along;
    if (sy < 0 || sy >= s.ih || sx < 0 || sx >= s.iw) return 0.0f;
    return in.src[Count(sy, s.iw, s.ic) + Count(sx, s.ic, 1) + static_cast<size_t>(i)];
  };
  const auto weight = [&](int tap, int i) {
    return in.weights[Count(tap, s.ic, s.oc) + Count(i, s.oc, 1) + static_cast<size_t>(o)] * in.scale[static_cast<size_t>(o)];
  };
  std::array<float, 4> m{};
  for (int place = 0; place < 4; ++place) {
    float blocks = 0.0f, sum = 0.0f;
    int products = 0;
    const auto add = [&](float value, float with) {
      if (products++ % 64 == 0) blocks += std::exchange(sum, 0.0f);
      sum = std::fma(value, with, sum);
    };
    for (int tap = 0; tap + 1 < taps; tap += 2)
      for (int i = 0; i < s.ic; ++i) {
        const float d[4] = {source(tap, i), source(tap + 1, i), source(tap + 2, i), source(tap + 3, i)};
        const double a = tap == 0 ? weight(tap, i) : 0.0f, b = weight(tap + 1, i), c = weight(tap + 2, i);
        if (place == 0 && tap == 0) add(d[0] - d[2], static_cast<float>(a));
        if (place == 1) add(d[1] + d[2], static_cast<float>((a + b + c) / 2));
        if (place == 2) add(d[2] - d[1], static_cast<float>((a - b + c) / 2));
        if (place == 3) add(d[1] - d[3], static_cast<float>(c));
      }
    m[static_cast<size_t>(place)] = blocks + sum;
  }
  return (at % 2 == 0 ? m[0] + m[1] + m[2] : m[1] - m[2] - m[3]) + in.bias[static_cast<size_t>(o)];
}

cpu::Convolution ConvolutionOf(const ConvShape& s) {
  cpu::Convolution c;
  c.src = {1, s.ih, s.iw, s.ic}, c.dst = {1, s.oh(), s.ow(), s.oc};
  c.kh = s.kh, c.kw = s.kw, c.sh = s.sh, c.sw = s.sw, c.dh = s.dh, c.dw = s.dw;
  c.pads = s.pads;
  c.depthwise = s.depthwise;
  return c;
}

// Result `at` of our own kernels to the bit: depthwise one chain of fused multiply-adds that begins with the bias; else a chain for
// every 64 products, the chains' sum, and the bias.
float Promised(const ConvShape& s, const Inputs& in, size_t at) {
  const int o = static_cast<int>(at) % s.oc, x = static_cast<int>(at) / s.oc % s.ow(), y = static_cast<int>(at) / s.oc / s.ow();
  if (cpu::own::FitsWinograd(ConvolutionOf(s))) return PromisedWinograd(s, in, y, x, o);
  if (cpu::own::FitsWinogradLines(ConvolutionOf(s))) return PromisedLines(s, in, y, x, o);
  const float bias = in.bias[static_cast<size_t>(o)];
  float sum = s.depthwise ? bias : 0.0f, blocks = 0.0f;
  int products = 0;
  for (int ky = 0; ky < s.kh; ++ky)
    for (int kx = 0; kx < s.kw; ++kx)
      for (int i = s.depthwise ? o : 0; i < (s.depthwise ? o + 1 : s.ic); ++i) {
        if (!s.depthwise && products++ % 64 == 0) blocks += std::exchange(sum, 0.0f);
        const int sy = y * s.sh - s.pads.top + ky * s.dh, sx = x * s.sw - s.pads.left + kx * s.dw;
        if (sy < 0 || sy >= s.ih || sx < 0 || sx >= s.iw) continue;
        const size_t tap = static_cast<size_t>(ky * s.kw + kx), channel = static_cast<size_t>(i);
        const size_t weight = s.depthwise ? tap * static_cast<size_t>(s.oc) + channel
                                          : (tap * static_cast<size_t>(s.ic) + channel) * static_cast<size_t>(s.oc) + static_cast<size_t>(o);
        const float scaled = in.weights[weight] * in.scale[static_cast<size_t>(o)];
        sum = std::fma(in.src[Count(sy, s.iw, s.ic) + Count(sx, s.ic, 1) + channel], scaled, sum);
      }
  return s.depthwise ? sum : blocks + sum + bias;
}

// Every height of a tile, with each way in which a tile's sources lie: one after another, rows with padding, a table.
std::vector<ConvShape> TileShapes() {
  std::vector<ConvShape> shapes;
  for (int pixels = 1; pixels <= 13; ++pixels)
    for (const int oc : {8, 40, 60}) {
      shapes.push_back(Named("dense", 1, pixels, 5, oc, 1, 1, 1, 1, {}));
      shapes.push_back(Named("rows", 2, 2 * pixels, 3, oc, 3, 3, 2, 2, {.top = 1, .left = pixels % 2, .bottom = 0, .right = 1 - pixels % 2}));
      shapes.push_back(Named("table", 1, pixels, 9, oc, 1, 3, 1, 1, {.top = 0, .left = 1, .bottom = 0, .right = 1}));
    }
  return shapes;
}

// So that they are equal on every instruction set, whatever its vectors' width.
TEST_CASE("cpu: our own kernels add in the order they promise, on every instruction set of this machine") {
  std::vector<ConvShape> shapes = OddShapes();
  for (const auto& more : {TallShapes(), TileShapes()}) shapes.insert(shapes.end(), more.begin(), more.end());
  for (const cpu::Simd simd : {cpu::Simd::kBaseline, cpu::Simd::kAvx2, cpu::Simd::kAvx512}) {
    cpu::LimitSimd(simd);
    const auto backend = MakeCpuBackend(CpuKernels::kOwn);
    const std::string set = backend->description();
    if (set.ends_with("SSE2") || set.ends_with("SCALAR")) continue;  // no fused multiply-add
    for (const ConvShape& s : shapes) {
      if (s.depthwise && s.oc != s.ic) continue;
      const Inputs in = RealInputs(s, 1);
      const std::vector<float> got = Run(*backend, s, in, 1);
      int wrong = 0;
      for (size_t i = 0; i < got.size(); i += got.size() / 997 + 1) wrong += !(got[i] == Promised(s, in, i));
      INFO(s.name, ", ", s.ow(), " pixels, ", s.oc, " channels, ", set);
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("cpu: a machine with AVX2 only keeps the same promises") {
  // Of ours: "preprocess" and "own kernels add in the order". What changes here is the code that oneDNN generates, so a
  // sanitizer sees nothing new.
  if (BuiltCpuKernels().back() != CpuKernels::kOneDnn) return;
  std::vector<const char*> names = {"cpu: convolutions*exact*", "cpu: convolutions*bits*", "cpu: convolutions*rounding*"};
  if (test::Sanitized()) names.resize(1);
  for (const char* name : names) {
    const ProcessResult result = RunProcess({"/proc/self/exe", std::string("--test-case=") + name},
                                            {"ONEDNN_MAX_CPU_ISA=AVX2", "DNNL_MAX_CPU_ISA=AVX2"}, 300);
    CAPTURE(result.out);
    CHECK(result.code == 0);
    CHECK(result.out.find(" 0 failed") != std::string::npos);
  }
}

TEST_CASE("cpu: workers share a prepared layer [threads]") {
  EachKernels([&](Backend& backend) {
    const ConvShape s = MobileNetConvs(25, 128)[2];
    const Inputs in = RealInputs(s, 1);
    const std::vector<float> want = Run(backend, s, in, 1);
    const Shape src = {.n = 1, .h = s.ih, .w = s.iw, .c = s.ic};
    const auto op = backend.prepare(MakeLayer(s, in), std::span(&src, 1), {});
    REQUIRE(op.ok());
    std::vector<std::vector<float>> got(4, std::vector<float>(want.size()));
    {
      std::vector<std::jthread> threads;
      for (auto& dst : got)
        threads.emplace_back([&] {
          const auto state = (*op)->make_state();
          const auto scratch = backend.allocate((*op)->scratch_bytes());
          COUPLET_CHECK(scratch.ok());
          const void* source = in.src.data();
          for (int i = 0; i < 20; ++i) {
            const Status status = (*op)->run({.src = std::span(&source, 1),
                                              .dst = dst.data(),
                                              .scratch = scratch->data(),
                                              .state = state.get()});
            COUPLET_CHECK(status.ok());
          }
        });
    }
    for (const auto& dst : got) CHECK(std::memcmp(dst.data(), want.data(), want.size() * sizeof(float)) == 0);
  });
}

TEST_CASE("cpu: preparing and running start no threads of their own") {
  EachKernels([&](Backend& backend) {
    const auto tasks = [] {
      return std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                           std::filesystem::directory_iterator());
    };
    const ConvShape s = InceptionConvs()[2];  // enough work for any number of threads
    const Inputs in = RealInputs(s, 1);
    const auto worker = backend.make_worker(8);  // starts all that there will be
    REQUIRE(worker.ok());
    const Shape src = {.n = 1, .h = s.ih, .w = s.iw, .c = s.ic};
    Result<std::unique_ptr<PreparedOp>> op = Internal("not prepared");
    const auto before = tasks();
    long preparing = 0, running = 0;
    // On threads that are new, so that OpenMP's default number of threads holds for them.
    std::jthread([&] {
      op = backend.prepare(MakeLayer(s, in), std::span(&src, 1), {.max_batch = 1, .threads = 8});
      preparing = tasks();
    }).join();
    REQUIRE(op.ok());
    std::jthread([&] {
      const auto state = (*op)->make_state();
      std::vector<float> dst(Count(s.oh(), s.ow(), s.oc));
      const auto scratch = backend.allocate((*op)->scratch_bytes());
      COUPLET_CHECK(scratch.ok());
      const void* source = in.src.data();
      const Status status = (*op)->run(
          {.src = std::span(&source, 1), .dst = dst.data(), .scratch = scratch->data(), .state = state.get(), .worker = worker->get()});
      COUPLET_CHECK(status.ok());
      running = tasks();
    }).join();
    CHECK(preparing == before + 1);
    CHECK(running == before + 1);
  });
}

TEST_CASE("cpu: what does not fit is refused with the layer's name and the shapes") {
  const ConvShape s = Named("tower/conv", 7, 7, 8, 16, 3, 3, 1, 1, {1, 1, 1, 1});
  const Inputs in = IntegerInputs(s, 1);
  const Layer good = MakeLayer(s, in);
  CHECK(Refusal(good, {{1, 7, 7, 8}}).empty());
  CHECK(Refusal(good, {{1, 7, 7, 9}}) ==
        "layer 'tower/conv' (Conv): weights [3,3,8,16] do not fit source 1x7x7x9 and result 1x7x7x16");
  CHECK(Refusal(good, {{1, 8, 7, 8}}) ==
        "layer 'tower/conv' (Conv): kernel, strides and pads do not lead from 1x8x7x8 to 1x7x7x16");
  CHECK(Refusal(good, {}) == "layer 'tower/conv' (Conv) has 0 sources");
  Layer bad = good;
  std::get<ConvAttrs>(bad.attrs).bias.resize(15);
  CHECK(Refusal(bad, {{1, 7, 7, 8}}) ==
        "layer 'tower/conv' (Conv): scale or bias is not one an output channel");
}
