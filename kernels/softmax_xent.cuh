// See softmax_xent.h. kLanes neighbouring threads (a power of two, as many as there are classes, at most a
// warp) share a row; a block takes a run of rows, and sums over rows are trees in an order that the shape
// alone decides.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/device.h"
#include "kernels/finite.cuh"
#include "kernels/lanes.cuh"
#include "kernels/softmax_xent.h"

namespace couplet {

constexpr int kSoftmaxXentThreads = 512;
constexpr int kSoftmaxXentRows = 1024;  // rows of a block

// The largest value among the lanes and the smallest index that has it.
template <int kLanes>
__device__ inline void FirstLargestOfLanes(float* value, int* index) {
  for (int offset = kLanes / 2; offset > 0; offset /= 2) {
    const float other = __shfl_xor_sync(0xffffffffu, *value, offset);
    const int other_index = __shfl_xor_sync(0xffffffffu, *index, offset);
    if (other > *value || (other == *value && other_index < *index)) {
      *value = other;
      *index = other_index;
    }
  }
}

struct SoftmaxXentArgs {
  SoftmaxXentShape shape;
  const float* src;
  const float* biases;
  const int32_t* labels;
  SoftmaxXentOutputs outputs;
  HeadResult* partials;
  const HeadResult* previous;
  HeadResult* result;
};

// One row by kLanes lanes; every lane of the warp comes here, `live` says whether its row exists. Adds to the
// sums, which are the same in all lanes of the row.
template <int kLanes>
__device__ inline void SoftmaxXentRow(const SoftmaxXentArgs& a, int row, int lane, bool live, float* loss,
                                      int* correct, int* bad) {
  const int classes = live ? a.shape.classes : 0;
  const int64_t begin = static_cast<int64_t>(row) * a.shape.classes;
  float largest = -INFINITY;
  int best = a.shape.classes, strange = 0;
  for (int c = lane; c < classes; c += kLanes) {
    const float z = a.src[begin + c] + (a.biases != nullptr ? a.biases[c] : 0.0f);
    if (!IsFinite(z)) strange = 1;
    if (z > largest) {
      largest = z;
      best = c;
    }
  }
  FirstLargestOfLanes<kLanes>(&largest, &best);
  // The largest logit's own share is exactly 1; without it log1p keeps the digits of a small loss.
  float rest = 0.0f, at_label = 0.0f;
  const int label = live ? a.labels[row] : -1;
  for (int c = lane; c < classes; c += kLanes) {
    const float z = a.src[begin + c] + (a.biases != nullptr ? a.biases[c] : 0.0f);
    if (c != best) rest += expf(z - largest);
    if (c == label) at_label = z - largest;
  }
  rest = SumOfLanes<kLanes>(rest);
  at_label = SumOfLanes<kLanes>(at_label);
  strange = SumOfLanes<kLanes>(strange);
  const float total = 1.0f + rest, scale = 1.0f / static_cast<float>(a.shape.n);
  for (int c = lane; c < classes; c += kLanes) {
    const float z = a.src[begin + c] + (a.biases != nullptr ? a.biases[c] : 0.0f);
    const float p = expf(z - largest) / total;
    if (a.outputs.logits != nullptr) a.outputs.logits[begin + c] = z;
    if (a.outputs.probabilities != nullptr) a.outputs.probabilities[begin + c] = p;
    if (a.outputs.slopes != nullptr) a.outputs.slopes[begin + c] = (p - (c == label ? 1.0f : 0.0f)) * scale;
  }
  if (!live) return;
  const float row_loss = log1pf(rest) - at_label;
  *loss += row_loss;
  *correct += best == label ? 1 : 0;
  *bad += strange != 0 || !IsFinite(row_loss) ? 1 : 0;
}

__device__ inline HeadResult FinishedResult(const SoftmaxXentArgs& a, float loss, int correct, int bad) {
  HeadResult result;
  result.mean_loss = loss / static_cast<float>(a.shape.n);
  result.correct = correct;
  result.finite =
      bad == 0 && IsFinite(result.mean_loss) && (a.previous == nullptr || a.previous->finite != 0);
  return result;
}

template <int kLanes>
__global__ void __launch_bounds__(kSoftmaxXentThreads) SoftmaxXentKernel(SoftmaxXentArgs a) {
  constexpr int kGroups = kSoftmaxXentThreads / kLanes;
  COUPLET_SHARED(float, losses, [kGroups]);
  COUPLET_SHARED(int, corrects, [kGroups]);
  COUPLET_SHARED(int, bads, [kGroups]);
  const int lane = static_cast<int>(threadIdx.x) % kLanes, group = static_cast<int>(threadIdx.x) / kLanes;
  const int first = static_cast<int>(blockIdx.x) * kSoftmaxXentRows;
  const int last = min(first + kSoftmaxXentRows, a.shape.n);
  float loss = 0.0f;
  int correct = 0, bad = 0;
  for (int base = first; base < last; base += kGroups)
    SoftmaxXentRow<kLanes>(a, base + group, lane, base + group < last, &loss, &correct, &bad);
  if (lane == 0) {
    losses[group] = loss;
    corrects[group] = correct;
    bads[group] = bad;
  }
  for (int half = kGroups / 2; half > 0; half /= 2) {
    __syncthreads();
    const int t = static_cast<int>(threadIdx.x);
    if (t < half) {
      losses[t] += losses[t + half];
      corrects[t] += corrects[t + half];
      bads[t] += bads[t + half];
    }
  }
  if (threadIdx.x != 0) return;
  if (gridDim.x == 1) {
    *a.result = FinishedResult(a, losses[0], corrects[0], bads[0]);
  } else {
    HeadResult* const partial = a.partials + blockIdx.x;
    partial->mean_loss = losses[0];
    partial->correct = corrects[0];
    partial->finite = bads[0] == 0;
  }
}

// Sums of several blocks, one after another: there are few.
__global__ void SoftmaxXentSumKernel(SoftmaxXentArgs a, int blocks) {
  float loss = 0.0f;
  int correct = 0, bad = 0;
  for (int i = 0; i < blocks; ++i) {
    loss += a.partials[i].mean_loss;
    correct += a.partials[i].correct;
    bad += a.partials[i].finite != 0 ? 0 : 1;
  }
  *a.result = FinishedResult(a, loss, correct, bad);
}

}  // namespace couplet
