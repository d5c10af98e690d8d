// One step of plain gradient descent on the last layer's weights and biases, all or nothing: what is not
// finite leaves both as they were.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/head_result.h"
#include "kernels/launch.h"

namespace couplet {

struct SgdUpdateShape {
  int n;         // rows of the batch, >= 1
  int features;  // >= 1
  int classes;   // >= 1
  float learning_rate;
};

// What TensorBoard's scalars show of a tensor. stddev: sqrt(mean((x - mean)^2)), as in retrain.py.
struct TensorStats {
  float mean, stddev, min, max;
};

// Of one block's values; scratch between the two kernels of an update.
struct SgdPartial {
  float count, mean, m2, min, max;  // m2: sum of (x - mean)^2
  int finite;
};

// SgdPartials, and floats of `next`, that an update needs as scratch.
int SgdUpdatePartials(const SgdUpdateShape& shape);
int64_t SgdUpdateNextFloats(const SgdUpdateShape& shape);

struct SgdUpdateArgs {
  SgdUpdateShape shape;
  const float* gradient;  // [features, classes] of the mean loss at the weights
  const float*
      slopes;      // [n, classes] of the mean loss at the logits: their sum over rows is the biases' gradient
  float* weights;  // [features, classes]
  float* biases;   // [classes]
  float* next;     // scratch
  SgdPartial* partials;  // scratch
  HeadResult* result;  // of the step's forward pass: finite == 0 on entry means no update; set to 0 where an
                       // updated parameter is not finite
  TensorStats* stats;  // [2] of weights and biases after an update that was made; null = not wanted
};

// weights -= learning_rate * gradient; biases -= learning_rate * (sum of slopes over rows).
LaunchResult LaunchSgdUpdate(const SgdUpdateArgs& args, DeviceStream stream);

}  // namespace couplet
