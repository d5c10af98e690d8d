// See head_steps.h; what lies where is in head_memory.cuh.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/finite.cuh"
#include "kernels/head_memory.cuh"
#include "kernels/lanes.cuh"

namespace couplet {

// logits = biases + partial sums in the order of the blocks, for rows [first, first + count) of a batch whose
// rows begin at row `offset` of the launch. They go where the slopes will be.
__device__ inline void HeadAddPartials(const HeadStepArgs& a, int offset, int first, int count,
                                       const HeadShared& s) {
  // A thread's logits, and loads of each, under way together.
  constexpr int kLogits = 2, kLoads = kHeadHolds ? 16 : 8;
  const int classes = a.shape.classes, logits = count * classes, blocks = static_cast<int>(gridDim.x);
  const int64_t stride = static_cast<int64_t>(HeadRowsOf(a.finish)) * classes;
  const float* const partials =
      HeadPartials(a, a.from, a.finish) + static_cast<int64_t>(offset + first) * classes;
  const float* const biases = OfHead(a.biases, classes);
#pragma unroll 1
  for (int base = static_cast<int>(threadIdx.x); base < logits; base += kLogits * kHeadThreads) {
    float z[kLogits];
    const float* p[kLogits];
#pragma unroll
    for (int m = 0; m < kLogits; ++m) {
      const int i = min(base + m * kHeadThreads, logits - 1);
      p[m] = partials + i;
      z[m] = biases[i - HeadDivide(i, s.layout) * classes];
    }
#pragma unroll 1
    for (int block = 0; block < blocks; block += kLoads) {
      float part[kLoads][kLogits];
#pragma unroll
      for (int k = 0; k < kLoads; ++k)
#pragma unroll
        for (int m = 0; m < kLogits; ++m) {
          part[k][m] = block + k < blocks ? *p[m] : 0.0f;
          p[m] += stride;
        }
#pragma unroll
      for (int k = 0; k < kLoads; ++k)
#pragma unroll
        for (int m = 0; m < kLogits; ++m)
          if (block + k < blocks) z[m] += part[k][m];
    }
#pragma unroll
    for (int m = 0; m < kLogits; ++m) {
      const int i = base + m * kHeadThreads;
      if (i < logits) s.slopes[HeadPlace(i, classes, s.layout.pitch, s)] = z[m];
    }
  }
}

// One thread a row: loss, whether it is right and finite, added to the thread's own sums in shared memory;
// the logits become slopes, four at a time. Slopes of classes that do not exist become 0.
__device__ inline void HeadSoftmax(const HeadStepArgs& a, const HeadStepsBatch& batch, int first, int count,
                                   const HeadShared& s) {
  const int r = static_cast<int>(threadIdx.x), classes = a.shape.classes, width = 4 * s.layout.groups;
  if (r >= count) return;
  const int label = OfHead(batch.labels, batch.stride)[first + r];
  float* const z = s.slopes + r * s.layout.pitch;
#pragma unroll 1
  for (int c = classes; c < width; ++c) z[c] = 0.0f;
  float largest = -INFINITY;
  int best = classes, bad = 0;
#pragma unroll 1
  for (int c4 = 0; c4 < width; c4 += 4) {
    const FloatVec<4> logit = LoadFloats<4>(z + c4);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (!IsFinite(logit[i])) bad = 1;
      if (c4 + i < classes && logit[i] > largest) {
        largest = logit[i];
        best = c4 + i;
      }
    }
  }
  const float at_label = z[label] - largest;
  float rest = 0.0f;
#pragma unroll 1
  for (int c4 = 0; c4 < width; c4 += 4) {
    FloatVec<4> e = LoadFloats<4>(z + c4);
#pragma unroll
    for (int i = 0; i < 4; ++i) e[i] = expf(e[i] - largest);
#pragma unroll
    for (int i = 0; i < 4; ++i)
      if (c4 + i < classes && c4 + i != best) rest += e[i];
    StoreFloats<4>(z + c4, e);
  }
  const float total = 1.0f + rest, scale = 1.0f / static_cast<float>(batch.n);
#pragma unroll 1
  for (int c4 = 0; c4 < width; c4 += 4) {
    FloatVec<4> slope = LoadFloats<4>(z + c4);
#pragma unroll
    for (int i = 0; i < 4; ++i)
      slope[i] = c4 + i < classes ? (slope[i] / total - (c4 + i == label ? 1.0f : 0.0f)) * scale : 0.0f;
    StoreFloats<4>(z + c4, slope);
  }
  const float loss = log1pf(rest) - at_label;
  s.losses[r] += loss;
  s.corrects[r] += best == label ? 1 : 0;
  s.bads[r] += bad != 0 || !IsFinite(loss) ? 1 : 0;
}

