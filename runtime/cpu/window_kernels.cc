// See window_kernels.h. Highway compiles this file once an instruction set (foreach_target.h includes it again).
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/window_kernels.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/cpu/window_kernels.cc"
#include "runtime/cpu/kernel_targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace couplet::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Columns of the result at a time: each source value and weight is loaded once for them. Where there are many channels,
// the columns lie so far apart that those of a long strip would fall on the same few sets of the first cache; with
// stride 2 a longer strip brings nothing.
constexpr int kStrip = 4, kLongStrip = 8;
constexpr int kManyChannels = 128;

// Two rows of sums and the window's weights beside them take more than 16 registers.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr bool kTwoRows = true;
#else
constexpr bool kTwoRows = false;
#endif

// Calls body(c) so that [c, c + lanes) cover all channels; the last vector may overlap the one before, which then
// writes the same values again. REQUIRES: channels >= lanes.
template <class D, class Body>
HWY_INLINE void EachVector(D, size_t channels, const Body& body) {
  constexpr size_t kLanes = hn::MaxLanes(D());
  size_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) body(c);
  if (c < channels) body(channels - kLanes);
}

// R rows of the result and T of their columns from column x on. kLeft, kRight: the first (last) column of the first (last)
// window lies in the padding. Two rows share the source rows between them. REQUIRES: R is 1 where S is 2.
template <class D, int S, int R, int T, bool kLeft, bool kRight>
HWY_NOINLINE void Strip(const Depthwise3x3Rows& rows, int x) {
  const D d;
  using V = hn::Vec<D>;
  constexpr int kColumns = (T - 1) * S + 3, kSources = R - 1 + 3;
  const size_t channels = static_cast<size_t>(rows.channels);
  const std::ptrdiff_t first = std::ptrdiff_t{x} * S - rows.pad_left;
  const std::ptrdiff_t pixel = rows.channels;
  const V low = hn::Set(d, rows.clamp.low), high = hn::Set(d, rows.clamp.high);
  float* dst = rows.dst + static_cast<size_t>(x) * channels;
  EachVector(d, channels, [&](size_t c) HWY_ATTR {
    V sum[R][T], w[3][3];
    const V bias = hn::LoadU(d, rows.bias + c);
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) sum[r][t] = bias;
#pragma GCC unroll 4
    for (int y = 0; y < kSources; ++y) {
      if (y < 3) {
        const float* at = rows.weights + static_cast<size_t>(y) * 3 * channels + c;
        w[y][0] = hn::LoadU(d, at), w[y][1] = hn::LoadU(d, at + channels), w[y][2] = hn::LoadU(d, at + 2 * channels);
      }
      if (rows.src[y] == nullptr) continue;
      const float* src = rows.src[y] + first * pixel + static_cast<std::ptrdiff_t>(c);
#pragma GCC unroll 17
      for (int j = 0; j < kColumns; ++j) {
        if ((kLeft && j == 0) || (kRight && j == kColumns - 1)) continue;
        const V value = hn::LoadU(d, src + j * pixel);
#pragma GCC unroll 2
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
          for (int t = 0; t < T; ++t) {
            const int ky = y - r, kx = j - t * S;
            if (ky >= 0 && ky < 3 && kx >= 0 && kx < 3) sum[r][t] = hn::MulAdd(value, w[ky][kx], sum[r][t]);
          }
      }
    }
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t)
        hn::StoreU(hn::Min(high, hn::Max(low, sum[r][t])), d, dst + static_cast<size_t>(r * rows.dst_columns + t) * channels + c);
  });
}

template <class D, int S, int R, int T>
HWY_INLINE void StripAt(const Depthwise3x3Rows& rows, int x) {
  const bool left = x * S < rows.pad_left;
  const bool right = (x + T - 1) * S - rows.pad_left + 2 >= rows.columns;
  if (left && right) return Strip<D, S, R, T, true, true>(rows, x);
  if (left) return Strip<D, S, R, T, true, false>(rows, x);
  if (right) return Strip<D, S, R, T, false, true>(rows, x);
  Strip<D, S, R, T, false, false>(rows, x);
}

