// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "runtime/cpu/dispatch.h"
#include "runtime/cpu/int8_convolution.h"
#include "runtime/cpu/int8_kernel.h"
#include "tests/runtime/cpu/conv_cases.h"
#include "tests/support/run_layer.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

struct Grid {
  float step = 0.0f, inverse = 0.0f;
  int zero = 0;
  // In double a product is exact: rounded once.
  int Of(float x) const { return static_cast<int>(std::lrint(double{x} * double{inverse})); }
};
Grid GridAround(const float* values, size_t count, bool weights = false, size_t stride = 1) {
  float most = 0;
  bool negative = false;
  for (size_t i = 0; i < count; ++i) most = std::max(most, std::fabs(values[i * stride])), negative |= values[i * stride] < 0;
  const float steps = weights || negative ? 127.0f : 255.0f;
  return {.step = most / steps, .inverse = most > 0 ? steps / most : 0.0f, .zero = negative && !weights ? 128 : 0};
}

// Rows [first(i), first(i + 1)) for each of `count` groups of about 512 pixels.
struct RowGroups {
  RowGroups(int of_rows, int columns) : rows(of_rows), count(std::clamp(of_rows * columns / 512, 1, of_rows)) {}
  int first(int i) const { return rows * i / count; }
  int of(int row) const {
    int i = 0;
    while (first(i + 1) <= row) ++i;
    return i;
  }
  int rows, count;
};

// What int8_convolution.cc and int8_kernel.h promise of a convolution of one photo, a result at a time.
class Promise {
 public:
  Promise(const ConvShape& s, const Inputs& in) : s_(s), in_(in), groups_(s.ih, s.iw) {
    const size_t oc = static_cast<size_t>(s.oc), ic = static_cast<size_t>(s.ic);
    std::vector<float> folded;
    folded.reserve(in.weights.size());
    for (size_t i = 0; i < in.weights.size(); ++i) folded.push_back(in.scale.empty() ? in.weights[i] : in.weights[i] * in.scale[i % oc]);
    std::vector<float> lost(ic * oc, 0.0f);
    for (size_t o = 0; o < oc; ++o) weight_grids_.push_back(GridAround(folded.data() + o, folded.size() / oc, true, oc));
    for (size_t i = 0; i < folded.size(); ++i) {
      const Grid& grid = weight_grids_[i % oc];
      weights_.push_back(static_cast<int>(std::lrint(folded[i] * grid.inverse)));
      lost[i / oc % ic * oc + i % oc] += folded[i] - static_cast<float>(weights_.back()) * grid.step;
    }
    for (size_t o = 0; o < oc; ++o) lost_grids_.push_back(GridAround(lost.data() + o, ic, true, oc));
    folded_ = folded;
    pointwise_ = s.kh * s.kw * s.sh * s.sw == 1 && s.oh() == s.ih && s.ow() == s.iw;
    if (!pointwise_) AddSource(in.src, lost);
    for (int g = 0; pointwise_ && g < groups_.count; ++g)
      AddSource({in.src.begin() + static_cast<long>(Count(groups_.first(g), s.iw, s.ic)), in.src.begin() + static_cast<long>(Count(groups_.first(g + 1), s.iw, s.ic))}, lost);
  }