__device__ inline void HeadClearSums(const HeadShared& s) {
  const int t = static_cast<int>(threadIdx.x);
  if (t < kHeadRows) {
    s.losses[t] = 0.0f;
    s.corrects[t] = 0;
    s.bads[t] = 0;
  }
}

// Sum of kHeadRows numbers in shared memory, of pairs in a fixed tree; the same in every lane.
template <typename N>
__device__ inline N HeadSum(const N* numbers) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  return SumOfLanes<32>((numbers[lane] + numbers[lane + 64]) + (numbers[lane + 32] + numbers[lane + 96]));
}

// The batch's result from the threads' sums, the same in every thread: each warp adds for itself.
__device__ inline HeadResult HeadSumRows(const HeadStepsBatch& batch, const HeadShared& s) {
  HeadResult result;
  result.mean_loss = HeadSum(s.losses) / static_cast<float>(batch.n);
  result.correct = HeadSum(s.corrects);
  result.finite = HeadSum(s.bads) == 0 && IsFinite(result.mean_loss);
  return result;
}

// What a thread holds of the gradient: item i is feature i % 64, group of classes (i / 64) % groups, and of
// the rows every `shares`-th. With few classes several threads share an item's rows, so that all have work.
struct HeadGradient {
  float weights[kHeadItems][4];
  float bias;  // of class t % 32, every 8th row: block 0 only
};

__device__ inline int HeadShares(int groups) {
  return groups == 1 ? 4 : groups == 2 ? 2 : 1;
}

__device__ inline void HeadAddGradient(int count, const HeadShared& s, HeadGradient* g) {
  const int t = static_cast<int>(threadIdx.x), groups = s.layout.groups, shares = HeadShares(groups);
  for (int m = 0; m < kHeadItems; ++m) {
    const int item = t + m * kHeadThreads;
    if (item >= kHeadFeatures * groups * shares) break;
    const int f = item % kHeadFeatures, group = item / kHeadFeatures % groups;
#pragma unroll 8
    for (int r = item / (kHeadFeatures * groups); r < count; r += shares) {
      const float x = s.vectors[r * kHeadPitch + f];
      const FloatVec<4> slope = LoadFloats<4>(s.slopes + r * s.layout.pitch + 4 * group);
      for (int i = 0; i < 4; ++i) g->weights[m][i] = fmaf(x, slope[i], g->weights[m][i]);
    }
  }
  if (blockIdx.x != 0 || t % 32 >= 4 * groups) return;
#pragma unroll 8
  for (int r = t / 32; r < count; r += kHeadThreads / 32) g->bias += s.slopes[r * s.layout.pitch + t % 32];
}

// weights and biases, less the gradient: this block's weights in shared memory and in `to`; block 0 the
// biases. True in a thread whose new parameters are finite. Uses the room of the vectors.
__device__ inline bool HeadApply(const HeadStepArgs& a, const HeadGradient& g, const HeadShared& s) {
  const int t = static_cast<int>(threadIdx.x), groups = s.layout.groups, shares = HeadShares(groups);
  const int items = kHeadFeatures * groups;
  const float rate = a.heads.learning_rates[blockIdx.y];
  float* const sums = s.vectors;                                  // [shares, groups, 64, 4]
  float* const bias_sums = sums + kHeadItems * kHeadThreads * 4;  // [8, 32]
  __syncthreads();
  for (int m = 0; m < kHeadItems; ++m)
    if (t + m * kHeadThreads < items * shares)
      StoreFloats<4>(sums + (t + m * kHeadThreads) * 4, g.weights[m]);
  bias_sums[t] = g.bias;
  __syncthreads();  // every share of the sums
  bool finite = true;
  for (int i = t; i < items * 4; i += kHeadThreads) {
    const int f = i / 4 % kHeadFeatures, c = 4 * (i / (4 * kHeadFeatures)) + i % 4;
    float sum = 0.0f;
    for (int share = 0; share < shares; ++share) sum += sums[share * items * 4 + i];
    float* const w = s.weights + f * 4 * groups + c;
    *w = fmaf(-rate, sum, *w);
    if (!IsFinite(*w)) finite = false;
  }
  if (blockIdx.x == 0 && t < a.shape.classes) {
    float sum = 0.0f;
    for (int i = 0; i < kHeadThreads / 32; ++i) sum += bias_sums[i * 32 + t];
    const float b = fmaf(-rate, sum, OfHead(a.biases, a.shape.classes)[t]);
    OfHead(a.states[a.to].biases, a.shape.classes)[t] = b;
    if (!IsFinite(b)) finite = false;
  }
  return finite;
}

