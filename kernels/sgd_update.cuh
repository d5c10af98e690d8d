// See sgd_update.h. Two kernels over the same blocks: the first computes the next parameters into scratch and
// says of each block whether all are finite; the second looks at what all blocks said and only then moves its
// own into place. A block holds kSgdValues weights, or kSgdBiases biases, whose gradient it sums by the way.
// The numbers for summaries are of two passes in a block (mean, then squares about it) and are merged
// pairwise between blocks (Chan, Golub, LeVeque: "Updating formulae and a pairwise algorithm for computing
// sample variances", 1979).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/device.h"
#include "kernels/finite.cuh"
#include "kernels/sgd_update.h"

namespace couplet {

constexpr int kSgdThreads = 256;
constexpr int kSgdEach = 8;                              // weights a thread
constexpr int kSgdValues = kSgdThreads * kSgdEach;       // weights a block
constexpr int kSgdBiases = 32;                           // biases a block
constexpr int kSgdRowGroups = kSgdThreads / kSgdBiases;  // threads that share a bias

__host__ __device__ inline int64_t SgdWeights(const SgdUpdateShape& shape) {
  return static_cast<int64_t>(shape.features) * shape.classes;
}
__host__ __device__ inline int SgdWeightBlocks(const SgdUpdateShape& shape) {
  return static_cast<int>((SgdWeights(shape) + kSgdValues - 1) / kSgdValues);
}
__host__ __device__ inline int SgdBlocks(const SgdUpdateShape& shape) {
  return SgdWeightBlocks(shape) + CeilDiv(shape.classes, kSgdBiases);
}

// Sums over the block in a tree; every thread gets the sum. `shared` [kSgdThreads].
__device__ inline float SgdBlockSum(float x, float* shared) {
  const int t = static_cast<int>(threadIdx.x);
  __syncthreads();
  shared[t] = x;
  for (int half = kSgdThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (t < half) shared[t] += shared[t + half];
  }
  __syncthreads();
  return shared[0];
}

__device__ inline float SgdBlockMin(float x, float* shared) {
  const int t = static_cast<int>(threadIdx.x);
  __syncthreads();
  shared[t] = x;
  for (int half = kSgdThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (t < half) shared[t] = fminf(shared[t], shared[t + half]);
  }
  __syncthreads();
  return shared[0];
}

// The biases' gradient: thread t adds every kSgdRowGroups-th row for bias t % kSgdBiases, then the groups are
// added in order. Valid in threads below kSgdBiases.
__device__ inline float SgdBiasGradient(const SgdUpdateArgs& a, int first, float* shared) {
  const int t = static_cast<int>(threadIdx.x), c = first + t % kSgdBiases;
  float sum = 0.0f;
  if (c < a.shape.classes)
    for (int row = t / kSgdBiases; row < a.shape.n; row += kSgdRowGroups)
      sum += a.slopes[static_cast<int64_t>(row) * a.shape.classes + c];
  shared[t] = sum;
  __syncthreads();  // every group's sum
  if (t < kSgdBiases)
    for (int group = 1; group < kSgdRowGroups; ++group) sum += shared[group * kSgdBiases + t];
  return sum;
}

__global__ void __launch_bounds__(kSgdThreads) SgdUpdateKernel(SgdUpdateArgs a) {
  COUPLET_SHARED(float, shared, [kSgdThreads]);
  const int t = static_cast<int>(threadIdx.x), block = static_cast<int>(blockIdx.x);
  const int weight_blocks = SgdWeightBlocks(a.shape);
  const int64_t weights = SgdWeights(a.shape);
  float values[kSgdEach];
  int count = 0;
  bool finite = a.result->finite != 0;
  if (block < weight_blocks) {
    for (int i = 0; i < kSgdEach; ++i) {
      const int64_t at = static_cast<int64_t>(block) * kSgdValues + i * kSgdThreads + t;
      if (at >= weights) break;
      values[i] = fmaf(-a.shape.learning_rate, a.gradient[at], a.weights[at]);
      a.next[at] = values[i];
      finite = finite && IsFinite(values[i]);
      ++count;
    }
  } else {
    const int first = (block - weight_blocks) * kSgdBiases;
    const float gradient = SgdBiasGradient(a, first, shared);
    if (t < kSgdBiases && first + t < a.shape.classes) {
      values[0] = fmaf(-a.shape.learning_rate, gradient, a.biases[first + t]);
      a.next[weights + first + t] = values[0];
      finite = finite && IsFinite(values[0]);
      count = 1;
    }
  }
  SgdPartial partial = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 1};
  partial.finite = __syncthreads_and(finite);
  if (a.stats != nullptr) {
    float sum = 0.0f, least = INFINITY, most = INFINITY;  // `most` of the negatives
    for (int i = 0; i < kSgdEach; ++i) {
      if (i >= count) break;
      sum += values[i];
      least = fminf(least, values[i]);
      most = fminf(most, -values[i]);
    }
    partial.count = SgdBlockSum(static_cast<float>(count), shared);
    partial.mean = SgdBlockSum(sum, shared) / partial.count;
    float squares = 0.0f;
    for (int i = 0; i < kSgdEach; ++i) {
      if (i >= count) break;
      const float off = values[i] - partial.mean;
      squares = fmaf(off, off, squares);
    }
    partial.m2 = SgdBlockSum(squares, shared);
    partial.min = SgdBlockMin(least, shared);
    partial.max = -SgdBlockMin(most, shared);
  }
  if (t == 0) a.partials[block] = partial;
}

