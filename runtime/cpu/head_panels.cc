// See head_panels.h. Highway compiles this file once an instruction set (foreach_target.h includes it again).
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/head_panels.h"

#include <algorithm>
#include <atomic>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/cpu/head_panels.cc"
#include "runtime/cpu/kernel_targets.h"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include "runtime/cpu/register_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace couplet::head {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
namespace tiles = cpu::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

// What a tile's features and a panel's classes are computed from. `slopes` is where the panel begins in the first row's.
struct Step {
  const Batch& batch;
  const float* slopes;
  size_t slope_stride;
  float learning_rate;
};

// F features from `feature` on by W vectors of classes; src and dst [F, W vectors]. The batch's rows are too many streams for the
// hardware to foresee, so a tile asks for the line after its own.
template <int F, int W>
HWY_NOINLINE V UpdateTile(const Step& step, size_t feature, const float* HWY_RESTRICT src, float* HWY_RESTRICT dst, V bad) {
  const D d;
  constexpr size_t kLanes = hn::MaxLanes(D());
  V sum[F][W];
#pragma GCC unroll 12
  for (int f = 0; f < F; ++f)
#pragma GCC unroll 12
    for (int w = 0; w < W; ++w) sum[f][w] = hn::Zero(d);
  const float* slope = step.slopes;
  for (size_t i = 0; i < step.batch.n; ++i, slope += step.slope_stride) {
    const float* x = step.batch.rows[i] + feature;
    hwy::Prefetch(x + kPad);
    V s[W];
#pragma GCC unroll 12
    for (int w = 0; w < W; ++w) s[w] = hn::Load(d, slope + w * kLanes);
#pragma GCC unroll 12
    for (int f = 0; f < F; ++f) {
      const V a = hn::Set(d, x[f]);
#pragma GCC unroll 12
      for (int w = 0; w < W; ++w) sum[f][w] = hn::MulAdd(a, s[w], sum[f][w]);
    }
  }
  const V rate = hn::Set(d, step.learning_rate);
#pragma GCC unroll 12
  for (int f = 0; f < F; ++f) {
#pragma GCC unroll 12
    for (int w = 0; w < W; ++w) {
      const size_t at = static_cast<size_t>(f * W + w) * kLanes;
      const V weight = hn::NegMulAdd(rate, sum[f][w], hn::Load(d, src + at));
      hn::Store(weight, d, dst + at);
      bad = hn::Add(bad, hn::Sub(weight, weight));  // 0, or NaN for good
    }
  }
  return bad;
}

// The tile of `features`, at most F.
template <int F, int W>
V UpdateFeatures(const Step& step, size_t feature, size_t features, const float* src, float* dst, V bad) {
  if constexpr (F > 1) {
    if (features < F) return UpdateFeatures<F - 1, W>(step, feature, features, src, dst, bad);
  }
  return UpdateTile<F, W>(step, feature, src, dst, bad);
}

// The features of tiles [first_tile, end_tile), for all panels. False when an element of dst is not finite.
bool UpdateTilesImpl(const Layout& layout, const Batch& batch, const float* slopes, float learning_rate, const float* src, float* dst,
                     cpu::Tiles features, int first_tile, int end_tile) {
  V bad = hn::Zero(D());
  const cpu::Panels& panels = layout.panels;
  // A tile's features stay in the nearest cache while the panels pass by.
  for (int tile = first_tile; tile < end_tile; ++tile) {
    const size_t begin = static_cast<size_t>(features.begin(tile)), count = static_cast<size_t>(features.begin(tile + 1)) - begin;
    for (int panel = 0; panel < panels.count; ++panel) {
      const size_t first = static_cast<size_t>(panels.first(panel)), width = static_cast<size_t>(panels.width(panel));
      const size_t at = first * layout.features + begin * width;
      const Step step{.batch = batch, .slopes = slopes + first, .slope_stride = Padded(layout.classes), .learning_rate = learning_rate};
      tiles::WithWidth(width / hn::MaxLanes(D()), [&](auto w) HWY_ATTR {
        bad = UpdateFeatures<tiles::kTileRows[w()], w()>(step, begin, count, src + at, dst + at, bad);
      });
    }
  }
  return hn::GetLane(hn::SumOfLanes(D(), bad)) == 0.0f;
}

}  // namespace HWY_NAMESPACE
}  // namespace couplet::head
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "runtime/cpu/dispatch.h"

namespace couplet::head {

// A lane's pieces: enough that lanes end together. The forward pass has few, as each reads its panel's weights anew.
constexpr int kForwardPieces = 2, kUpdatePieces = 4;

void ForwardPanels(const Layout& layout, const Batch& batch, const float* weights, const float* biases, float* logits, cpu::Team& team) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const cpu::Tiles rows(static_cast<int>(batch.n), layout.panels.tile);
  const int panels = layout.panels.count;
  const int cuts = team.lanes() == 1 ? 1 : std::min(rows.count, (kForwardPieces * team.lanes() + panels - 1) / panels);
  team.ForEach(cuts * panels, [&](int /*lane*/, int piece) {
    const int panel = piece % panels, cut = piece / panels;
    const int begin = rows.begin(rows.count * cut / cuts), end = rows.begin(rows.count * (cut + 1) / cuts);
    const int first = layout.panels.first(panel), width = layout.panels.width(panel);
    cpu::RunGemmPanel({.src = batch.rows + begin,
                       .pixels = end - begin,
                       .tile = layout.panels.tile,
                       .segments = 1,
                       .length = static_cast<int>(layout.features),
                       .weights = weights + static_cast<size_t>(first) * layout.features,
                       .bias = biases + first,
                       .width = width,
                       .channels = std::min(width, static_cast<int>(layout.classes) - first),
                       .dst = logits + static_cast<size_t>(begin) * Padded(layout.classes) + first,
                       .dst_stride = Padded(layout.classes),
                       .clamp = {-kInfinity, kInfinity}});
  });
}

bool UpdatePanels(const Layout& layout, const Batch& batch, const float* slopes, float learning_rate, const float* src, float* dst,
                  cpu::Team& team) {
  const cpu::Tiles features(static_cast<int>(layout.features), layout.panels.tile);
  const int cuts = team.lanes() == 1 ? 1 : std::min(features.count, kUpdatePieces * team.lanes());
  std::atomic<bool> finite{true};
  team.ForEach(cuts, [&](int /*lane*/, int cut) {
    if (!COUPLET_DISPATCH(UpdateTilesImpl)(layout, batch, slopes, learning_rate, src, dst, features, features.count * cut / cuts,
                                           features.count * (cut + 1) / cuts))
      finite = false;
  });
  return finite;
}

}  // namespace couplet::head
#endif  // HWY_ONCE