// An evaluation's batch, by one block.
__device__ inline void HeadEvaluate(const HeadStepArgs& a, int which, const HeadShared& s) {
  const HeadStepsBatch& batch = a.finish[which];
  const int offset = which == 1 ? a.finish[0].n : a.finish[0].n + a.finish[1].n;
  __syncthreads();
  HeadClearSums(s);
  for (int first = 0; first < batch.n; first += kHeadRows) {
    const int count = min(kHeadRows, batch.n - first);
    HeadAddPartials(a, offset, first, count, s);
    __syncthreads();
    HeadSoftmax(a, batch, first, count, s);
    __syncthreads();
  }
  const HeadResult result = HeadSumRows(batch, s);
  if (threadIdx.x == 0) *HeadResultOf(a, batch.result) = result;
}

// The training batch of the step that the launch before began; its first rows' logits and *vectors are there.
// Updates the weights in shared memory; false where the forward pass was not finite and nothing was updated.
__device__ inline bool HeadTrain(const HeadStepArgs& a, const HeadShared& s, HeadVectors* vectors,
                                 bool* finite) {
  const HeadStepsBatch& batch = a.finish[0];
  HeadGradient gradient = {};
  HeadClearSums(s);
  for (int first = 0; first < batch.n; first += kHeadRows) {
    const int count = min(kHeadRows, batch.n - first);
    if (first > 0) {
      __syncthreads();
      HeadLoadVectors(a, batch, first, count, vectors);
      HeadAddPartials(a, 0, first, count, s);
      __syncthreads();  // a row's logits are of several threads
    }
    HeadSoftmax(a, batch, first, count, s);
    HeadStoreVectors(a, batch, first, count, *vectors, s);
    __syncthreads();  // slopes and vectors are there
    HeadAddGradient(count, s, &gradient);
  }
  const HeadResult result = HeadSumRows(batch, s);
  if (blockIdx.x == 0 && threadIdx.x == 0) *HeadResultOf(a, batch.result) = result;
  if (result.finite == 0) return false;
  *finite = HeadApply(a, gradient, s);
  return true;
}

// Partial sums of a batch's logits over this block's features; thread: one row, four classes. Of batch 0
// the first rows' *vectors are there.
__device__ inline void HeadForward(const HeadStepArgs& a, int which, int offset, const HeadShared& s,
                                   HeadVectors* vectors) {
  const HeadStepsBatch& batch = a.begin[which];
  const int groups = s.layout.groups, classes = a.shape.classes;
  float* const partials = HeadPartials(a, a.to, a.begin) +
                          (static_cast<int64_t>(blockIdx.x) * HeadRowsOf(a.begin) + offset) * classes;
  for (int first = 0; first < batch.n; first += kHeadRows) {
    const int count = min(kHeadRows, batch.n - first);
    if (which > 0 || first > 0) HeadLoadVectors(a, batch, first, count, vectors);
    __syncthreads();
    HeadStoreVectors(a, batch, first, count, *vectors, s);
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < count * groups; i += kHeadThreads) {
      const int r = i % count, group = i / count;
      float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll 4
      for (int f = 0; f < kHeadFeatures; f += 4) {
        const FloatVec<4> x = LoadFloats<4>(s.vectors + r * kHeadPitch + f);
        for (int k = 0; k < 4; ++k) {
          const FloatVec<4> w = LoadFloats<4>(s.weights + (f + k) * 4 * groups + 4 * group);
          for (int c = 0; c < 4; ++c) sum[c] = fmaf(x[k], w[c], sum[c]);
        }
      }
      for (int c = 0; c < 4; ++c)
        if (4 * group + c < classes)
          partials[static_cast<int64_t>(first + r) * classes + 4 * group + c] = sum[c];
    }
  }
}

