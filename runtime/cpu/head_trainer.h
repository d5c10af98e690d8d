// The last layer on the CPU: float32, the same bits on one machine every time.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "runtime/head_trainer.h"

namespace couplet {

// REQUIRES: features >= 1, classes >= 1, threads >= 1. Vectors are read where the caller keeps them, never copied.
std::unique_ptr<HeadTrainer> MakeCpuHeadTrainer(const HeadShape& shape);

}  // namespace couplet
