// Activations as ranges. NaN passes through, so that a wrong number stays visible.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/device.h"
#include "kernels/ptx.h"

namespace couplet {

struct Clamp {
  float low, high;
  __device__ explicit Clamp(Activation activation)
      : low(activation == Activation::kNone ? -INFINITY : 0.0f),
        high(activation == Activation::kRelu6 ? 6.0f : INFINITY) {}
  __device__ float operator()(float x) const { return MinOrNan(MaxOrNan(x, low), high); }
};

// min(x, 6), for a source whose producer left the upper half of a ReLU6 to its readers.
template <int N>
__device__ inline void ClipAtSix(FloatVec<N>& x) {
  for (int i = 0; i < N; ++i) x[i] = MinOrNan(x[i], 6.0f);
}

}  // namespace couplet
