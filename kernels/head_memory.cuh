// Where head_steps keeps its numbers: what launches leave for each other, a block's shared memory, and how
// vectors and weights come in and go out.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/device.h"
#include "kernels/head_steps.h"

namespace couplet {

constexpr int kHeadThreads = 256;
constexpr int kHeadFeatures = 64;              // a block's
constexpr int kHeadRows = 128;                 // rows looked at together
constexpr int kHeadPitch = kHeadFeatures + 4;  // of vectors in shared memory: 16-byte rows on different banks
constexpr int kHeadItems =
    512 / kHeadThreads;  // gradient items a thread: 64 features x 8 groups of 4 classes
constexpr int kHeadRowStep = kHeadThreads / kHeadFeatures;  // rows that all threads move at a time
constexpr int kHeadHeld = kHeadRows / kHeadRowStep;  // values that a thread moves
// Whether a batch's vectors wait in registers: Nano's and TX2's 128 a thread do not hold them, nor as many
// partial sums.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 700
constexpr bool kHeadHolds = false;
#else
constexpr bool kHeadHolds = true;
#endif
constexpr int kHeadWeights = kHeadFeatures * kHeadStepsMaxClasses / kHeadThreads;  // that a thread moves

// What one launch leaves for the next, head after head.
struct HeadState {
  float* weights;   // [heads, features, classes]
  float* biases;    // [heads, classes]
  float* partials;  // [heads, blocks, rows of the launch, classes]
  int32_t* flags;  // [heads, 1 + blocks]: 0, or 1 + which state holds the last parameters that are good (the
                   // head has stopped); then of each block whether its updated parameters are finite
};

struct HeadStepArgs {
  HeadStepsShape shape;
  HeadStepsHeads heads;
  const float* vectors;
  const float* weights;  // parameters to begin with: state `from`'s, or in launch 0 the run's
  const float* biases;
  HeadState states[2];
  int from;                  // state of the launch before; -1 in launch 0
  int to;                    // state this one leaves
  HeadStepsBatch finish[3];  // what the launch before began: [0] trains, [1] and [2] are evaluations
  HeadStepsBatch begin[3];
  HeadResult* updated;  // of the step that the launch before finished; null: none
};

// This block's head is blockIdx.y: its share of an array that has `each` elements a head.
template <typename T>
__device__ inline T* OfHead(T* all, int each) {
  return all + static_cast<uint64_t>(blockIdx.y) * static_cast<unsigned>(each);
}
__device__ inline bool HeadIsStopped(const HeadStepsHeads& heads) {
  return (heads.stopped >> blockIdx.y & 1) != 0;
}

// Shared memory of a block, in floats from the start of the dynamic part.
struct HeadLayout {
  int groups;        // of 4 classes
  int pitch;         // of a row of slopes: 4 * an odd number
  unsigned inverse;  // of the number of classes
  int slopes, weights, losses, corrects, bads, total;
};

__host__ __device__ inline HeadLayout MakeHeadLayout(int classes) {
  HeadLayout l;
  l.groups = (classes + 3) / 4;
  l.pitch = 4 * (l.groups | 1);
  l.inverse = (1u << 18) / static_cast<unsigned>(classes) + 1;
  l.slopes = kHeadRows * kHeadPitch;
  l.weights = l.slopes + kHeadRows * l.pitch;
  l.losses = l.weights + kHeadFeatures * 4 * l.groups;
  l.corrects = l.losses + kHeadRows;
  l.bads = l.corrects + kHeadRows;
  l.total = l.bads + kHeadRows;
  return l;
}

// i / classes for 0 <= i < 2^18 / 32, by a multiplication: the inverse is 2^18 / classes and at most 1 more,
// so what it adds stays below the 1 / classes that would make a quotient too large.
__host__ __device__ inline int HeadDivide(int i, const HeadLayout& l) {
  return static_cast<int>(static_cast<unsigned>(i) * l.inverse >> 18);
}

struct HeadShared {
  HeadLayout layout;
  float* vectors;     // [kHeadRows, kHeadPitch]
  float* slopes;      // [kHeadRows, layout.pitch]
  float* weights;     // [kHeadFeatures, 4 * layout.groups]; classes and features that do not exist are 0
  float* losses;      // [kHeadRows]
  int32_t* corrects;  // [kHeadRows]
  int32_t* bads;      // [kHeadRows]
};

__device__ inline HeadShared MakeHeadShared(float* memory, int classes) {
  HeadShared s;
  s.layout = MakeHeadLayout(classes);
  s.vectors = memory;
  s.slopes = memory + s.layout.slopes;
  s.weights = memory + s.layout.weights;
  s.losses = memory + s.layout.losses;
  s.corrects = reinterpret_cast<int32_t*>(memory + s.layout.corrects);
  s.bads = reinterpret_cast<int32_t*>(memory + s.layout.bads);
  return s;
}

// Where number i of a dense array with a row of classes lies in one whose rows are `pitch` apart.
__device__ inline int HeadPlace(int i, int classes, int pitch, const HeadShared& s) {
  const int row = HeadDivide(i, s.layout);
  return row * pitch + i - row * classes;
}

// A launch is short, and most of it would be waiting for memory: what does not depend on its arithmetic is
// loaded at its start, all of it together, and waits in registers until its turn comes.

// A thread's share of a block's features of rows [first, first + count) of a batch: feature t % 64 of every 4th row. Past the
// end the last row again, so that every load is good.
struct HeadVectors {
  float x[kHeadHeld];
};

__device__ inline float HeadVectorAt(const HeadStepArgs& a, uint32_t row) {
  const int feature = static_cast<int>(blockIdx.x * kHeadFeatures + threadIdx.x % kHeadFeatures);
  if (feature >= a.shape.features) return 0.0f;
  // In bytes, so that an address is one multiply-add.
  const uint64_t pitch = static_cast<unsigned>(a.shape.features) * static_cast<unsigned>(sizeof(float));
  return *reinterpret_cast<const float*>(reinterpret_cast<const char*>(a.vectors + feature) + row * pitch);
}

__device__ inline uint32_t HeadRowAt(const HeadStepsBatch& batch, int first, int count, int k) {
  const int at = static_cast<int>(threadIdx.x) / kHeadFeatures;
  return OfHead(batch.rows, batch.stride)[first + min(at + k * kHeadRowStep, count - 1)];
}

__device__ inline void HeadLoadVectors(const HeadStepArgs& a, const HeadStepsBatch& batch, int first, int count,
                                       HeadVectors* vectors) {
  if (kHeadHolds) {
    uint32_t rows[kHeadHeld];
#pragma unroll
    for (int k = 0; k < kHeadHeld; ++k) rows[k] = HeadRowAt(batch, first, count, k);
#pragma unroll
    for (int k = 0; k < kHeadHeld; ++k) vectors->x[k] = HeadVectorAt(a, rows[k]);
  }
}

// To shared memory: what was loaded, or where nothing is held, what is loaded now.
__device__ inline void HeadStoreVectors(const HeadStepArgs& a, const HeadStepsBatch& batch, int first, int count,
                                        const HeadVectors& vectors, const HeadShared& s) {
  const int t = static_cast<int>(threadIdx.x);
  float* const column = s.vectors + t / kHeadFeatures * kHeadPitch + t % kHeadFeatures;
  if (kHeadHolds) {
#pragma unroll
    for (int k = 0; k < kHeadHeld; ++k) column[k * kHeadRowStep * kHeadPitch] = vectors.x[k];
  } else {
#pragma unroll 4
    for (int k = 0; k < kHeadHeld; ++k)
      column[k * kHeadRowStep * kHeadPitch] = HeadVectorAt(a, HeadRowAt(batch, first, count, k));
  }
}

// How many weights a block owns, and where they lie, together, in an array of all heads': number i is of its
// feature i / classes, class i % classes.
__device__ inline int HeadWeightsOf(const HeadStepsShape& shape) {
  return min(kHeadFeatures, shape.features - static_cast<int>(blockIdx.x) * kHeadFeatures) * shape.classes;
}
template <typename T>
__device__ inline T* HeadOwnWeights(const HeadStepsShape& shape, T* weights) {
  return OfHead(weights, shape.features * shape.classes) +
         static_cast<int64_t>(blockIdx.x) * kHeadFeatures * shape.classes;
}

struct HeadWeights {
  float w[kHeadWeights];
};

// Clears their place in shared memory as well, where there is more than they fill.
__device__ inline void HeadLoadWeights(const HeadStepArgs& a, const HeadShared& s, HeadWeights* weights) {
  const int t = static_cast<int>(threadIdx.x), count = HeadWeightsOf(a.shape);
  const float* const own = HeadOwnWeights(a.shape, a.weights);
#pragma unroll
  for (int k = 0; k < kHeadWeights; ++k)
    weights->w[k] = t + k * kHeadThreads < count ? own[t + k * kHeadThreads] : 0.0f;
  const float zero[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  for (int i = t; i < kHeadFeatures * s.layout.groups; i += kHeadThreads)
    StoreFloats<4>(s.weights + 4 * i, zero);
}

__device__ inline void HeadPlaceWeights(const HeadStepArgs& a, const HeadWeights& weights,
                                        const HeadShared& s) {
  const int classes = a.shape.classes, count = HeadWeightsOf(a.shape);
#pragma unroll
  for (int k = 0; k < kHeadWeights; ++k) {
    const int i = static_cast<int>(threadIdx.x) + k * kHeadThreads;
    if (i >= count) break;
    s.weights[HeadPlace(i, classes, 4 * s.layout.groups, s)] = weights.w[k];
  }
}

__device__ inline void HeadStoreWeights(const HeadStepArgs& a, const HeadShared& s) {
  const int classes = a.shape.classes, count = HeadWeightsOf(a.shape);
  float* const own = HeadOwnWeights(a.shape, a.states[a.to].weights);
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kHeadThreads)
    own[i] = s.weights[HeadPlace(i, classes, 4 * s.layout.groups, s)];
}

// Rows that all batches of a launch have together: a head's partial sums lie [block][row][class].
__device__ inline int HeadRowsOf(const HeadStepsBatch* batches) {
  return batches[0].n + batches[1].n + batches[2].n;
}
__device__ inline float* HeadPartials(const HeadStepArgs& a, int state, const HeadStepsBatch* batches) {
  return OfHead(a.states[state].partials, static_cast<int>(gridDim.x) * HeadRowsOf(batches) * a.shape.classes);
}

__device__ inline int32_t* HeadFlags(const HeadStepArgs& a, int state) {
  return OfHead(a.states[state].flags, 1 + static_cast<int>(gridDim.x));
}
__device__ inline HeadResult* HeadResultOf(const HeadStepArgs& a, HeadResult* result) {
  return OfHead(result, a.heads.results);
}

}  // namespace couplet
