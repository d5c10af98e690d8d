// See gemm_kernel.h. Highway compiles this file once an instruction set (foreach_target.h includes it again).
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/gemm_kernel.h"

#include <type_traits>

#include "runtime/cpu/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/cpu/gemm_kernel.cc"
#include "runtime/cpu/kernel_targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/cpu/clamp-inl.h"
#include "runtime/cpu/register_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace couplet::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

constexpr size_t kBlockProducts = 64;

// The first `count` lanes; what lies behind them may be another thread's.
HWY_INLINE void StoreFirst(V value, size_t count, float* dst) {
  const D d;
#if HWY_TARGET <= HWY_AVX2
  hn::BlendedStore(value, hn::FirstN(d, count), d, dst);
#else
  HWY_ALIGN float all[hn::MaxLanes(D())];
  hn::Store(value, d, all);
  for (size_t i = 0; i < count; ++i) dst[i] = all[i];
#endif
}

// g++ 12 does not see that `blocks` is read only after a block was stored (first_block).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

// Asking for what is not needed yet is no access that a sanitizer could see, and each way of it takes g++ as long as the loop itself.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMayAsk = false;
#else
constexpr bool kMayAsk = true;
#endif

// How many bytes of GemmPanel::next_weights are asked for with each product, and which come next. Evenly: many lines at once would
// keep those that are needed now waiting, and asking for one again costs nothing.
struct Ahead {
  const char* next;
  size_t a_product;
};

// This panel's weights are asked for into the first cache (kNear) so many products ahead: a tile takes a line or four of them for
// each, as fast as the second cache gives them, and Intel's own prefetcher comes late. AMD's does not, and asking costs a Zen 3 or 4
// up to 1.5 %. The next panel's (kFar) are asked for into the second.
constexpr size_t kProductsAhead = 8;
constexpr bool kMayAskNear = kMayAsk && hn::MaxLanes(D()) >= 16;

// P pixels by W vectors: the tile of `t` that begins with pixel `first`.
template <int P, int W, bool kFar, bool kNear>
HWY_NOINLINE void Tile(const GemmPanel& t, int first, const Ahead& ahead) {
  const D d;
  constexpr size_t kLanes = hn::MaxLanes(D());
  V sum[P][W];  // of a block of products
#pragma GCC unroll 12
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 12
    for (int w = 0; w < W; ++w) sum[p][w] = hn::Zero(d);
  HWY_ALIGN float blocks[size_t{P} * W * kLanes];  // the sum of those before
  bool first_block = true;
  const auto end_block = [&]() HWY_ATTR {
#pragma GCC unroll 12
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 12
      for (int w = 0; w < W; ++w) {
        float* before = blocks + static_cast<size_t>(p * W + w) * kLanes;
        hn::Store(first_block ? sum[p][w] : hn::Add(hn::Load(d, before), sum[p][w]), d, before);
        sum[p][w] = hn::Zero(d);
      }
    first_block = false;
  };
  const float* HWY_RESTRICT weights = t.weights;
  const char* next = ahead.next;
  const size_t length = static_cast<size_t>(t.length);
  size_t left = kBlockProducts;
  const float* const* table = t.src + (t.pixel_stride == 0 ? static_cast<size_t>(first) * static_cast<size_t>(t.segments) : 0);
  for (int s = 0; s < t.segments; ++s) {
    const float* src[P];
    PointTile(table, t.pixel_stride, first, s, src);
    for (size_t k = 0; k < length;) {
      if (left == 0) end_block(), left = kBlockProducts;
      const size_t end = length - k < left ? length : k + left;
      left -= end - k;
      for (; k < end; ++k, weights += W * kLanes) {
        if constexpr (kFar) __builtin_prefetch(next, 0, 2), next += ahead.a_product;  // into the second cache
        if constexpr (kNear)
#pragma GCC unroll 12
          for (size_t i = 0; i < W * kLanes; i += kLineFloats) __builtin_prefetch(weights + kProductsAhead * W * kLanes + i);
        V b[W];
#pragma GCC unroll 12
        for (int w = 0; w < W; ++w) b[w] = hn::Load(d, weights + w * kLanes);
#pragma GCC unroll 12
        for (int p = 0; p < P; ++p) {
          const V a = hn::Set(d, src[p][k]);
#pragma GCC unroll 12
          for (int w = 0; w < W; ++w) sum[p][w] = hn::MulAdd(a, b[w], sum[p][w]);
        }
      }
    }
  }
  float* dst = t.dst + static_cast<size_t>(first) * t.dst_stride;
  if (t.bias == nullptr) {
#pragma GCC unroll 12
    for (int p = 0; p < P; ++p, dst += t.dst_stride)
#pragma GCC unroll 12
      for (int w = 0; w < W; ++w) {
        const float* before = blocks + static_cast<size_t>(p * W + w) * kLanes;
        hn::StoreU(first_block ? sum[p][w] : hn::Add(hn::Load(d, before), sum[p][w]), d, dst + w * kLanes);
      }
    return;
  }
  // What is read of `t` after a store would be read again each time.
  const V low = hn::Set(d, t.clamp.low), high = hn::Set(d, t.clamp.high);
  const size_t channels = static_cast<size_t>(t.channels), dst_stride = t.dst_stride;
  V bias[W];
#pragma GCC unroll 12
  for (int w = 0; w < W; ++w) bias[w] = hn::LoadU(d, t.bias + w * kLanes);
#pragma GCC unroll 12
  for (int p = 0; p < P; ++p, dst += dst_stride) {
#pragma GCC unroll 12
    for (int w = 0; w < W; ++w) {
      const size_t at = w * kLanes;
      V value = sum[p][w];
      if (!first_block) value = hn::Add(hn::Load(d, blocks + static_cast<size_t>(p * W + w) * kLanes), value);
      value = ClampOrNan(hn::Add(value, bias[w]), low, high);
      if (at + kLanes <= channels) hn::StoreU(value, d, dst + at);
      else StoreFirst(value, channels - at, dst + at);
    }
  }
}

