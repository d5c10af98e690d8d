// Body of the softmax kernel: a block a row. Every thread keeps every 128th channel, partial results meet in
// a tree.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/device.h"
#include "kernels/softmax.h"

namespace couplet {

constexpr int kSoftmaxThreads = 128;

struct Larger {
  __device__ float operator()(float a, float b) const { return b > a ? b : a; }
};
struct Plus {
  __device__ float operator()(float a, float b) const { return a + b; }
};

// combine() over `mine` of every thread, as a tree, in every thread. `part`: kSoftmaxThreads shared floats.
template <class Combine>
__device__ inline float OverThreads(const Combine& combine, float mine, float* part) {
  const int thread = static_cast<int>(threadIdx.x);
  part[thread] = mine;
  for (int half = kSoftmaxThreads / 2; half > 0; half /= 2) {
    __syncthreads();  // the level below is whole
    if (thread < half) part[thread] = combine(part[thread], part[thread + half]);
  }
  __syncthreads();  // the root is there
  const float result = part[0];
  __syncthreads();  // and read by all
  return result;
}

template <class T>
__global__ void SoftmaxKernel(SoftmaxShape shape, const T* src, T* dst) {
  COUPLET_SHARED(float, part, [kSoftmaxThreads]);
  const int thread = static_cast<int>(threadIdx.x);
  const T* from = src + static_cast<size_t>(blockIdx.x) * shape.src_stride;
  T* to = dst + static_cast<size_t>(blockIdx.x) * shape.dst_stride;

  const Larger larger;  // passes over NaN, which the sum then holds
  float top = -INFINITY;
  for (int c = thread; c < shape.c; c += kSoftmaxThreads) top = larger(top, LoadFloats<1>(from + c)[0]);
  top = OverThreads(larger, top, part);

  float sum = 0.0f;
  for (int c = thread; c < shape.c; c += kSoftmaxThreads) sum += expf(LoadFloats<1>(from + c)[0] - top);
  sum = OverThreads(Plus(), sum, part);

  for (int c = thread; c < shape.c; c += kSoftmaxThreads) {
    const float one[1] = {expf(LoadFloats<1>(from + c)[0] - top) / sum};
    StoreFloats<1>(to + c, one);
  }
}

}  // namespace couplet
