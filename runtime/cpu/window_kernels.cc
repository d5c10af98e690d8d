// See window_kernels.h. Highway compiles this file once an instruction set (foreach_target.h includes it again).
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/window_kernels.h"

#include <algorithm>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/cpu/window_kernels.cc"
#include "runtime/cpu/kernel_targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/cpu/clamp-inl.h"
#include "runtime/cpu/register_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace couplet::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Columns of the result at a time. 32 registers hold their results of three rows and the nine weights while the source's rows pass
// by, each read once: a row's results begin when the first of its three rows passes and are done with the third. 16 registers hold
// one row's results and weights; then each value is used for more columns, unless there are so many channels that the columns lie
// far apart and those of a long strip would fall on the same few sets of the first cache.
#if COUPLET_MANY_REGISTERS
constexpr bool kManyRegisters = true;
#else
constexpr bool kManyRegisters = false;
#endif
constexpr int kStrip = 4, kLongStrip = kManyRegisters ? kStrip : 8;
constexpr int kManyChannels = 128;
// Whether a band may be of a layer over three channels: elsewhere the general kernel is faster.
constexpr bool kRgbBands = kManyRegisters && hn::MaxLanes(hn::ScalableTag<float>()) >= 16;
constexpr int kMostRgbChannels = 32;
// Over three channels, as many columns as make chains enough of fused multiply-adds: vectors of 8 begin two of them a cycle.
// Lone channels are those of layers with fewer than 8, which MobileNets do not have: one column at a time is less to compile.
template <class D, int kIn>
constexpr int kColumns = hn::MaxLanes(D()) == 1 ? 1 : kIn > 1 && hn::MaxLanes(D()) == 8 ? 8 : kStrip;
// Whether a strip holds the weights of the whole window, for results that see `in` channels each.
constexpr bool HoldsWeights(int in) { return kManyRegisters && in == 1; }

// Calls body(c) so that [c, c + lanes) cover all channels; the last vector may overlap the one before, which then
// writes the same values again. REQUIRES: channels >= lanes.
template <class D, class Body>
HWY_INLINE void EachVector(D, size_t channels, const Body& body) {
  constexpr size_t kLanes = hn::MaxLanes(D());
  size_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) body(c);
  if (c < channels) body(channels - kLanes);
}

// What a row of the source adds to the results of up to three rows: to those that it is the last row of, the middle, the first.
// kIn: 1, the source's channels are the result's; else each result sees all kIn of them. kLeft, kRight: the first (last) column lies
// in the padding. `row` null: all of it does. `held`: the weights, if they are in registers already.
template <int kIn, bool kLast, bool kMiddle, bool kFirst, int S, int T, bool kLeft, bool kRight, class D, class V>
HWY_INLINE void AddRow(D d, const float* row, std::ptrdiff_t first, size_t channels, const V* held, const float* weights, V* last,
                       V* middle, V* fresh) {
  if (row == nullptr) return;
  constexpr int kLastColumn = (T - 1) * S + 2;
  const float* src = row + first;
  V w[9 * kIn];
#pragma GCC unroll 27
  for (int i = 0; i < 9 * kIn; ++i)
    if ((kFirst && i < 3 * kIn) || (kMiddle && i >= 3 * kIn && i < 6 * kIn) || (kLast && i >= 6 * kIn))
      w[i] = HoldsWeights(kIn) ? held[i] : hn::LoadU(d, weights + static_cast<size_t>(i) * channels);
  if constexpr (kIn == 1) {  // each value is loaded once
#pragma GCC unroll 16
    for (int column = kLeft ? 1 : 0; column <= (kRight ? kLastColumn - 1 : kLastColumn); ++column) {
      const V value = hn::LoadU(d, src + static_cast<size_t>(column) * channels);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) {
        const int kx = column - t * S;
        if (kx < 0 || kx > 2) continue;
        if (kLast) last[t] = hn::MulAdd(value, w[6 + kx], last[t]);
        if (kMiddle) middle[t] = hn::MulAdd(value, w[3 + kx], middle[t]);
        if (kFirst) fresh[t] = hn::MulAdd(value, w[kx], fresh[t]);
      }
    }
  } else {  // each product for all columns, whose chains do not wait for each other
    asm("" : "+r"(src));  // lest g++ keep the products' places, row by row the same, in memory
#pragma GCC unroll 9
    for (int i = 0; i < 3 * kIn; ++i) {
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) {
        const int column = t * S + i / kIn;
        if ((kLeft && column == 0) || (kRight && column == kLastColumn)) continue;
        const V value = hn::Set(d, src[t * S * kIn + i]);
        if (kLast) last[t] = hn::MulAdd(value, w[6 * kIn + i], last[t]);
        if (kMiddle) middle[t] = hn::MulAdd(value, w[3 * kIn + i], middle[t]);
        if (kFirst) fresh[t] = hn::MulAdd(value, w[i], fresh[t]);
      }
    }
  }
}

