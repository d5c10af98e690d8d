// See depthwise_pointwise.h. A block of threads owns a tile of 8x8 output pixels and kWide output channels.
// It walks over the input channels in chunks of kChunk: all threads together make the
// depthwise results of the tile and the chunk in shared memory, then each of the eight warps multiplies 32 pixels by
// kWide / 4 channels. The 1x1 weights come from memory packed a fragment a lane, so that they need no staging. Where oc
// is wider than kWide, several blocks make the same depthwise results anew: 9 products beside kWide.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/clamp.cuh"
#include "kernels/depthwise_pointwise.h"
#include "kernels/device.h"
#include "kernels/ptx.h"

namespace couplet {

constexpr int kFusedThreads = 256;
constexpr int kFusedSide = 8;                          // of the tile of pixels
constexpr int kFusedPixels = kFusedSide * kFusedSide;  // 64: four fragments of 16 rows
constexpr int kFusedVec = 4;                           // channels of a thread's depthwise results

// How a tensor core takes the element type.
template <typename T>
struct Fragment;
template <>
struct Fragment<__half> {
  static constexpr int kTerms = 16;   // of one instruction
  static constexpr int kPad = 8;      // elements after a row in shared memory: 8 rows fall on different banks
  static constexpr int kPerLane = 4;  // packed weights of a lane
  static __device__ void StoreRounded(__half* p, const FloatVec<kFusedVec>& v) { StoreFloats<kFusedVec>(p, v); }
  static __device__ void LoadA(const __half* row, int stride, int t, unsigned (&a)[4]) {
    const __half* low = row + 2 * t;
    a[0] = *reinterpret_cast<const unsigned*>(low);
    a[1] = *reinterpret_cast<const unsigned*>(low + 8 * stride);
    a[2] = *reinterpret_cast<const unsigned*>(low + 8);
    a[3] = *reinterpret_cast<const unsigned*>(low + 8 * stride + 8);
  }
  static __device__ void Multiply(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    MmaHalf(d, a, b);
  }
};
template <>
struct Fragment<float> {
  static constexpr int kTerms = 8;
  static constexpr int kPad = 4;
  static constexpr int kPerLane = 2;
  static __device__ void StoreRounded(float* p, const FloatVec<kFusedVec>& v) {
    FloatVec<kFusedVec> rounded;
#pragma unroll
    for (int i = 0; i < kFusedVec; ++i) rounded[i] = __uint_as_float(ToTf32(v[i]));
    StoreFloats<kFusedVec>(p, rounded);
  }
  static __device__ void LoadA(const float* row, int stride, int t, unsigned (&a)[4]) {
    a[0] = __float_as_uint(row[t]);
    a[1] = __float_as_uint(row[8 * stride + t]);
    a[2] = __float_as_uint(row[t + 4]);
    a[3] = __float_as_uint(row[8 * stride + t + 4]);
  }
  static __device__ void Multiply(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    MmaTf32(d, a, b);
  }
};

// The term of the product that a packed weight belongs to, within its instruction: lane's e-th.
template <typename T>
__host__ __device__ inline int PackedTerm(int lane, int e) {
  const int t = lane % 4;
  return Fragment<T>::kPerLane == 4 ? 2 * t + e / 2 * 8 + e % 2 : t + e * 4;
}

struct FusedTile {
  int n, oy, ox;  // photo, first row and column
};

// Depthwise results of the tile for channels [first, first + kChunk) into shared memory; what lies outside the
// photo or past the channels becomes 0. A thread makes four channels of a few pixels below one another.
template <typename T, int kStride, int kChunk>
__device__ inline void FusedDepthwise(const DepthwiseShape& s, const FusedTile& tile, int first,
                                      const T* __restrict__ src, const float* __restrict__ weights,
                                      const float* __restrict__ bias, T* shared) {
  constexpr int kVec = kFusedVec, kRow = kChunk + Fragment<T>::kPad;
  constexpr int kVectors = kChunk / kVec;
  constexpr int kRows = 2;  // at once: more would not fit beside the sums of the product
  constexpr int kAllRows = kFusedPixels * kVectors / kFusedThreads;  // 4, or 2 for a chunk of 32
  const int index = static_cast<int>(threadIdx.x);
  const int at = index % kVectors * kVec, x = index / kVectors % kFusedSide;
  const int c = first + at, ox = tile.ox + x, ix0 = ox * kStride - s.pad_left;
  const bool inside = c < s.ic && ox < s.ow;
  FloatVec<kVec> window[9], start;
#pragma unroll
  for (int v = 0; v < kVec; ++v) start[v] = 0.0f;
  if (inside) {
#pragma unroll
    for (int k = 0; k < 9; ++k) window[k] = LoadFloats<kVec>(weights + k * s.ic + c);
    if (bias != nullptr) start = LoadFloats<kVec>(bias + c);
  }
  const Clamp clamp(s.activation);
  const float most = s.clip_src ? 6.0f : INFINITY;
  const T* const image = src + static_cast<int64_t>(tile.n) * s.ih * s.iw * s.ic + c;
#pragma unroll 1
  for (int pass = 0; pass < kAllRows; pass += kRows) {
    const int y = index / kVectors / kFusedSide * kAllRows + pass;
    const int iy0 = (tile.oy + y) * kStride - s.pad_top;
    FloatVec<kVec> sums[kRows];
#pragma unroll
    for (int row = 0; row < kRows; ++row) sums[row] = start;
#pragma unroll
    for (int i = 0; i < (kRows - 1) * kStride + 3; ++i) {
      const int iy = iy0 + i;
      if (!inside || iy < 0 || iy >= s.ih) continue;
      const T* const pixels = image + (iy * s.iw + ix0) * s.ic;
#pragma unroll
      for (int kx = 0; kx < 3; ++kx) {
        if (ix0 + kx < 0 || ix0 + kx >= s.iw) continue;
        FloatVec<kVec> value = LoadFloats<kVec>(pixels + kx * s.ic);
#pragma unroll
        for (int v = 0; v < kVec; ++v) value[v] = MinOrNan(value[v], most);
#pragma unroll
        for (int row = 0; row < kRows; ++row) {
          const int ky = i - row * kStride;
          if (ky < 0 || ky > 2) continue;
#pragma unroll
          for (int v = 0; v < kVec; ++v) sums[row][v] = fmaf(value[v], window[ky * 3 + kx][v], sums[row][v]);
        }
      }
    }
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      const bool wanted = inside && tile.oy + y + row < s.oh;
#pragma unroll
      for (int v = 0; v < kVec; ++v) sums[row][v] = wanted ? clamp(sums[row][v]) : 0.0f;
      Fragment<T>::StoreRounded(shared + ((y + row) * kFusedSide + x) * kRow + at, sums[row]);
    }
  }
}

