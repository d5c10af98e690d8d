// What one pass of the last layer over a batch tells, as it lies on the device (runtime/head_trainer.h:
// BatchResult).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace couplet {

struct HeadResult {
  float mean_loss;  // mean over the rows of -log softmax(logits)[label]
  int32_t correct;  // rows whose largest logit is the label's; of equals the first counts, as in TensorFlow's
                    // argmax
  int32_t finite;  // 1; 0 where a logit or the loss is not finite, a step's updated parameters are not, or an
                   // earlier step of the same run was not
};

}  // namespace couplet
