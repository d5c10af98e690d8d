// Where the windows of a convolution lie in a picture, for kernels that take a table of their segments (gemm_kernel.h, int8_kernel.h).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/cpu/convolution.h"
#include "runtime/cpu/gemm_kernel.h"

namespace couplet::cpu {

// A segment is one pixel of the window, `channels` values of type T.
template <class T>
class WindowTable {
 public:
  // `channels`: as the source is stored.
  WindowTable(const Convolution& c, int channels)
      : src_(c.src), dst_(c.dst), kh_(c.kh), kw_(c.kw), sh_(c.sh), sw_(c.sw), dh_(c.dh), dw_(c.dw), pads_(c.pads), channels_(channels),
        last_top_(c.src.h - 1 - (c.kh - 1) * c.dh), last_left_(c.src.w - 1 - (c.kw - 1) * c.dw) {
    for (int ky = 0; ky < kh_; ++ky)
      for (int kx = 0; kx < kw_; ++kx) offsets_.push_back((int64_t{ky} * dh_ * src_.w + int64_t{kx} * dw_) * channels_);
  }

  int segments() const { return kh_ * kw_; }
  size_t bytes(int pixels) const { return static_cast<size_t>(pixels) * offsets_.size() * sizeof(const T*); }

  // The windows of results [first, first + count), counted in pixels of the photo at `src`, in the order that a kernel takes them
  // in tiles of `tile`. `outside`: a segment of padding. table: bytes(count)
  void Point(const T* src, int first, int count, int tile, const T* outside, const T** table) const {
    const Tiles tiles(count, tile);
    int y = first / dst_.w, x = first % dst_.w;
    for (int i = 0; i < tiles.count; ++i)
      for (int at = tiles.begin(i), pixels = tiles.begin(i + 1) - at, p = 0; p < pixels; ++p) {
        PointWindow(src, y, x, outside, table + int64_t{at} * segments() + p, pixels);
        if (++x == dst_.w) ++y, x = 0;
      }
  }

 private:
  // Segment s of result (y, x) at to[s * step].
  void PointWindow(const T* src, int y, int x, const T* outside, const T** to, int step) const {
    const int top = y * sh_ - pads_.top, left = x * sw_ - pads_.left;
    if (top >= 0 && left >= 0 && top <= last_top_ && left <= last_left_) {
      const T* corner = src + (int64_t{top} * src_.w + left) * channels_;
      for (const int64_t offset : offsets_) *to = corner + offset, to += step;
      return;
    }
    for (int ky = 0; ky < kh_; ++ky) {
      const int sy = top + ky * dh_;
      for (int kx = 0; kx < kw_; ++kx, to += step) {
        const int sx = left + kx * dw_;
        *to = sy >= 0 && sy < src_.h && sx >= 0 && sx < src_.w ? src + (int64_t{sy} * src_.w + sx) * channels_ : outside;
      }
    }
  }

  Shape src_, dst_;
  int kh_, kw_, sh_, sw_, dh_, dw_;
  Pads pads_;
  int channels_;
  int last_top_, last_left_;      // a window's corner: beyond it the window leaves the picture
  std::vector<int64_t> offsets_;  // of a window's segments from its corner
};

}  // namespace couplet::cpu
