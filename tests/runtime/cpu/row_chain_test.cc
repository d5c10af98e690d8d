// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/row_chain.h"

#include <cmath>
#include <cstring>

#include "kernels/philox.h"
#include "tests/runtime/cpu/conv_cases.h"
#include "tests/support/model_layers.h"
#include "tests/support/run_layer.h"
#include "tests/support/test.h"

using namespace couplet;
using namespace couplet::test;

namespace {

// Convolutions of which each reads the one before it, prepared, and what each makes of the one before it by itself.
struct Convolutions {
  explicit Convolutions(const std::vector<ConvShape>& shapes, int photos) : n(photos) {
    std::vector<float> value;
    for (const ConvShape& s : shapes) {
      const Inputs in = RealInputs(s, n);
      if (value.empty()) value = src = in.src;
      const Layer layer = MakeLayer(s, in, Activation::kRelu6);
      const Shape from = {.n = n, .h = s.ih, .w = s.iw, .c = s.ic};
      auto op = backend->prepare(layer, std::span(&from, 1), {.max_batch = n});
      REQUIRE_MESSAGE(op.ok(), op.status().message());
      per_photo = layer.shape.per_image();
      value = RunOp(**op, per_photo, {value}, n, 1, *backend);
      ops.push_back(*std::move(op));
    }
    want = value;
  }
  bool Equal(const PreparedOp& op) const {
    const std::vector<float> got = RunOp(op, per_photo, {src}, n, 1, *backend);
    return got.size() == want.size() && std::memcmp(got.data(), want.data(), got.size() * sizeof(float)) == 0;
  }
  std::unique_ptr<Backend> backend = MakeCpuBackend(CpuKernels::kOwn);
  int n;
  int64_t per_photo = 0;
  std::vector<float> src, want;
  std::vector<std::unique_ptr<PreparedOp>> ops;
};

ConvShape Same(ConvShape s) {
  s.pads = SamePads(s);
  return s;
}
ConvShape Stem(int h, int w, int c) { return Same(Named("stem", h, w, 3, c, 3, 3, 2, 2, {})); }
ConvShape Depthwise(const ConvShape& before, int stride, bool padded = true) {
  ConvShape s = Named("depthwise", before.oh(), before.ow(), before.oc, before.oc, 3, 3, stride, stride, {});
  s.depthwise = true;
  return padded ? Same(s) : s;
}
ConvShape Pointwise(const ConvShape& before, int c) { return Named("pointwise", before.oh(), before.ow(), before.oc, c, 1, 1, 1, 1, {}); }

}  // namespace

TEST_CASE("row chain: layers done a few rows at a time give the bits that they give one after another") {
  struct Size {
    int h, w;
  };
  for (const Size& size : {Size{37, 29}, {64, 40}, {5, 7}, {98, 8}}) {
    for (uint64_t seed = 1; seed <= 12; ++seed) {
      auto draw = [seed, i = uint32_t{0}](uint32_t below) mutable { return static_cast<int>(Philox(seed, i++, 7, 9).v[0] % below); };
      std::vector<ConvShape> shapes = {Stem(size.h, size.w, 8 * (1 + draw(4)))};
      while (shapes.size() < 2 + seed % 7) {
        const ConvShape& last = shapes.back();
        if (draw(2) == 0) shapes.push_back(Pointwise(last, draw(3) == 0 ? 5 + draw(60) : 8 * (1 + draw(9))));
        else if (last.oc % 8 == 0) shapes.push_back(Depthwise(last, 1 + draw(2), last.oh() < 8 || last.ow() < 8 || draw(4) != 0));
      }
      if (seed % 3 == 0) shapes.erase(shapes.begin());
      if (shapes.size() < 2) continue;
      for (const int rows : {1, 2, 5, 200}) {
        Convolutions of(shapes, 2);
        INFO(size.h, " x ", size.w, ", seed ", seed, ", ", shapes.size(), " layers, rows ", rows);
        CHECK(of.Equal(*cpu::MakeRowChain(of.ops, rows)));
      }
    }
  }
}

TEST_CASE("row chain: layers whose values are large are joined, within the second cache; others are left as they were") {
  const auto mobilenet = [](int width, int size) {
    std::vector<ConvShape> shapes = {Stem(size, size, 32 * width / 100)};
    for (const auto& [stride, channels] : {std::pair{1, 64}, {2, 128}, {1, 128}, {2, 256}}) {
      shapes.push_back(Depthwise(shapes.back(), stride));
      shapes.push_back(Pointwise(shapes.back(), channels * width / 100));
    }
    return shapes;
  };
  Convolutions large(mobilenet(100, 224), 1);
  const Joined joined = cpu::JoinRows(large.ops);
  CHECK(joined.count == 9);
  REQUIRE(joined.op != nullptr);
  for (size_t i = 0; i < large.ops.size(); ++i) CHECK((large.ops[i] == nullptr) == (i < joined.count));
  CHECK(joined.op->scratch_bytes() < 700 << 10);
  std::vector<ConvShape> alone = mobilenet(100, 224);
  alone.resize(joined.count);
  Convolutions same(alone, 2);
  CHECK(same.Equal(*cpu::JoinRows(same.ops).op));

  Convolutions small(mobilenet(25, 128), 1);
  CHECK(cpu::JoinRows(small.ops).op == nullptr);
  for (const auto& op : small.ops) CHECK(op != nullptr);

  // One that sees whole pictures ends a chain, and begins none.
  const ConvShape stem = Stem(224, 224, 32), full = Same(Named("full", 112, 112, 32, 32, 3, 3, 1, 1, {}));
  Convolutions mixed({stem, full, Pointwise(full, 64), Depthwise(Pointwise(full, 64), 2)}, 1);
  CHECK(cpu::JoinRows(mixed.ops).op == nullptr);
  CHECK(cpu::JoinRows(std::span(mixed.ops).subspan(1)).op == nullptr);
  CHECK(cpu::JoinRows(std::span(mixed.ops).subspan(2)).count == 2);

  // So does one that sees the same numbers in another shape.
  const ConvShape wide = Depthwise(Named("as many", 56, 224, 32, 32, 1, 1, 1, 1, {}), 1);
  Convolutions one({stem}, 1), other({wide, Pointwise(wide, 64)}, 1);
  one.ops.push_back(std::move(other.ops[0])), one.ops.push_back(std::move(other.ops[1]));
  CHECK(cpu::JoinRows(one.ops).op == nullptr);
  CHECK(cpu::JoinRows(std::span(one.ops).subspan(1)).count == 2);
}
