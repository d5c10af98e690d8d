// Softmax and cross-entropy of a batch in one pass: loss, probabilities, the gradient at the logits, and how
// many rows were right.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/head_result.h"
#include "kernels/launch.h"

namespace couplet {

struct SoftmaxXentShape {
  int n;        // rows, >= 1
  int classes;  // >= 1
};

// HeadResults that SoftmaxXent needs as scratch.
int SoftmaxXentPartials(const SoftmaxXentShape& shape);

struct SoftmaxXentOutputs {
  float* logits;         // [n, classes] src + biases; null = not wanted, as for the two below
  float* probabilities;  // [n, classes]
  float* slopes;         // [n, classes] d(mean loss)/d(logit) = (probability - 1 at the label) / n
};

// src [n, classes] row-major, biases [classes] (null: zero), labels [n], each in [0, classes). No output may
// overlap src. `partials`: SoftmaxXentPartials(shape). `previous`: the result of the step before, null =
// none; where that was not finite, neither is this, so that a chain of steps stops at its first bad one. The
// largest logit of a row is subtracted before exp. A row's numbers do not depend on the rows beside it.
LaunchResult LaunchSoftmaxXent(const SoftmaxXentShape& shape, const float* src, const float* biases,
                               const int32_t* labels, const SoftmaxXentOutputs& outputs, HeadResult* partials,
                               const HeadResult* previous, HeadResult* result, DeviceStream stream);

}  // namespace couplet