// One step of the product: `terms` of 32 pixels from shared memory by kTiles tiles of packed weights.
template <typename T, int kTiles>
__device__ inline void FusedStep(const T* terms, int pitch, const T* fragments, int tiles, int t,
                                 float (&sums)[2][kTiles][4]) {
  using F = Fragment<T>;
  unsigned a[2][4];
#pragma unroll
  for (int m = 0; m < 2; ++m) F::LoadA(terms + m * 16 * pitch, pitch, t, a[m]);
#pragma unroll
  for (int j = 0; j < kTiles; ++j) {
    if (j >= tiles) break;
    const uint2 pair = *reinterpret_cast<const uint2*>(fragments + j * 32 * F::kPerLane);
    const unsigned b[2] = {pair.x, pair.y};
#pragma unroll
    for (int m = 0; m < 2; ++m) F::Multiply(sums[m][j], a[m], b);
  }
}

// Channels o and o + 1 of a pixel, of those that exist: together where both do and their place is aligned.
template <typename T>
__device__ inline void StoreFusedPair(T* out, int o, int oc, int stride, const Clamp& clamp, float low, float high,
                                      const float* bias) {
  if (o >= oc) return;
  const bool both = o + 1 < oc;
  const float pair[2] = {clamp(low + (bias != nullptr ? bias[o] : 0.0f)),
                         clamp(high + (bias != nullptr && both ? bias[o + 1] : 0.0f))};
  if (both && stride % 2 == 0) {
    StoreFloats<2>(out + o, pair);
    return;
  }
  for (int i = 0; i < (both ? 2 : 1); ++i) {
    const float one[1] = {pair[i]};
    StoreFloats<1>(out + o + i, one);
  }
}

