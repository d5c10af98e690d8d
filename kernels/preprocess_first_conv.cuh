// Body of the fused kernel: a block resizes the pixels under a tile of 8 x 32 output pixels into shared
// memory, then convolves them there. A pixel on the border of two tiles is resized in both: 1.1 times the
// work.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/device.h"
#include "kernels/first_conv.cuh"
#include "kernels/preprocess.cuh"
#include "kernels/preprocess_first_conv.h"

namespace couplet {

constexpr int kFusedTileHeight = 8, kFusedTileWidth = 32;
constexpr int kFusedRows = 2 * kFusedTileHeight + 1, kFusedColumns = 2 * kFusedTileWidth + 1;

// Pixels of the tile; column 0 is that of the strip's first window.
struct TilePixels {
  const float* tile;  // at the strip's first window
  __device__ void Row(int ky, float (&row)[kFirstConvColumns][3]) const {
    for (int column = 0; column < kFirstConvColumns; ++column)
      for (int c = 0; c < 3; ++c) row[column][c] = tile[(ky * kFusedColumns + column) * 3 + c];
  }
};

// `value` as a T holds it: what preprocess would have stored.
template <class T>
__device__ inline float RoundTo(float value) {
  const float one[1] = {value};
  T stored;
  StoreFloats<1>(&stored, one);
  return LoadFloats<1>(&stored)[0];
}

template <class T, bool kWide>
__global__ void PreprocessFirstConvKernel(FirstConvShape shape, PixelScale scale, const uint8_t* bytes,
                                          const PhotoEntry* photos, const float* weights, const float* bias,
                                          T* dst) {
  COUPLET_SHARED(float, tile, [kFusedRows * kFusedColumns * 3]);
  COUPLET_DYNAMIC_SHARED(float, shared_weights);
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const int first_x = static_cast<int>(blockIdx.x) * kFusedTileWidth;
  const int first_y = static_cast<int>(blockIdx.y) * kFusedTileHeight;
  const size_t n = blockIdx.z;

  LoadFirstConvWeights(weights, shape.oc, shared_weights);
  const PhotoEntry photo = photos[n];
  for (int i = thread; i < kFusedRows * kFusedColumns; i += threads) {
    const int row = i / kFusedColumns, column = i - row * kFusedColumns;
    const int y = 2 * first_y - shape.pad_top + row, x = 2 * first_x - shape.pad_left + column;
    float rgb[3] = {0.0f, 0.0f, 0.0f};
    if (y >= 0 && y < shape.ih && x >= 0 && x < shape.iw)
      ResizedPixel(photo, bytes, scale, shape.ih, shape.iw, y, x, rgb);
    for (int c = 0; c < 3; ++c) tile[i * 3 + c] = RoundTo<T>(rgb[c]);
  }
  __syncthreads();

  const int chunks = FirstConvPadded(shape.oc) / kFirstConvChannels;
  const int strips = kFusedTileWidth / kFirstConvPixels;
  for (int item = thread; item < kFusedTileHeight * strips * chunks; item += threads) {
    const int strip = item / chunks, c = (item - strip * chunks) * kFirstConvChannels;
    const int row = strip / strips, column = (strip - row * strips) * kFirstConvPixels;
    const int y = first_y + row, x = first_x + column;
    if (y >= shape.oh) continue;
    TilePixels pixels;
    pixels.tile = tile + (2 * row * kFusedColumns + 2 * column) * 3;
    float sum[kFirstConvPixels][kFirstConvChannels];
    FirstConvSums(pixels, shared_weights, bias, shape.oc, c, sum);
    StoreFirstConv<T, kWide>(sum, shape.activation, shape.ow - x, shape.oc - c, shape.dst_stride,
                             dst + ((n * shape.oh + y) * shape.ow + x) * shape.dst_stride + c);
  }
}

}  // namespace couplet
