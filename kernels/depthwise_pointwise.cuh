// See depthwise_pointwise.h. A block of threads owns a tile of 8x8 output pixels and kWide output channels.
// It walks over the input channels in chunks of 64: all threads together make the depthwise results of the
// tile and the chunk in shared memory, then each of the eight warps multiplies 32 pixels by kWide / 4
// channels. The 1x1 weights come from memory packed a fragment a lane, so that they need no staging. Where oc
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
constexpr int kFusedChunk = 64;

// How a tensor core takes the element type.
template <typename T>
struct Fragment;
template <>
struct Fragment<__half> {
  static constexpr int kTerms = 16;   // of one instruction
  static constexpr int kPad = 8;      // elements after a row in shared memory: 8 rows fall on different banks
  static constexpr int kPerLane = 4;  // packed weights of a lane
  static __device__ void StoreRounded(__half* p, const FloatVec<8>& v) { StoreFloats<8>(p, v); }
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
  static __device__ void StoreRounded(float* p, const FloatVec<4>& v) {
    FloatVec<4> rounded;
#pragma unroll
    for (int i = 0; i < 4; ++i) rounded[i] = __uint_as_float(ToTf32(v[i]));
    StoreFloats<4>(p, rounded);
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

// Depthwise results of the tile for channels [first, first + 64) into shared memory; what lies outside the
// photo or past the channels becomes 0. A thread makes kVec channels of a few pixels below one another.
template <typename T, int kStride>
__device__ inline void FusedDepthwise(const DepthwiseShape& s, const FusedTile& tile, int first,
                                      const T* __restrict__ src, const float* __restrict__ weights,
                                      const float* __restrict__ bias, T* shared) {
  constexpr int kVec = VectorOf<T>::kWidth, kRow = kFusedChunk + Fragment<T>::kPad;
  constexpr int kVectors = kFusedChunk / kVec;
  constexpr int kRows = 2;  // at once: more would not fit beside the sums of the product
  constexpr int kAllRows = kFusedPixels * kVectors / kFusedThreads;  // 2 (half), 4 (float)
  const int index = static_cast<int>(threadIdx.x);
  const int at = index % kVectors * kVec, x = index / kVectors % kFusedSide;
  const int c = first + at, ox = tile.ox + x;
  const bool inside = c < s.ic && ox < s.ow;
  const Clamp clamp(s.activation);
  const T* image = src + static_cast<int64_t>(tile.n) * s.ih * s.iw * s.ic + c;
#pragma unroll 1
  for (int pass = 0; pass < kAllRows; pass += kRows) {
    const int y = index / kVectors / kFusedSide * kAllRows + pass;
    FloatVec<kVec> sums[kRows];
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
#pragma unroll
      for (int v = 0; v < kVec; ++v) sums[row][v] = 0.0f;
      if (inside && bias != nullptr) sums[row] = LoadFloats<kVec>(bias + c);
    }
    const int iy0 = (tile.oy + y) * kStride - s.pad_top, ix0 = ox * kStride - s.pad_left;
#pragma unroll
    for (int i = 0; i < (kRows - 1) * kStride + 3; ++i) {
      const int iy = iy0 + i;
      if (!inside || iy < 0 || iy >= s.ih) continue;
#pragma unroll
      for (int kx = 0; kx < 3; ++kx) {
        const int ix = ix0 + kx;
        if (ix < 0 || ix >= s.iw) continue;
        FloatVec<kVec> value = LoadFloats<kVec>(image + (static_cast<int64_t>(iy) * s.iw + ix) * s.ic);
        if (s.clip_src) ClipAtSix(value);
#pragma unroll
        for (int row = 0; row < kRows; ++row) {
          const int ky = i - row * kStride;
          if (ky < 0 || ky > 2) continue;
          const FloatVec<kVec> weight = LoadFloats<kVec>(weights + (ky * 3 + kx) * s.ic + c);
#pragma unroll
          for (int v = 0; v < kVec; ++v) sums[row][v] = fmaf(value[v], weight[v], sums[row][v]);
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

template <typename T, int kStride, int kWide>
__global__ void __launch_bounds__(kFusedThreads, 1)
    DepthwisePointwiseKernel(DepthwisePointwiseShape shape, const T* __restrict__ src,
                             const float* __restrict__ depthwise_weights,
                             const float* __restrict__ depthwise_bias, const T* __restrict__ packed,
                             const float* __restrict__ bias, T* __restrict__ dst) {
  using F = Fragment<T>;
  constexpr int kRow = kFusedChunk + F::kPad;
  constexpr int kTiles = kWide / 4 / 8;  // of eight output channels, in a warp
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

  float sums[2][kTiles][4];
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int j = 0; j < kTiles; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[m][j][i] = 0.0f;
    }
  }
  for (int first = 0; first < s.ic; first += kFusedChunk) {
    FusedDepthwise<T, kStride>(s, tile, first, src, depthwise_weights, depthwise_bias, shared);
    __syncthreads();  // the chunk is whole
    for (int step = 0; step < kFusedChunk / F::kTerms; ++step) {
      const int k = first / F::kTerms + step;
      if (k >= all_steps) break;
      unsigned a[2][4];
#pragma unroll
      for (int m = 0; m < 2; ++m)
        F::LoadA(shared + (first_row + m * 16 + g) * kRow + step * F::kTerms, kRow, t, a[m]);
#pragma unroll
      for (int j = 0; j < kTiles; ++j) {
        if (first_tile + j >= all_tiles) break;
        const int64_t fragment = static_cast<int64_t>(k) * all_tiles + first_tile + j;
        const uint2 pair = *reinterpret_cast<const uint2*>(packed + (fragment * 32 + lane) * F::kPerLane);
        const unsigned b[2] = {pair.x, pair.y};
#pragma unroll
        for (int m = 0; m < 2; ++m) F::Multiply(sums[m][j], a[m], b);
      }
    }
    __syncthreads();  // and read by all
  }

  const Clamp clamp(shape.activation);
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int pixel = first_row + m * 16 + g + i / 2 * 8;
      const int oy = tile.oy + pixel / kFusedSide, ox = tile.ox + pixel % kFusedSide;
      if (oy >= s.oh || ox >= s.ow) continue;
      T* out = dst + ((static_cast<int64_t>(tile.n) * s.oh + oy) * s.ow + ox) * shape.dst_stride;
#pragma unroll
      for (int j = 0; j < kTiles; ++j) {
        const int o = (first_tile + j) * 8 + 2 * t + i % 2;
        if (o >= shape.oc) break;
        const float value[1] = {clamp(sums[m][j][i] + (bias != nullptr ? bias[o] : 0.0f))};
        StoreFloats<1>(out + o, value);
      }
    }
  }
}

}  // namespace couplet
