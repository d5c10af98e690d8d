// Body of the preprocess kernel, a thread an output pixel; and the resize of one pixel, which
// preprocess_first_conv uses too.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/device.h"
#include "kernels/preprocess.h"

namespace couplet {

// What the kernels are given of a PreprocessShape: the factor to divide or to multiply by.
struct PixelScale {
  float mean, factor;
  bool divide;
};

// retrain.py hands TensorFlow the quotient of two Python floats, rounded once to float32.
inline PixelScale MakePixelScale(const PreprocessShape& shape) {
  PixelScale scale;
  scale.mean = shape.mean;
  scale.divide = shape.divide;
  scale.factor = shape.divide ? shape.std : static_cast<float>(1.0 / static_cast<double>(shape.std));
  return scale;
}

// Where a row or column of the result lies between two of the source.
struct Between {
  int lo, hi;
  float t;
};

// Product and sum stay apart, as kernels are compiled (kernels/device.h): a fused one would change the last
// bit.
__device__ inline Between Locate(int out, int in_size, int out_size) {
  const float scale = static_cast<float>(in_size) / static_cast<float>(out_size);
  const float at = static_cast<float>(out) * scale;
  Between result;
  result.lo = static_cast<int>(at);
  result.hi = result.lo + 1 < in_size ? result.lo + 1 : in_size - 1;
  result.t = at - static_cast<float>(result.lo);
  return result;
}

__device__ inline float Lerp(float a, float b, float t) {
  return a + (b - a) * t;
}

// Pixel (y, x) of `photo` resized to oh x ow and normalised.
__device__ inline void ResizedPixel(const PhotoEntry& photo, const uint8_t* bytes, const PixelScale& scale,
                                    int oh, int ow, int y, int x, float (&rgb)[3]) {
  const Between row = Locate(y, photo.height, oh), column = Locate(x, photo.width, ow);
  const bool paired = photo.paired_rows != 0;
  const size_t row_bytes = static_cast<size_t>(photo.width) * 3;
  const uint8_t* top = bytes + photo.offset + (paired ? 2 * y : row.lo) * row_bytes;
  const uint8_t* bottom = bytes + photo.offset + (paired ? 2 * y + 1 : row.hi) * row_bytes;
  const size_t lo = static_cast<size_t>(column.lo) * 3, hi = static_cast<size_t>(column.hi) * 3;
  for (int c = 0; c < 3; ++c) {
    const float above = Lerp(static_cast<float>(top[lo + c]), static_cast<float>(top[hi + c]), column.t);
    const float below =
        Lerp(static_cast<float>(bottom[lo + c]), static_cast<float>(bottom[hi + c]), column.t);
    const float centred = Lerp(above, below, row.t) - scale.mean;
    rgb[c] = scale.divide ? centred / scale.factor : centred * scale.factor;
  }
}

// One pixel of kChannels, zeros after the third; where there are more than three, dst is aligned to 16 bytes.
template <class T, int kChannels>
struct PixelStore {
  static __device__ void Store(T* dst, const float (&rgb)[3]) {
    const float padded[kChannels] = {rgb[0], rgb[1], rgb[2]};
    StoreFloats<kChannels>(dst, padded);
  }
};
template <class T>
struct PixelStore<T, 3> {
  static __device__ void Store(T* dst, const float (&rgb)[3]) {
    for (int c = 0; c < 3; ++c) {
      const float one[1] = {rgb[c]};
      StoreFloats<1>(dst + c, one);
    }
  }
};

template <class T, int kChannels>
__global__ void PreprocessKernel(int oh, int ow, PixelScale scale, const uint8_t* bytes,
                                 const PhotoEntry* photos, T* dst) {
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (x >= ow) return;
  const int y = static_cast<int>(blockIdx.y), n = static_cast<int>(blockIdx.z);
  float rgb[3];
  ResizedPixel(photos[n], bytes, scale, oh, ow, y, x, rgb);
  PixelStore<T, kChannels>::Store(dst + ((static_cast<size_t>(n) * oh + y) * ow + x) * kChannels, rgb);
}

}  // namespace couplet