  struct Value {
    float promised, uncorrected;
    double exact;
  };
  Value At(size_t i) const {
    const size_t o = i % static_cast<size_t>(s_.oc);
    const int at = static_cast<int>(i / static_cast<size_t>(s_.oc)), x = at % s_.ow(), y = at / s_.ow();
    const Source& source = sources_[pointwise_ ? static_cast<size_t>(groups_.of(y)) : 0];
    int32_t sum = 0;
    double exact = double{Bias(o)};
    for (int ky = 0; ky < s_.kh; ++ky)
      for (int kx = 0; kx < s_.kw; ++kx)
        for (int c = 0; c < s_.ic; ++c) {
          const int sy = y * s_.sh - s_.pads.top + ky * s_.dh, sx = x * s_.sw - s_.pads.left + kx * s_.dw;
          if (sy < 0 || sy >= s_.ih || sx < 0 || sx >= s_.iw) continue;
          const size_t weight = Count((ky * s_.kw + kx) * s_.ic + c, s_.oc, 1) + o;
          const float value = in_.src[Count(sy, s_.iw, s_.ic) + Count(sx, s_.ic, 1) + static_cast<size_t>(c)];
          sum += source.grid.Of(value) * weights_[weight];
          exact += double{value} * double{folded_[weight]};
        }
    const float step = source.grid.step * weight_grids_[o].step, whole = static_cast<float>(sum);
    return {std::fma(whole, step, source.bias[o]), std::fma(whole, step, Bias(o)), exact};
  }

 private:
  struct Source {
    Grid grid;
    std::vector<float> bias;  // with what the mean of the pixels and what the weights lost make of it
  };
  float Bias(size_t o) const { return in_.bias.empty() ? 0.0f : in_.bias[o]; }
  void AddSource(const std::vector<float>& values, const std::vector<float>& lost) {
    const size_t oc = static_cast<size_t>(s_.oc), ic = static_cast<size_t>(s_.ic), pixels = values.size() / ic;
    const Grid grid = GridAround(values.data(), values.size());
    std::vector<int> sums(ic, 0);
    for (size_t i = 0; i < values.size(); ++i) sums[i % ic] += grid.Of(values[i]);
    std::vector<float> mean;
    mean.reserve(ic);
    for (const int sum : sums) mean.push_back(static_cast<float>(sum) * (grid.step / static_cast<float>(pixels)));
    const Grid mean_grid = GridAround(mean.data(), mean.size());
    Source source{.grid = grid, .bias = {}};
    for (size_t o = 0; o < oc; ++o) {
      int32_t sum = 0;
      for (size_t c = 0; c < mean.size(); ++c) sum += mean_grid.Of(mean[c]) * static_cast<int>(std::lrint(lost[c * oc + o] * lost_grids_[o].inverse));
      source.bias.push_back(pixels == 1 ? Bias(o) : std::fma(static_cast<float>(sum), mean_grid.step * lost_grids_[o].step, Bias(o)));
    }
    sources_.push_back(source);
  }

  ConvShape s_;
  Inputs in_;
  RowGroups groups_;
  bool pointwise_ = false;
  std::vector<float> folded_;
  std::vector<int> weights_;
  std::vector<Grid> weight_grids_, lost_grids_;
  std::vector<Source> sources_;
};

// Every height of a tile and width of a panel, both ways in which sources lie, channels that fill no group of four or no vector.
std::vector<ConvShape> Shapes() {
  std::vector<ConvShape> shapes = TallShapes();
  for (int pixels = 2; pixels <= 13; ++pixels)
    for (const int oc : {5, 16, 40, 60}) {
      shapes.push_back(Named("pointwise", 1, pixels, 21, oc, 1, 1, 1, 1, {}));
      shapes.push_back(Named("windows", 1, pixels, 18, oc, 1, 3, 1, 1, {.top = 0, .left = 1, .bottom = 0, .right = 1}));
    }
  shapes.push_back(Named("8 channels", 30, 34, 8, 16, 1, 1, 1, 1, {}));
  shapes.push_back(Named("8 channels, odd", 5, 7, 8, 16, 1, 1, 1, 1, {}));
  shapes.push_back(Named("pointwise of stride 2", 9, 8, 24, 40, 1, 1, 2, 2, {}));
  shapes.push_back(Named("many channels", 7, 7, 512, 130, 1, 1, 1, 1, {}));
  shapes.push_back(Named("a single pixel", 1, 1, 300, 1001, 1, 1, 1, 1, {}));
  return shapes;
}