__device__ inline SgdPartial SgdMerge(const SgdPartial& a, const SgdPartial& b) {
  if (b.count == 0.0f) return a;
  if (a.count == 0.0f) return b;
  SgdPartial out;
  out.count = a.count + b.count;
  const float delta = b.mean - a.mean, share = b.count / out.count;
  out.mean = fmaf(delta, share, a.mean);
  out.m2 = a.m2 + b.m2 + delta * delta * a.count * share;
  out.min = fminf(a.min, b.min);
  out.max = fmaxf(a.max, b.max);
  out.finite = a.finite & b.finite;
  return out;
}

// Partials [first, last) merged in a tree by the whole block. `shared` [kSgdThreads].
__device__ inline TensorStats SgdStats(const SgdPartial* partials, int first, int last, SgdPartial* shared) {
  const int t = static_cast<int>(threadIdx.x);
  SgdPartial mine = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 1};
  for (int i = first + t; i < last; i += kSgdThreads) mine = SgdMerge(mine, partials[i]);
  __syncthreads();
  shared[t] = mine;
  for (int half = kSgdThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (t < half) shared[t] = SgdMerge(shared[t], shared[t + half]);
  }
  __syncthreads();
  const TensorStats stats = {shared[0].mean, sqrtf(shared[0].m2 / shared[0].count), shared[0].min,
                             shared[0].max};
  return stats;
}

__global__ void __launch_bounds__(kSgdThreads) SgdCommitKernel(SgdUpdateArgs a) {
  COUPLET_SHARED(SgdPartial, shared, [kSgdThreads]);
  const int t = static_cast<int>(threadIdx.x), block = static_cast<int>(blockIdx.x);
  const int weight_blocks = SgdWeightBlocks(a.shape), blocks = SgdBlocks(a.shape);
  const int64_t weights = SgdWeights(a.shape);
  bool finite = true;
  for (int i = t; i < blocks; i += kSgdThreads) finite = finite && a.partials[i].finite != 0;
  if (__syncthreads_and(finite) == 0) {
    if (block == 0 && t == 0) a.result->finite = 0;
    return;
  }
  if (block < weight_blocks) {
    for (int i = 0; i < kSgdEach; ++i) {
      const int64_t at = static_cast<int64_t>(block) * kSgdValues + i * kSgdThreads + t;
      if (at < weights) a.weights[at] = a.next[at];
    }
  } else {
    const int c = (block - weight_blocks) * kSgdBiases + t;
    if (t < kSgdBiases && c < a.shape.classes) a.biases[c] = a.next[weights + c];
  }
  if (a.stats == nullptr || block != 0) return;
  const TensorStats of_weights = SgdStats(a.partials, 0, weight_blocks, shared);
  const TensorStats of_biases = SgdStats(a.partials, weight_blocks, blocks, shared);
  if (t == 0) {
    a.stats[0] = of_weights;
    a.stats[1] = of_biases;
  }
}

}  // namespace couplet
