// See winograd_kernel.h. Highway compiles this file once an instruction set (foreach_target.h includes it again).
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/winograd_kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/cpu/winograd_kernel.cc"
#include "runtime/cpu/kernel_targets.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/cpu/clamp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace couplet::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

// B' of four values.
HWY_INLINE void Spread(const V (&d)[4], V (&to)[4]) {
  to[0] = hn::Sub(d[0], d[2]);
  to[1] = hn::Add(d[1], d[2]);
  to[2] = hn::Sub(d[2], d[1]);
  to[3] = hn::Sub(d[1], d[3]);
}

// A' of four products.
HWY_INLINE void Gather(const V (&m)[4], V (&to)[2]) {
  to[0] = hn::Add(hn::Add(m[0], m[1]), m[2]);
  to[1] = hn::Sub(hn::Sub(m[1], m[2]), m[3]);
}

void SourceImpl(const WinogradSource& t) {
  const D d;
  const size_t channels = static_cast<size_t>(t.channels);
  for (size_t i = 0; i < channels; i += hn::MaxLanes(D())) {
    V down[4][4];  // by the tile's columns
#pragma GCC unroll 4
    for (size_t c = 0; c < 4; ++c) {
      V column[4];
#pragma GCC unroll 4
      for (size_t r = 0; r < 4; ++r) column[r] = hn::LoadU(d, t.src + r * t.row_stride + c * channels + i);
      Spread(column, down[c]);
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < 4; ++r) {
      const V row[4] = {down[0][r], down[1][r], down[2][r], down[3][r]};
      V places[4];
      Spread(row, places);
#pragma GCC unroll 4
      for (size_t c = 0; c < 4; ++c) hn::Store(places[c], d, t.dst + (4 * r + c) * t.place_stride + i);
    }
  }
}

void ResultImpl(const WinogradResult& t) {
  const D d;
  const V low = hn::Set(d, t.clamp.low), high = hn::Set(d, t.clamp.high);
  const size_t channels = static_cast<size_t>(t.channels), rows = static_cast<size_t>(t.rows);
  for (size_t i = 0; i < channels; i += hn::MaxLanes(D())) {
    V down[4][2];
#pragma GCC unroll 4
    for (size_t c = 0; c < 4; ++c) {
      V column[4];
#pragma GCC unroll 4
      for (size_t r = 0; r < 4; ++r) column[r] = hn::Load(d, t.src + (4 * r + c) * t.place_stride + i);
      Gather(column, down[c]);
    }
    const V bias = hn::LoadU(d, t.bias + i);
#pragma GCC unroll 2
    for (size_t r = 0; r < 2; ++r) {
      if (r == rows) break;
      const V row[4] = {down[0][r], down[1][r], down[2][r], down[3][r]};
      V results[2];
      Gather(row, results);
      float* dst = t.dst + r * t.row_stride + i;
      hn::StoreU(ClampOrNan(hn::Add(results[0], bias), low, high), d, dst);
      if (t.columns == 2) hn::StoreU(ClampOrNan(hn::Add(results[1], bias), low, high), d, dst + t.pixel_stride);
    }
  }
}

void LineSourceImpl(const WinogradLineSource& t) {
  const D d;
  const size_t channels = static_cast<size_t>(t.channels);
  for (size_t i = 0; i < channels; i += hn::MaxLanes(D())) {
    const V pixels[4] = {hn::LoadU(d, t.pixels[0] + i), hn::LoadU(d, t.pixels[1] + i), hn::LoadU(d, t.pixels[2] + i), hn::LoadU(d, t.pixels[3] + i)};
    V places[4];
    Spread(pixels, places);
#pragma GCC unroll 4
    for (size_t p = 0; p < 4; ++p) hn::Store(places[p], d, t.dst + p * t.place_stride + i);
  }
}

void LineResultImpl(const WinogradLineResult& t) {
  const D d;
  const V low = hn::Set(d, t.clamp.low), high = hn::Set(d, t.clamp.high);
  const size_t channels = static_cast<size_t>(t.channels);
  for (size_t i = 0; i < channels; i += hn::MaxLanes(D())) {
    V products[4], results[2];
#pragma GCC unroll 4
    for (size_t p = 0; p < 4; ++p) products[p] = hn::Load(d, t.src + p * t.place_stride + i);
    Gather(products, results);
    const V bias = hn::LoadU(d, t.bias + i);
    hn::StoreU(ClampOrNan(hn::Add(results[0], bias), low, high), d, t.dst + i);
    if (t.pixels == 2) hn::StoreU(ClampOrNan(hn::Add(results[1], bias), low, high), d, t.dst + t.pixel_stride + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace couplet::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "runtime/cpu/dispatch.h"

namespace couplet::cpu {

void RunWinogradSource(const WinogradSource& tile) { COUPLET_DISPATCH(SourceImpl)(tile); }
void RunWinogradResult(const WinogradResult& tile) { COUPLET_DISPATCH(ResultImpl)(tile); }
void RunWinogradLineSource(const WinogradLineSource& quad) { COUPLET_DISPATCH(LineSourceImpl)(quad); }
void RunWinogradLineResult(const WinogradLineResult& pair) { COUPLET_DISPATCH(LineResultImpl)(pair); }

}  // namespace couplet::cpu
#endif  // HWY_ONCE