// 0: the head goes on. Else what flags[0] becomes: it had stopped, or an update of the launch before was not
// finite, and the parameters before that one lie in the state that this launch would have overwritten. A
// barrier.
__device__ inline int HeadStopped(const HeadStepArgs& a) {
  int32_t stopped = 0;
  bool finite = true;
  if (a.from >= 0) {
    const int32_t* const flags = HeadFlags(a, a.from);
    stopped = flags[0];
    for (int i = static_cast<int>(threadIdx.x); i < static_cast<int>(gridDim.x); i += kHeadThreads)
      finite = finite && flags[1 + i] != 0;
  }
  const bool all_finite = __syncthreads_and(finite) != 0;
  if (stopped != 0) return stopped;
  return all_finite ? 0 : 1 + a.to;
}

// The head has stopped: says so to the next launch and in the results; block 0.
__device__ inline void HeadStop(const HeadStepArgs& a, int stopped) {
  if (blockIdx.x != 0 || threadIdx.x != 0) return;
  const bool update_was_bad = HeadFlags(a, a.from)[0] == 0;
  if (update_was_bad && a.updated != nullptr) HeadResultOf(a, a.updated)->finite = 0;
  HeadFlags(a, a.to)[0] = stopped;
  for (int i = 0; i < 3; ++i)
    if (a.finish[i].n > 0) HeadResultOf(a, a.finish[i].result)->finite = 0;
}

__global__ void __launch_bounds__(kHeadThreads, 1) HeadStepKernel(HeadStepArgs a) {
  COUPLET_DYNAMIC_SHARED(float, memory);
  if (HeadIsStopped(a.heads)) return;
  const HeadShared s = MakeHeadShared(memory, a.shape.classes);
  const int finished = a.finish[0].n, begun = a.begin[0].n;
  const int finished_count = min(kHeadRows, finished), begun_count = min(kHeadRows, begun);
  HeadWeights weights;
  HeadLoadWeights(a, s, &weights);
  if (finished > 0) HeadAddPartials(a, 0, 0, finished_count, s);
  HeadVectors finished_vectors = {}, begun_vectors = {};
  if (finished > 0) HeadLoadVectors(a, a.finish[0], 0, finished_count, &finished_vectors);
  if (begun > 0) HeadLoadVectors(a, a.begin[0], 0, begun_count, &begun_vectors);
  const int stopped = HeadStopped(a);
  if (stopped != 0) {
    HeadStop(a, stopped);
    return;
  }
  HeadPlaceWeights(a, weights, s);
  bool finite = true, good = true;
  if (finished > 0) {
    good = HeadTrain(a, s, &finished_vectors, &finite);
  } else if (blockIdx.x == 0 && static_cast<int>(threadIdx.x) < a.shape.classes) {
    OfHead(a.states[a.to].biases, a.shape.classes)[threadIdx.x] = OfHead(a.biases, a.shape.classes)[threadIdx.x];
  }
  if (good) {
    const bool all_finite = __syncthreads_and(finite) != 0;
    HeadStoreWeights(a, s);
    int offset = 0;
    for (int which = 0; which < 3; ++which) {
      HeadForward(a, which, offset, s, &begun_vectors);
      offset += a.begin[which].n;
    }
    if (threadIdx.x == 0) HeadFlags(a, a.to)[1 + blockIdx.x] = all_finite ? 1 : 0;
  }
  if (blockIdx.x == 0 && threadIdx.x == 0) HeadFlags(a, a.to)[0] = good ? 0 : 1 + a.from;
  // Evaluations are of the parameters before this launch's update, whatever became of that.
  for (int which = 1; which < 3; ++which)
    if (a.finish[which].n > 0 && static_cast<int>(blockIdx.x) == which % static_cast<int>(gridDim.x))
      HeadEvaluate(a, which, s);
}

// After a run: a head's last good parameters go where the run's are, and the last step's result learns whether its
// update was finite. `a.from` is the last launch's state, `a.to` the other one.
__global__ void __launch_bounds__(kHeadThreads)
    HeadEndKernel(HeadStepArgs a, float* __restrict__ weights, float* __restrict__ biases) {
  if (HeadIsStopped(a.heads)) return;
  const int stopped = HeadStopped(a);
  if (stopped != 0) HeadStop(a, stopped);
  const HeadState& good = a.states[stopped == 0 ? a.from : stopped - 1];
  const int classes = a.shape.classes, count = HeadWeightsOf(a.shape);
  float* const own = HeadOwnWeights(a.shape, weights);
  const float* const own_good = HeadOwnWeights(a.shape, good.weights);
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kHeadThreads) own[i] = own_good[i];
  if (blockIdx.x == 0 && static_cast<int>(threadIdx.x) < classes)
    OfHead(biases, classes)[threadIdx.x] = OfHead(good.biases, classes)[threadIdx.x];
}

}  // namespace couplet
