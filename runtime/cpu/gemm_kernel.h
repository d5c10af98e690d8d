// The inner loop of every convolution that is not depthwise (of winograd.h's and winograd_lines.h's, for each of their places): a
// tile of pixels by a panel of channels, held in registers.
//
// Each result is the sum of blocks of 64 products in the order of the weights (rows of the window, columns, channels; padding
// counts), block by block, and then the bias; a block is one chain of fused multiply-adds. Neither the tile nor the vector's width
// changes that order, so a result has the same bits on every instruction set with a fused multiply-add, for any cut into tiles,
// bands or batches. One chain over all products would round twice as much as TensorFlow does; in blocks it is TensorFlow's measure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace couplet::cpu {

constexpr size_t kLineFloats = 16;  // of a line of the cache

// The limits of an activation; -inf and inf where there are none.
struct Clamp {
  float low, high;
};

// Where a panel's channels begin and how many vectors it is wide. Panels are dealt evenly: 3 vectors as 2 + 1. `tile` is how many
// pixels its widest panel takes at a time: as many as the registers hold, and for narrow panels enough chains to hide an
// FMA's latency.
struct Panels {
  int lanes = 0, vectors = 0, count = 0, tile = 0;
  int first(int panel) const { return vectors * panel / count * lanes; }
  int width(int panel) const { return first(panel + 1) - first(panel); }
  int widest() const { return (vectors + count - 1) / count * lanes; }
  int channels() const { return vectors * lanes; }  // padded
};
// lanes: of a vector. most: vectors that a panel may be wide. tile_rows: pixels of a tile by its panel's vectors.
inline Panels DealPanels(int channels, int lanes, int most, const int* tile_rows) {
  Panels panels{.lanes = lanes, .vectors = (channels + lanes - 1) / lanes};
  panels.count = (panels.vectors + most - 1) / most;
  panels.tile = tile_rows[panels.widest() / lanes];
  return panels;
}
Panels PanelsFor(int channels);

// `pixels` results times one panel, in tiles. `segments` stretches of `length` source values each. Where they lie: with
// `pixel_stride` 0 in a table, a tile's next to each other: in a tile of P pixels that begins with pixel t, stretch s of pixel
// t + p begins at src[t * segments + s * P + p]. Else stretch s of pixel p begins at src[s] + p * pixel_stride.
struct GemmPanel {
  const float* const* src = nullptr;
  size_t pixel_stride = 0;
  int pixels = 0, tile = 0, segments = 0, length = 0;
  const float* weights = nullptr;  // [segments * length, width], aligned
  // Weights that are needed after these and lie far away: asked for meanwhile. They change no result.
  const float* next_weights = nullptr;
  size_t next_count = 0;
  const float* bias = nullptr;     // [width]; null: bare sums of all of them, without limits
  int width = 0, channels = 0;     // of the panel; how many of them exist
  float* dst = nullptr;            // the first pixel's first channel
  size_t dst_stride = 0;
  Clamp clamp{};
};
void RunGemmPanel(const GemmPanel& panel);

// Stretch `s` of the P pixels from `first` on, where `table` is the panel's or, with pixel_stride 0, the tile's part of it. (A pointer
// follows from the one before: a product each takes as long as a short stretch.)
template <int P, class T>
inline __attribute__((always_inline)) void PointTile(const T* const* table, size_t pixel_stride, int first, int s, const T* (&src)[P]) {
  if (pixel_stride == 0) {
#pragma GCC unroll 12
    for (int p = 0; p < P; ++p) src[p] = table[s * P + p];
  } else {
    src[0] = table[s] + static_cast<size_t>(first) * pixel_stride;
#pragma GCC unroll 12
    for (int p = 1; p < P; ++p) src[p] = src[p - 1] + pixel_stride;
  }
}

// Tiles are dealt evenly: 49 pixels by 6 as 9 tiles of 5 or 6, not 8 of 6 and one of 1, which would run at a third of the speed.
struct Tiles {
  Tiles(int of, int tile) : pixels(of), count((of + tile - 1) / tile) {}
  int begin(int tile) const { return pixels * tile / count; }
  int pixels, count;
};

// Highway's name of the instruction set in use.
const char* KernelTarget();

}  // namespace couplet::cpu