// The channels' values, again for each of a vector's pixels.
template <int kPixels, class D>
HWY_INLINE hn::Vec<D> LoadChannels(D d, const float* values) {
#if HWY_TARGET <= HWY_AVX3
  if constexpr (kPixels == 2) {
    const auto half = hn::LoadU(hn::Half<D>(), values);
    return hn::Combine(d, half, half);
  }
#endif
  return hn::LoadU(d, values);
}

// T vectors of the result from column x on, each of kPixels columns' channels.
template <class D, int kIn, int S, int T, int kPixels, bool kLeft, bool kRight>
HWY_NOINLINE void Strip(const Window3x3Band& band, int x) {
  const D d;
  using V = hn::Vec<D>;
  constexpr int kAcross = S * kPixels;  // columns of the source from one vector's to the next's
  const size_t channels = static_cast<size_t>(band.channels);
  const V low = hn::Set(d, band.clamp.low), high = hn::Set(d, band.clamp.high);
  const hn::RebindToUnsigned<D> bits;
  auto most = hn::Zero(bits);
  EachVector(d, channels * kPixels, [&](size_t c) HWY_ATTR {
    const float* weights = band.weights + c;
    V w[9];
#pragma GCC unroll 9
    for (size_t i = 0; i < 9; ++i)
      if (HoldsWeights(kIn)) w[i] = LoadChannels<kPixels>(d, weights + i * channels);
    // Depthwise sums begin with the bias, the others end with it, as gemm_kernel.h's do.
    const V bias = LoadChannels<kPixels>(d, band.bias + c);
    const std::ptrdiff_t column = std::ptrdiff_t{x} * S - band.pad_left;
    const std::ptrdiff_t first = kIn == 1 ? column * band.channels + static_cast<std::ptrdiff_t>(c) : column * kIn;
    const float* const* rows = band.rows;
    const std::ptrdiff_t count = band.dst_rows;
    float* dst = band.dst + static_cast<size_t>(x) * channels + c;
    const auto begin = [&](V* sums) HWY_ATTR {
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) sums[t] = kIn == 1 ? bias : hn::Zero(d);
    };
    auto greatest = hn::Zero(bits);
    const auto end = [&](const V* sums) HWY_ATTR {
      auto now = greatest;  // g++ keeps in memory what a lambda captures and changes
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) {
        const V result = ClampOrNan(kIn == 1 ? sums[t] : hn::Add(sums[t], bias), low, high);
        if constexpr (kIn == 1) now = hn::Max(now, hn::BitCast(bits, result));
        hn::StoreU(result, d, dst + static_cast<size_t>(t * kPixels) * channels);
      }
      greatest = now;
      dst += static_cast<size_t>(band.dst_columns) * channels;
    };
    const auto move = [&](V* to, const V* from) HWY_ATTR {
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) to[t] = from[t];
    };
    V a[T], b[T], fresh[T];
    begin(a);
    AddRow<kIn, false, false, true, kAcross, T, kLeft, kRight>(d, rows[0], first, channels, w, weights, a, a, a);
    if constexpr (!kManyRegisters) {  // a band is one row
      AddRow<kIn, false, true, false, kAcross, T, kLeft, kRight>(d, rows[1], first, channels, w, weights, a, a, a);
    } else if constexpr (S == 1) {
      if (count == 1) {
        AddRow<kIn, false, true, false, kAcross, T, kLeft, kRight>(d, rows[1], first, channels, w, weights, a, a, a);
      } else {
        begin(b);
        AddRow<kIn, false, true, true, kAcross, T, kLeft, kRight>(d, rows[1], first, channels, w, weights, a, a, b);
        for (std::ptrdiff_t r = 2; r < count; ++r) {
          begin(fresh);
          AddRow<kIn, true, true, true, kAcross, T, kLeft, kRight>(d, rows[r], first, channels, w, weights, a, b, fresh);
          end(a);
          move(a, b);
          move(b, fresh);
        }
        AddRow<kIn, true, true, false, kAcross, T, kLeft, kRight>(d, rows[count], first, channels, w, weights, a, b, b);
        end(a);
        move(a, b);
      }
    } else {
      for (std::ptrdiff_t y = 1; y < count; ++y) {
        AddRow<kIn, false, true, false, kAcross, T, kLeft, kRight>(d, rows[2 * y - 1], first, channels, w, weights, a, a, a);
        begin(fresh);
        AddRow<kIn, true, false, true, kAcross, T, kLeft, kRight>(d, rows[2 * y], first, channels, w, weights, a, a, fresh);
        end(a);
        move(a, fresh);
      }
      AddRow<kIn, false, true, false, kAcross, T, kLeft, kRight>(d, rows[2 * count - 1], first, channels, w, weights, a, a, a);
    }
    AddRow<kIn, true, false, false, kAcross, T, kLeft, kRight>(d, rows[kManyRegisters ? (count - 1) * S + 2 : 2], first, channels, w, weights, a, a, a);
    end(a);
    if constexpr (kIn == 1) most = hn::Max(most, greatest);
  });
  if (kIn == 1 && band.most != nullptr) hn::StoreU(hn::Max(most, hn::LoadU(bits, band.most)), bits, band.most);
}