Inputs WithSign(Inputs in, bool negative) {
  if (!negative)
    for (float& x : in.src) x = std::fabs(x);
  return in;
}

}  // namespace

TEST_CASE("int8: results are what their bytes promise, to the bit, on every instruction set of this machine") {
  for (const cpu::Simd simd : {cpu::Simd::kBaseline, cpu::Simd::kAvx2, cpu::Simd::kAvx512}) {
    cpu::LimitSimd(simd);
    const auto backend = MakeInt8CpuBackend();
    INFO(backend->description(), " ", cpu::Name(simd));
    CHECK(backend->precision() == Precision::kInt8);
    for (const ConvShape& s : Shapes())
      for (const bool negative : {false, true}) {
        const Inputs in = WithSign(RealInputs(s, 1), negative);
        const Promise promise(s, in);
        const std::vector<float> got = Run(*backend, s, in, 1);
        int wrong = 0;
        double squares = 0, corrected = 0, uncorrected = 0;
        for (size_t i = 0; i < got.size(); i += got.size() / 499 + 1) {
          const Promise::Value want = promise.At(i);
          wrong += std::bit_cast<uint32_t>(got[i]) != std::bit_cast<uint32_t>(want.promised);
          squares += want.exact * want.exact;
          corrected += std::pow(double{got[i]} - want.exact, 2);
          uncorrected += std::pow(double{want.uncorrected} - want.exact, 2);
        }
        INFO(s.name, ", ", s.ow(), " pixels, ", s.oc, " channels", negative ? ", negative too" : "");
        CHECK(wrong == 0);
        CHECK(corrected < 0.02 * 0.02 * squares);
        if (!negative && s.pads == Pads{} && got.size() > 2000) CHECK(corrected < 0.8 * uncorrected);
      }
  }
}

TEST_CASE("int8: the same bits for any number of threads, any batch and any slice [threads]") {
  const auto backend = MakeInt8CpuBackend();
  for (const ConvShape& s : TallShapes()) {
    CAPTURE(s.name);
    const int n = 3;
    const Inputs in = RealInputs(s, n);
    const Shape src = {.n = 1, .h = s.ih, .w = s.iw, .c = s.ic};
    const std::vector<float> dense = Run(*backend, s, in, n);
    const size_t photo = Count(s.oh(), s.ow(), s.oc);
    for (int i = 0; i < n; ++i) {
      Inputs one = in;
      one.src.assign(in.src.begin() + static_cast<long>(Count(i, src.per_image(), 1)), in.src.begin() + static_cast<long>(Count(i + 1, src.per_image(), 1)));
      for (const int threads : {1, 2, 8}) {
        const std::vector<float> alone = Run(*backend, s, one, 1, threads);
        CHECK(std::memcmp(alone.data(), dense.data() + static_cast<size_t>(i) * photo, photo * sizeof(float)) == 0);
      }
    }
    const Layer layer = MakeLayer(s, in);
    REQUIRE(backend->writes_slice(layer, kSliceAt, SliceStride(layer)));
    CheckSlice(*backend, layer, src, in.src, dense, n, 3);
  }
}

