// See depthwise.h. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/clamp.cuh"
#include "kernels/depthwise.h"
#include "kernels/device.h"

namespace couplet {

constexpr int kDepthwiseThreads = 128;

template <typename T>
__global__ void __launch_bounds__(kDepthwiseThreads)
    DepthwiseKernel(DepthwiseShape shape, const T* __restrict__ src, const float* __restrict__ weights,
                    const float* __restrict__ bias, T* __restrict__ dst, int outputs) {
  const int index = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (index >= outputs) return;
  const int o = index % shape.oc, pixel = index / shape.oc;
  const int ox = pixel % shape.ow, oy = pixel / shape.ow % shape.oh, n = pixel / shape.ow / shape.oh;
  const int i = o / (shape.oc / shape.ic);
  float sum = bias != nullptr ? bias[o] : 0.0f;
  for (int ky = 0; ky < shape.kh; ++ky) {
    const int iy = oy * shape.sh - shape.pad_top + ky * shape.dh;
    if (iy < 0 || iy >= shape.ih) continue;
    for (int kx = 0; kx < shape.kw; ++kx) {
      const int ix = ox * shape.sw - shape.pad_left + kx * shape.dw;
      if (ix < 0 || ix >= shape.iw) continue;
      FloatVec<1> x =
          LoadFloats<1>(src + ((static_cast<int64_t>(n) * shape.ih + iy) * shape.iw + ix) * shape.ic + i);
      if (shape.clip_src) ClipAtSix(x);
      sum = fmaf(x[0], weights[(ky * shape.kw + kx) * shape.oc + o], sum);
    }
  }
  const float out[1] = {Clamp(shape.activation)(sum)};
  StoreFloats<1>(dst + static_cast<int64_t>(pixel) * shape.dst_stride + o, out);
}

// Whether the shape makes sense, and its number of outputs fits an int.
inline bool ValidDepthwise(const DepthwiseShape& s) {
  if (s.n < 1 || s.ih < 1 || s.iw < 1 || s.ic < 1 || s.oh < 1 || s.ow < 1 || s.oc < 1 || s.oc % s.ic != 0)
    return false;
  if (s.kh < 1 || s.kw < 1 || s.sh < 1 || s.sw < 1 || s.dh < 1 || s.dw < 1) return false;
  if (s.pad_top < 0 || s.pad_left < 0 || (s.dst_stride != 0 && s.dst_stride < s.oc)) return false;
  constexpr int64_t kMost = 0x7fffffff - 2 * kDepthwiseThreads;
  int64_t outputs = s.n;
  for (const int size : {s.oh, s.ow, s.oc}) {
    outputs *= size;
    if (outputs > kMost) return false;
  }
  return true;
}

// Whether depthwise3x3 and what builds upon it take the shape.
inline bool ValidDepthwise3x3(const DepthwiseShape& s) {
  return ValidDepthwise(s) && s.kh == 3 && s.kw == 3 && s.dh == 1 && s.dw == 1 && s.ic == s.oc &&
         s.sh == s.sw && s.sh <= 2;
}

}  // namespace couplet