// The tile of `pixels`, at most P.
template <int P, int W, bool kFar, bool kNear>
void TileOf(const GemmPanel& t, int first, int pixels, const Ahead& ahead) {
  if constexpr (P > 1) {
    if (pixels < P) return TileOf<P - 1, W, kFar, kNear>(t, first, pixels, ahead);
  }
  Tile<P, W, kFar, kNear>(t, first, ahead);
}

template <int W, bool kFar, bool kNear>
void PanelAsking(const GemmPanel& t) {
  const Tiles tiles(t.pixels, t.tile);
  const size_t products = static_cast<size_t>(t.segments) * static_cast<size_t>(t.length), bytes = t.next_count * sizeof(float);
  Ahead ahead{.next = reinterpret_cast<const char*>(t.next_weights),
              .a_product = (bytes + static_cast<size_t>(tiles.count) * products - 1) / (static_cast<size_t>(tiles.count) * products)};
  for (int tile = 0, next, first = 0; tile < tiles.count; ++tile, first = next) {
    next = tiles.begin(tile + 1);
    TileOf<kTileRows[W], W, kFar, kNear>(t, first, next - first, ahead);
    ahead.next += ahead.a_product * products;
  }
}

template <int W>
void PanelOfWidth(const GemmPanel& t) {
  if (kMayAskNear && MadeByIntel()) return t.next_count != 0 ? PanelAsking<W, true, kMayAskNear>(t) : PanelAsking<W, false, kMayAskNear>(t);
  kMayAsk && t.next_count != 0 ? PanelAsking<W, kMayAsk, false>(t) : PanelAsking<W, false, false>(t);
}

void PanelImpl(const GemmPanel& t) {
  WithWidth(static_cast<size_t>(t.width) / hn::MaxLanes(D()), [&](auto w) HWY_ATTR { PanelOfWidth<w()>(t); });
}

const char* TargetImpl() { return hwy::TargetName(HWY_TARGET); }

Panels PanelsImpl(int channels) { return DealPanels(channels, static_cast<int>(hn::MaxLanes(D())), kPanelVectors, kTileRows); }

}  // namespace HWY_NAMESPACE
}  // namespace couplet::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace couplet::cpu {

Panels PanelsFor(int channels) { return COUPLET_DISPATCH(PanelsImpl)(channels); }
const char* KernelTarget() { return COUPLET_DISPATCH(TargetImpl)(); }
void RunGemmPanel(const GemmPanel& panel) { COUPLET_DISPATCH(PanelImpl)(panel); }

}  // namespace couplet::cpu
#endif  // HWY_ONCE