TEST_CASE("int8: a depthwise layer and the 1x1 behind it are one op, to the bits of both apart, for any threads [threads]") {
  const auto backend = MakeInt8CpuBackend();
  const auto depthwise = [](int h, int w, int c, int stride) {
    ConvShape s = Named("depthwise", h, w, c, c, 3, 3, stride, stride, {1, 1, 1, 1});
    s.depthwise = true;
    if (stride == 2) s.pads = {h % 2, w % 2, 1, 1};
    return s;
  };
  struct Pair {
    int h, w, ic, oc, stride;
  };
  for (const Pair& of : {Pair{64, 30, 16, 40, 1}, {31, 64, 24, 16, 2}, {1, 1, 16, 16, 1}, {5, 4, 130, 70, 1}, {8, 9, 516, 20, 2}}) {
    const int h = of.h, w = of.w, ic = of.ic, oc = of.oc, stride = of.stride;
    const ConvShape first = depthwise(h, w, ic, stride), second = Named("pointwise", first.oh(), first.ow(), ic, oc, 1, 1, 1, 1, {});
    INFO(h, " x ", w, " x ", ic, " to ", oc, ", stride ", stride);
    const int n = 2;
    Inputs in = RealInputs(first, n);
    for (float& x : in.src) x *= 9.0f;
    const Shape src = {.n = n, .h = h, .w = w, .c = ic}, between = {.n = 1, .h = first.oh(), .w = first.ow(), .c = ic};
    struct Case {
      Activation activation;
      bool odd;  // NaN in the middle of the second photo
      cpu::Simd simd;
    };
    for (const Case& one : {Case{Activation::kRelu6, false, cpu::Simd::kBaseline}, {Activation::kRelu, false, cpu::Simd::kAvx512},
                            {Activation::kNone, false, cpu::Simd::kAvx2}, {Activation::kNone, false, cpu::Simd::kAvx512},
                            {Activation::kNone, true, cpu::Simd::kAvx512}}) {
      CAPTURE(one.odd);
      cpu::LimitSimd(one.simd);
      if (one.odd) in.src[in.src.size() * 3 / 4] = NAN;
      const Layer a = MakeLayer(first, in, one.activation), b = MakeLayer(second, RealInputs(second, 1));
      const std::vector<float> apart = RunLayer(b, {between}, {RunLayer(a, {src}, {in.src}, n, 1, nullptr, backend.get())}, n, 1, nullptr, backend.get());
      for (const int threads : {1, 3}) {
        const auto pair = backend->prepare_pair(a, b, std::span(&src, 1), {.max_batch = n, .threads = threads}, {.max_batch = n, .threads = threads});
        REQUIRE(pair.ok());
        REQUIRE(*pair != nullptr);
        const std::vector<float> got = RunOp(**pair, b.shape.per_image(), {in.src}, n, threads, *backend);
        REQUIRE(got.size() == apart.size());
        CHECK(std::memcmp(got.data(), apart.data(), got.size() * sizeof(float)) == 0);
      }
    }
  }
  // Nothing else, and nothing in floats.
  const ConvShape first = depthwise(9, 9, 16, 1);
  const Shape src = {.n = 1, .h = 9, .w = 9, .c = 16};
  const auto none = [&](Backend& of, const ConvShape& one, const ConvShape& other) {
    const auto pair = of.prepare_pair(MakeLayer(one, RealInputs(one, 1)), MakeLayer(other, RealInputs(other, 1)), std::span(&src, 1), {}, {});
    return pair.ok() && *pair == nullptr;
  };
  const ConvShape pointwise = Named("pointwise", 9, 9, 16, 20, 1, 1, 1, 1, {});
  CHECK(none(*MakeCpuBackend(CpuKernels::kOwn), first, pointwise));
  CHECK(none(*backend, pointwise, Named("pointwise", 9, 9, 20, 20, 1, 1, 1, 1, {})));
  CHECK(none(*backend, first, Named("windows", 9, 9, 16, 20, 3, 3, 1, 1, {1, 1, 1, 1})));
  CHECK(none(*backend, first, Named("of stride 2", 9, 9, 16, 20, 1, 1, 2, 2, {})));
}

