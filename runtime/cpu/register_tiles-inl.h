// How many accumulators a tile holds in registers, for kernels that Highway compiles once an instruction set (foreach_target.h).
// SPDX-License-Identifier: Apache-2.0
#if defined(COUPLET_CPU_REGISTER_TILES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef COUPLET_CPU_REGISTER_TILES_INL_H
#undef COUPLET_CPU_REGISTER_TILES_INL_H
#else
#define COUPLET_CPU_REGISTER_TILES_INL_H
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace couplet::cpu {
namespace HWY_NAMESPACE {

// A tile is rows by a panel's vectors. 32 registers hold 6 x 4 accumulators, 4 vectors of the panel and one value; 16 registers
// 6 x 2, 2 and one.
#if COUPLET_MANY_REGISTERS
constexpr int kPanelVectors = 4;
constexpr int kTileRows[] = {0, 12, 12, 8, 6};  // by a panel's vectors
#else
constexpr int kPanelVectors = 2;
constexpr int kTileRows[] = {0, 12, 6};
#endif

// Calls f(integral_constant<width>): a panel's in vectors, or a strip's in columns, W at most.
template <int W = kPanelVectors, class F>
HWY_INLINE void WithWidth(size_t width, const F& f) {
  if constexpr (W > 1) {
    if (width < W) return WithWidth<W - 1>(width, f);
  }
  f(std::integral_constant<int, W>());
}

}  // namespace HWY_NAMESPACE
}  // namespace couplet::cpu
HWY_AFTER_NAMESPACE();

#endif