template <class D, int kIn, int S, int T, int kPixels = 1>
HWY_INLINE void StripAt(const Window3x3Band& band, int x) {
  if constexpr (kPixels > 1) return Strip<D, kIn, S, T, kPixels, false, false>(band, x);
  const bool left = x * S < band.pad_left;
  const bool right = (x + T - 1) * S - band.pad_left + 2 >= band.columns;
  if (left && right) return Strip<D, kIn, S, T, 1, true, true>(band, x);
  if (left) return Strip<D, kIn, S, T, 1, true, false>(band, x);
  if (right) return Strip<D, kIn, S, T, 1, false, true>(band, x);
  Strip<D, kIn, S, T, 1, false, false>(band, x);
}

// Columns [x, end) of the result.
template <class D, int kIn, int S, int kPixels = 1>
void Strips(const Window3x3Band& band, int x, int end) {
  if constexpr (S == 1 && kLongStrip > kStrip && hn::MaxLanes(D()) > 1)
    for (; band.channels < kManyChannels && end - x >= kLongStrip; x += kLongStrip) StripAt<D, kIn, S, kLongStrip>(band, x);
  // What is left is dealt evenly: 7 columns as 3 + 4.
  constexpr int kMost = kColumns<D, kIn>;
  const int first = x, vectors = (end - x) / kPixels, strips = (vectors + kMost - 1) / kMost;
  for (int i = 0; i < strips; ++i) {
    const int begin = vectors * i / strips, after = vectors * (i + 1) / strips;
    if constexpr (kIn > 1) {
      const size_t share = (band.ahead_floats / kLineFloats + static_cast<size_t>(strips) - 1) / static_cast<size_t>(strips);
      for (size_t line = 0; line < share; ++line) __builtin_prefetch(band.ahead + (static_cast<size_t>(i) * share + line) * kLineFloats, 0, 2);
    }
    WithWidth<kMost>(static_cast<size_t>(after - begin), [&](auto t) HWY_ATTR { StripAt<D, kIn, S, t(), kPixels>(band, first + begin * kPixels); });
  }
}

template <class D>
void BandOfKind(const Window3x3Band& band) {
  const int columns = band.dst_columns;
  if constexpr (kRgbBands) {
    if (!band.depthwise) return Strips<D, 3, 2>(band, 0, columns);
  }
  band.stride == 1 ? Strips<D, 1, 1>(band, 0, columns) : Strips<D, 1, 2>(band, 0, columns);
}

#if HWY_TARGET <= HWY_AVX3
// Depthwise, stride 1, channels for half a vector: a whole one has two columns. Those at the edges, which see padding, are done alone.
template <class D>
void BandOfPairs(const Window3x3Band& band) {
  using One = hn::Half<D>;
  const int first = band.pad_left, inside = std::max(first, std::min(band.dst_columns, band.columns + band.pad_left - 2));
  const int end = first + (inside - first) / 2 * 2;
  Strips<One, 1, 1>(band, 0, first);
  Strips<D, 1, 1, 2>(band, first, end);
  Strips<One, 1, 1>(band, end, band.dst_columns);
}
#endif

void Window3x3BandImpl(const Window3x3Band& band) {
  using Full = hn::ScalableTag<float>;
  if (static_cast<size_t>(band.channels) >= hn::MaxLanes(Full())) return BandOfKind<Full>(band);
#if HWY_TARGET <= HWY_AVX3
  if (band.depthwise && band.stride == 1 && band.channels == 8) return BandOfPairs<Full>(band);
  if (band.channels >= 8) return BandOfKind<hn::CappedTag<float, 8>>(band);
#endif
  BandOfKind<hn::CappedTag<float, 1>>(band);
}

// A strip's columns lie as far apart as there are channels: those of a high band would fall on the same few sets of the first cache.
int Window3x3BandRowsImpl(bool depthwise, int channels, int stride) {
  if (!depthwise) return kRgbBands && channels <= kMostRgbChannels ? 14 : 0;
  if (!kManyRegisters) return 1;
  if (stride == 2) return channels < 64 ? 14 : 2;
  return channels < 512 ? 14 : 4;
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

void RunWindow3x3Band(const Window3x3Band& band) { COUPLET_DISPATCH(Window3x3BandImpl)(band); }
int Window3x3BandRows(bool depthwise, int channels, int stride) { return COUPLET_DISPATCH(Window3x3BandRowsImpl)(depthwise, channels, stride); }
void RunMaxPool(const PoolPixel& pixel) { COUPLET_DISPATCH(MaxPoolImpl)(pixel); }
void RunAveragePool(const PoolPixel& pixel) { COUPLET_DISPATCH(AveragePoolImpl)(pixel); }

}  // namespace couplet::cpu
#endif  // HWY_ONCE