template <typename T, int kStride, int kWide, int kChunk>
__global__ void __launch_bounds__(kFusedThreads, kWide <= 128 ? 2 : 1)
    DepthwisePointwiseKernel(DepthwisePointwiseShape shape, const T* __restrict__ src,
                             const float* __restrict__ depthwise_weights,
                             const float* __restrict__ depthwise_bias, const T* __restrict__ packed,
                             const float* __restrict__ bias, T* __restrict__ dst) {
  using F = Fragment<T>;
  constexpr int kRow = kChunk + F::kPad;
  constexpr int kTiles = kWide / 4 / 8;  // of eight output channels, in a warp
  constexpr int kSteps = kChunk / F::kTerms;
  COUPLET_SHARED(uint4, storage, [kFusedPixels * kRow * sizeof(T) / sizeof(uint4)]);
  T* const shared = reinterpret_cast<T*>(&storage[0]);

  const DepthwiseShape& s = shape.depthwise;
  const int across = CeilDiv(s.ow, kFusedSide), down = CeilDiv(s.oh, kFusedSide);
  const int index = static_cast<int>(blockIdx.x);
  FusedTile tile;
  tile.ox = index % across * kFusedSide;
  tile.oy = index / across % down * kFusedSide;
  tile.n = index / across / down;

  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int g = lane / 4, t = lane % 4;
  const int first_row = warp % 2 * 32;
  const int all_tiles = CeilDiv(shape.oc, 8), all_steps = CeilDiv(s.ic, F::kTerms);
  const int first_tile = static_cast<int>(blockIdx.y) * (kWide / 8) + warp / 2 * kTiles;
  const int tiles = all_tiles - first_tile;  // more than kTiles: all of the warp's are there
  const T* const terms = shared + (first_row + g) * kRow;
  const T* fragments = packed + (static_cast<int64_t>(first_tile) * 32 + lane) * F::kPerLane;
  const int64_t next_step = static_cast<int64_t>(all_tiles) * 32 * F::kPerLane;

  float sums[2][kTiles][4];
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int j = 0; j < kTiles; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[m][j][i] = 0.0f;
    }
  }
  for (int first = 0; first < s.ic; first += kChunk) {
    FusedDepthwise<T, kStride, kChunk>(s, tile, first, src, depthwise_weights, depthwise_bias, shared);
    __syncthreads();  // the chunk is whole
    const int steps = min(kSteps, all_steps - first / F::kTerms);
    if (steps == kSteps && tiles >= kTiles) {  // unrolled, so that loads run ahead of products
#pragma unroll 2
      for (int step = 0; step < kSteps; ++step)
        FusedStep<T, kTiles>(terms + step * F::kTerms, kRow, fragments + step * next_step, kTiles, t, sums);
    } else {
      for (int step = 0; step < steps; ++step)
        FusedStep<T, kTiles>(terms + step * F::kTerms, kRow, fragments + step * next_step, tiles, t, sums);
    }
    fragments += kSteps * next_step;
    __syncthreads();  // and read by all
  }

  const Clamp clamp(shape.activation);
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int pixel = first_row + m * 16 + g + i * 8;
      const int oy = tile.oy + pixel / kFusedSide, ox = tile.ox + pixel % kFusedSide;
      if (oy >= s.oh || ox >= s.ow) continue;
      T* out = dst + ((static_cast<int64_t>(tile.n) * s.oh + oy) * s.ow + ox) * shape.dst_stride;
#pragma unroll
      for (int j = 0; j < kTiles; ++j) {
        const int o = (first_tile + j) * 8 + 2 * t;
        StoreFusedPair(out, o, shape.oc, shape.dst_stride, clamp, sums[m][j][2 * i], sums[m][j][2 * i + 1], bias);
      }
    }
  }
}

}  // namespace couplet