TEST_CASE("int8: an activation ends a convolution; scale and bias may be left out") {
  const auto backend = MakeInt8CpuBackend();
  const ConvShape s = Named("activated", 11, 13, 20, 20, 3, 3, 1, 1, {1, 1, 1, 1});
  Inputs in = RealInputs(s, 1);
  for (float& x : in.src) x *= 9.0f;
  in.scale.clear(), in.bias.clear();
  const std::vector<float> plain = Run(*backend, s, in, 1);
  for (const Activation activation : {Activation::kRelu, Activation::kRelu6}) {
    const std::vector<float> got = Run(*backend, s, in, 1, 1, activation);
    int low = 0, high = 0, wrong = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      low += plain[i] < 0, high += plain[i] > 6;
      const float want = std::max(0.0f, activation == Activation::kRelu6 ? std::min(plain[i], 6.0f) : plain[i]);
      wrong += got[i] != want;
    }
    CHECK(wrong == 0);
    CHECK((low > 0 && high > 0));
  }
}

TEST_CASE("int8: nothing but zeros gives the bias; what is not finite stays visible in its photo, or its rows, and there alone") {
  for (const cpu::Simd simd : {cpu::Simd::kBaseline, cpu::Simd::kAvx512}) {
    cpu::LimitSimd(simd);
    const auto backend = MakeInt8CpuBackend();
    for (const int k : {1, 3}) {
      const ConvShape s = Named("odd values", 240, 5, 20, 17, k, k, 1, 1, k == 1 ? Pads{} : Pads{1, 1, 1, 1});
      const size_t photo = Count(240, 5, 17), group = photo / 2;
      Inputs in = RealInputs(s, 2);
      const std::vector<float> clean = Run(*backend, s, in, 2, 1, Activation::kRelu6);
      for (const float odd : {NAN, INFINITY, -INFINITY}) {
        Inputs with = in;
        with.src[Count(240, 5, 20) + Count(2, 5, 20) + 7] = odd;  // row 2 of the second photo
        const std::vector<float> got = Run(*backend, s, with, 2, 1, Activation::kRelu6);
        CAPTURE(odd);
        int nans = 0;
        for (const float x : got) nans += std::isnan(x);
        CHECK(nans == static_cast<int>(k == 1 ? group : photo));
        CHECK(std::equal(got.begin(), got.begin() + static_cast<long>(photo), clean.begin()));
        CHECK(std::isnan(got[photo]));
        CHECK(std::isnan(got[photo + group - 1]));
      }
      for (const float nothing : {0.0f, -0.0f, 1e-38f}) {
        std::fill(in.src.begin(), in.src.end(), nothing);
        const std::vector<float> got = Run(*backend, s, in, 2);
        int wrong = 0;
        for (size_t i = 0; i < got.size(); ++i) wrong += got[i] != in.bias[i % 17];
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("int8: bytes for all layers of a network but the first, depthwise ones and those of few channels") {
  const auto fits = [](const ConvShape& s) {
    const ConstTensor weights({s.kh, s.kw, s.depthwise ? 1 : s.ic, s.depthwise ? s.oc / s.ic : s.oc},
                              std::vector<float>(Count(s.kh, s.kw, s.depthwise ? 1 : s.ic, s.oc)));
    return cpu::own::FitsInt8({.layer = s.name, .src = {1, s.ih, s.iw, s.ic}, .dst = {1, s.oh(), s.ow(), s.oc}, .kh = s.kh, .kw = s.kw,
                               .sh = s.sh, .sw = s.sw, .pads = s.pads, .depthwise = s.depthwise, .weights = &weights, .scale = {}, .bias = {}});
  };
  for (const auto& shapes : {MobileNetConvs(25, 128), MobileNetConvs(100, 224), InceptionConvs()})
    for (const ConvShape& s : shapes) {
      CAPTURE(s.name);
      CHECK(fits(s) == (s.ic >= 8 && !s.depthwise));
    }
  // More than 33,155 products of 255 and 127, and half as much for a zero of 128, might leave 31 bits.
  CHECK(fits(Named("deep", 2, 2, 16'512, 1, 1, 2, 1, 1, {0, 0, 0, 1})) == true);
  CHECK(fits(Named("deeper", 2, 2, 16'584, 1, 1, 2, 1, 1, {0, 0, 0, 1})) == false);
}
