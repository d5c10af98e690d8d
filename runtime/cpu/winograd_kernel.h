// The two ends of Winograd's F(2x2, 3x3), which takes 16 products for 2 x 2 results of a 3x3 window where the window takes 36
// (A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv 1509.09308, section 4.1). Between them lie
// 16 matrix products (gemm_kernel.h), one for each place in a tile; winograd.h puts the three together.
//
// The additions of an end are made in the order written here on every instruction set, so its bits are equal on all of them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "runtime/cpu/gemm_kernel.h"

namespace couplet::cpu {

constexpr int kWinogradPlaces = 16, kWinogradQuad = 4;
// Both ends take whole vectors of any instruction set.
constexpr int kWinogradChannels = 16;

// G of three taps, one place of it: G is 1 0 0 / .5 .5 .5 / .5 -.5 .5 / 0 0 1. In double, to be rounded to float once, at the end.
constexpr double WinogradWeight(double a, double b, double c, int place) {
  return place == 0 ? a : place == 1 ? (a + b + c) / 2 : place == 2 ? (a - b + c) / 2 : c;
}

// dst[place] = B' d B of a tile of 4 x 4 pixels: place (r, c) is 4 r + c, and B' is
//   1  0 -1  0 / 0  1  1  0 / 0 -1  1  0 / 0  1  0 -1, columns of the tile first.
struct WinogradSource {
  const float* src = nullptr;  // the tile's upper left pixel
  size_t row_stride = 0;       // floats from one row to the next; a pixel follows the one before it
  int channels = 0;            // a multiple of kWinogradChannels
  float* dst = nullptr;        // aligned for a vector
  size_t place_stride = 0;     // floats from one place to the next, a multiple of kWinogradChannels
};
void RunWinogradSource(const WinogradSource& tile);

// dst = clamp(A' m A + bias) of the products of a tile, 2 x 2 results or as many as there are: A' is 1 1 1 0 / 0 1 -1 -1, columns
// of the tile first.
struct WinogradResult {
  const float* src = nullptr;  // aligned for a vector
  size_t place_stride = 0;     // a multiple of kWinogradChannels
  int channels = 0;            // whole vectors
  const float* bias = nullptr;
  float* dst = nullptr;
  size_t row_stride = 0, pixel_stride = 0;
  int rows = 2, columns = 2;  // 1 where the picture ends
  Clamp clamp{};
};
void RunWinogradResult(const WinogradResult& tile);

// The same along a line, F(2, 3): dst[place] = B' d of four pixels.
struct WinogradLineSource {
  const float* pixels[kWinogradQuad] = {};
  int channels = 0;            // a multiple of kWinogradChannels
  float* dst = nullptr;        // aligned for a vector
  size_t place_stride = 0;     // a multiple of kWinogradChannels
};
void RunWinogradLineSource(const WinogradLineSource& quad);

// dst = clamp(A' m + bias), two results or as many as there are.
struct WinogradLineResult {
  const float* src = nullptr;  // aligned for a vector
  size_t place_stride = 0;     // a multiple of kWinogradChannels
  int channels = 0;            // whole vectors
  const float* bias = nullptr;
  float* dst = nullptr;
  size_t pixel_stride = 0;
  int pixels = 2;  // 1 where the line ends
  Clamp clamp{};
};
void RunWinogradLineResult(const WinogradLineResult& pair);

}  // namespace couplet::cpu
