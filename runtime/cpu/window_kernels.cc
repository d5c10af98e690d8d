// See window_kernels.h. Highway compiles this file once an instruction set (foreach_target.h includes it again).
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/window_kernels.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/cpu/window_kernels.cc"
#include "runtime/cpu/kernel_targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/cpu/clamp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace couplet::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Columns of the result at a time: each source value and weight is loaded once for them. Where there are many channels,
// the columns lie so far apart that those of a long strip would fall on the same few sets of the first cache; with
// stride 2 a longer strip brings nothing.
constexpr int kStrip = 4, kLongStrip = 8;
constexpr int kManyChannels = 128;

// Calls body(c) so that [c, c + lanes) cover all channels; the last vector may overlap the one before, which then
// writes the same values again. REQUIRES: channels >= lanes.
template <class D, class Body>
HWY_INLINE void EachVector(D, size_t channels, const Body& body) {
  constexpr size_t kLanes = hn::MaxLanes(D());
  size_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) body(c);
  if (c < channels) body(channels - kLanes);
}

// T columns of the result from column x on. kLeft, kRight: the first (last) column of the first (last) window lies in
// the padding.
template <class D, int S, int T, bool kLeft, bool kRight>
HWY_NOINLINE void Strip(const Depthwise3x3Row& row, int x) {
  const D d;
  using V = hn::Vec<D>;
  constexpr int kColumns = (T - 1) * S + 3;
  const size_t channels = static_cast<size_t>(row.channels);
  const std::ptrdiff_t first = std::ptrdiff_t{x} * S - row.pad_left;
  const std::ptrdiff_t pixel = row.channels;
  const V low = hn::Set(d, row.clamp.low), high = hn::Set(d, row.clamp.high);
  float* dst = row.dst + static_cast<size_t>(x) * channels;
  EachVector(d, channels, [&](size_t c) HWY_ATTR {
    V sum[T];
    const V bias = hn::LoadU(d, row.bias + c);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) sum[t] = bias;
#pragma GCC unroll 3
    for (int ky = 0; ky < 3; ++ky) {
      if (row.rows[ky] == nullptr) continue;
      const float* src = row.rows[ky] + first * pixel + static_cast<std::ptrdiff_t>(c);
      const float* at = row.weights + static_cast<size_t>(ky) * 3 * channels + c;
      const V w[3] = {hn::LoadU(d, at), hn::LoadU(d, at + channels), hn::LoadU(d, at + 2 * channels)};
#pragma GCC unroll 16
      for (int j = 0; j < kColumns; ++j) {
        if ((kLeft && j == 0) || (kRight && j == kColumns - 1)) continue;
        const V value = hn::LoadU(d, src + j * pixel);
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) {
          const int kx = j - t * S;
          if (kx >= 0 && kx < 3) sum[t] = hn::MulAdd(value, w[kx], sum[t]);
        }
      }
    }
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t)
      hn::StoreU(ClampOrNan(sum[t], low, high), d, dst + static_cast<size_t>(t) * channels + c);
  });
}

template <class D, int S, int T>
HWY_INLINE void StripAt(const Depthwise3x3Row& row, int x) {
  const bool left = x * S < row.pad_left;
  const bool right = (x + T - 1) * S - row.pad_left + 2 >= row.columns;
  if (left && right) return Strip<D, S, T, true, true>(row, x);
  if (left) return Strip<D, S, T, true, false>(row, x);
  if (right) return Strip<D, S, T, false, true>(row, x);
  Strip<D, S, T, false, false>(row, x);
}

template <class D, int S>
void Row(const Depthwise3x3Row& row) {
  int x = 0;
  if constexpr (S == 1 && hn::MaxLanes(D()) > 1)
    for (; row.channels < kManyChannels && row.dst_columns - x >= kLongStrip; x += kLongStrip)
      StripAt<D, S, kLongStrip>(row, x);
  // What is left is dealt evenly: 7 columns as 3 + 4.
  const int first = x, columns = row.dst_columns - x, strips = (columns + kStrip - 1) / kStrip;
  for (int i = 0; i < strips; ++i) {
    x = first + columns * i / strips;
    switch (first + columns * (i + 1) / strips - x) {
      case 1: StripAt<D, S, 1>(row, x); break;
      case 2: StripAt<D, S, 2>(row, x); break;
      case 3: StripAt<D, S, 3>(row, x); break;
      default: StripAt<D, S, kStrip>(row, x); break;
    }
  }
}

template <class D>
void RowOfStride(const Depthwise3x3Row& row) {
  row.stride == 1 ? Row<D, 1>(row) : Row<D, 2>(row);
}

void Depthwise3x3RowImpl(const Depthwise3x3Row& row) {
  using Full = hn::ScalableTag<float>;
  if (static_cast<size_t>(row.channels) >= hn::MaxLanes(Full())) return RowOfStride<Full>(row);
#if HWY_TARGET <= HWY_AVX3
  if (row.channels >= 8) return RowOfStride<hn::CappedTag<float, 8>>(row);
#endif
  RowOfStride<hn::CappedTag<float, 1>>(row);
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

void RunDepthwise3x3Row(const Depthwise3x3Row& row) { COUPLET_DISPATCH(Depthwise3x3RowImpl)(row); }
void RunMaxPool(const PoolPixel& pixel) { COUPLET_DISPATCH(MaxPoolImpl)(pixel); }
void RunAveragePool(const PoolPixel& pixel) { COUPLET_DISPATCH(AveragePoolImpl)(pixel); }

}  // namespace couplet::cpu
#endif  // HWY_ONCE