template <class D, int S, int R>
void Rows(const Depthwise3x3Rows& rows) {
  int x = 0;
  if constexpr (S == 1 && hn::MaxLanes(D()) > 1)
    for (; rows.channels < kManyChannels && rows.dst_columns - x >= kLongStrip; x += kLongStrip)
      StripAt<D, S, R, kLongStrip>(rows, x);
  // What is left is dealt evenly: 7 columns as 3 + 4.
  const int first = x, columns = rows.dst_columns - x, strips = (columns + kStrip - 1) / kStrip;
  for (int i = 0; i < strips; ++i) {
    x = first + columns * i / strips;
    switch (first + columns * (i + 1) / strips - x) {
      case 1: StripAt<D, S, R, 1>(rows, x); break;
      case 2: StripAt<D, S, R, 2>(rows, x); break;
      case 3: StripAt<D, S, R, 3>(rows, x); break;
      default: StripAt<D, S, R, kStrip>(rows, x); break;
    }
  }
}

template <class D>
void RowsOfStride(Depthwise3x3Rows rows) {
  if (rows.stride == 2) return Rows<D, 2, 1>(rows);
  if constexpr (kTwoRows && hn::MaxLanes(D()) > 1) {
    if (rows.count == 2) return Rows<D, 1, 2>(rows);
  }
  for (int i = 0; i < rows.count; ++i) {
    Rows<D, 1, 1>(rows);
    std::copy_n(rows.src + 1, 3, rows.src);
    rows.dst += static_cast<size_t>(rows.dst_columns) * static_cast<size_t>(rows.channels);
  }
}

void Depthwise3x3RowsImpl(const Depthwise3x3Rows& rows) {
  using Full = hn::ScalableTag<float>;
  if (static_cast<size_t>(rows.channels) >= hn::MaxLanes(Full())) return RowsOfStride<Full>(rows);
#if HWY_TARGET <= HWY_AVX3
  if (rows.channels >= 8) return RowsOfStride<hn::CappedTag<float, 8>>(rows);
#endif
  RowsOfStride<hn::CappedTag<float, 1>>(rows);
}

template <class D, bool kMax>
void Pool(const PoolPixel& pixel) {
  const D d;
  using V = hn::Vec<D>;
  const size_t channels = static_cast<size_t>(pixel.channels);
  const V count = hn::Set(d, static_cast<float>(pixel.h * pixel.w));
  EachVector(d, channels, [&](size_t c) HWY_ATTR {
    const float* row = pixel.src + c;
    V result = kMax ? hn::LoadU(d, row) : hn::Zero(d);
    for (int y = 0; y < pixel.h; ++y, row += pixel.row_stride) {
      const float* at = row;
      for (int x = 0; x < pixel.w; ++x, at += channels) {
        const V value = hn::LoadU(d, at);
        result = kMax ? hn::Max(result, value) : hn::Add(result, value);
      }
    }
    hn::StoreU(kMax ? result : hn::Div(result, count), d, pixel.dst + c);
  });
}

template <bool kMax>
void PoolOfWidth(const PoolPixel& pixel) {
  using Full = hn::ScalableTag<float>;
  if (static_cast<size_t>(pixel.channels) >= hn::MaxLanes(Full())) return Pool<Full, kMax>(pixel);
  Pool<hn::CappedTag<float, 1>, kMax>(pixel);
}
void MaxPoolImpl(const PoolPixel& pixel) { PoolOfWidth<true>(pixel); }
void AveragePoolImpl(const PoolPixel& pixel) { PoolOfWidth<false>(pixel); }

}  // namespace HWY_NAMESPACE
}  // namespace couplet::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "runtime/cpu/dispatch.h"

namespace couplet::cpu {

void RunDepthwise3x3Rows(const Depthwise3x3Rows& rows) { COUPLET_DISPATCH(Depthwise3x3RowsImpl)(rows); }
void RunMaxPool(const PoolPixel& pixel) { COUPLET_DISPATCH(MaxPoolImpl)(pixel); }
void RunAveragePool(const PoolPixel& pixel) { COUPLET_DISPATCH(AveragePoolImpl)(pixel); }

}  // namespace couplet::cpu
#endif  // HWY_ONCE
