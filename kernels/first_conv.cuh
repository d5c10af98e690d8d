// Body of the first convolution: a thread makes eight channels of eight neighbouring output pixels, so that a
// weight read from shared memory serves eight products. Threads that follow each other take the next eight
// channels of the same pixels: what a warp stores lies together. A block does several such items a thread one after
// the other: its weights' way into shared memory takes as long as one of them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/clamp.cuh"
#include "kernels/device.h"
#include "kernels/first_conv.h"

namespace couplet {

constexpr int kFirstConvPixels = 8, kFirstConvChannels = 8, kFirstConvTaps = 27;
constexpr int kFirstConvColumns = 2 * kFirstConvPixels + 1;  // source columns under a thread's output pixels
constexpr int kFirstConvThreads = 128;

// Channels rounded up to whole groups of eight.
inline __host__ __device__ int FirstConvPadded(int oc) {
  return (oc + kFirstConvChannels - 1) / kFirstConvChannels * kFirstConvChannels;
}

// weights [27, oc] -> shared [27, padded oc], zeros after the last channel. Ends before a barrier.
__device__ inline void LoadFirstConvWeights(const float* weights, int oc, float* shared) {
  const int padded = FirstConvPadded(oc), count = kFirstConvTaps * padded;
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  if (padded == oc) {
    for (int i = thread; i < count; i += threads) shared[i] = weights[i];
    return;
  }
  for (int i = thread; i < count; i += threads) {
    const int tap = i / padded, channel = i - tap * padded;
    shared[i] = channel < oc ? weights[tap * oc + channel] : 0.0f;
  }
}

// Sums of channels c .. c + 7 of the pixels. pixels.Row(ky, row) gives row ky of the source pixels under their windows;
// `weights` as LoadFirstConvWeights left them.
template <class Pixels>
__device__ inline void FirstConvSums(const Pixels& pixels, const float* weights, const float* bias, int oc,
                                     int c, float (&sum)[kFirstConvPixels][kFirstConvChannels]) {
  for (int i = 0; i < kFirstConvChannels; ++i) {
    const float start = bias != nullptr && c + i < oc ? bias[c + i] : 0.0f;
    for (int p = 0; p < kFirstConvPixels; ++p) sum[p][i] = start;
  }
  const int padded = FirstConvPadded(oc);
#pragma unroll 1
  for (int ky = 0; ky < 3; ++ky) {
    float row[kFirstConvColumns][3];
    pixels.Row(ky, row);
    for (int kx = 0; kx < 3; ++kx)
      for (int channel = 0; channel < 3; ++channel) {
        const FloatVec<kFirstConvChannels> w =
            LoadFloats<kFirstConvChannels>(weights + ((ky * 3 + kx) * 3 + channel) * padded + c);
        for (int p = 0; p < kFirstConvPixels; ++p)
          for (int i = 0; i < kFirstConvChannels; ++i)
            sum[p][i] = fmaf(row[2 * p + kx][channel], w[i], sum[p][i]);
      }
  }
}

// Activation and store of `count` pixels; dst points at channel c of the first.
template <class T, bool kWide>
__device__ inline void StoreFirstConv(float (&sum)[kFirstConvPixels][kFirstConvChannels],
                                      Activation activation, int count, int channels, int stride, T* dst) {
  const Clamp clamp(activation);
  for (int p = 0; p < kFirstConvPixels; ++p) {
    if (p >= count) return;
    for (int i = 0; i < kFirstConvChannels; ++i) sum[p][i] = clamp(sum[p][i]);
    T* pixel = dst + p * stride;
    if (kWide) {
      StoreFloats<kFirstConvChannels>(pixel, sum[p]);
    } else {
      for (int i = 0; i < kFirstConvChannels; ++i) {
        const float one[1] = {sum[p][i]};
        if (i < channels) StoreFloats<1>(pixel + i, one);
      }
    }
  }
}

// Pixels of a photo in memory; padding is zero. kPacked: pixels of three channels follow each other without a gap, every
// strip but its last column lies inside, and begins at a multiple of 16 bytes.
template <class T, bool kPacked>
struct StoredPixels {
  const T* photo;
  int ih, iw, stride, top, left;
  __device__ void Row(int ky, float (&row)[kFirstConvColumns][3]) const {
    const int y = top + ky;
    const bool inside = y >= 0 && y < ih;
    const T* const first = photo + (static_cast<int64_t>(y) * iw + left) * stride;
    for (int column = 0; column < kFirstConvColumns; ++column)
      for (int c = 0; c < 3; ++c) row[column][c] = 0.0f;
    if (!inside) return;
    constexpr int kVec = VectorOf<T>::kWidth, kWhole = (kFirstConvColumns - 1) * 3;
    if (kPacked) {
      for (int at = 0; at < kWhole; at += kVec) {
        const FloatVec<kVec> values = LoadFloats<kVec>(first + at);
        for (int i = 0; i < kVec; ++i) row[(at + i) / 3][(at + i) % 3] = values[i];
      }
    }
    for (int column = kPacked ? kFirstConvColumns - 1 : 0; column < kFirstConvColumns; ++column) {
      const int x = left + column;
      if (x < 0 || x >= iw) continue;
      for (int c = 0; c < 3; ++c) row[column][c] = LoadFloats<1>(first + column * stride + c)[0];
    }
  }
};

// A thread does `rounds` of the batch's `items`.
template <class T, bool kPacked, bool kWide>
__global__ void __launch_bounds__(kFirstConvThreads)
    FirstConvKernel(FirstConvShape shape, int items, int rounds, const T* src, const float* weights,
                    const float* bias, T* dst) {
  COUPLET_DYNAMIC_SHARED(float, shared_weights);
  LoadFirstConvWeights(weights, shape.oc, shared_weights);
  __syncthreads();
  const int chunks = FirstConvPadded(shape.oc) / kFirstConvChannels;
  const int strips = (shape.ow + kFirstConvPixels - 1) / kFirstConvPixels;
  StoredPixels<T, kPacked> pixels;
  pixels.ih = shape.ih;
  pixels.iw = shape.iw;
  pixels.stride = shape.src_stride;
  int item = static_cast<int>(blockIdx.x) * rounds * kFirstConvThreads + static_cast<int>(threadIdx.x);
  for (int round = 0; round < rounds; ++round, item += kFirstConvThreads) {
    if (item >= items) return;
    const int strip = item / chunks, c = (item - strip * chunks) * kFirstConvChannels;
    const int row = strip / strips, x = (strip - row * strips) * kFirstConvPixels;
    const int n = row / shape.oh, y = row - n * shape.oh;
    pixels.photo = src + static_cast<int64_t>(n) * shape.ih * shape.iw * shape.src_stride;
    pixels.top = 2 * y - shape.pad_top;
    pixels.left = 2 * x - shape.pad_left;
    float sum[kFirstConvPixels][kFirstConvChannels];
    FirstConvSums(pixels, shared_weights, bias, shape.oc, c, sum);
    StoreFirstConv<T, kWide>(sum, shape.activation, shape.ow - x, shape.oc - c, shape.dst_stride,
                             dst + (static_cast<int64_t>(row) * shape.ow + x) * shape.dst_stride + c);
  }
}

}  // namespace couplet
