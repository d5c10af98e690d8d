// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/head_steps.h"

namespace couplet::test {

struct HeadStepsCase {
  int features, classes, n, validation;
};

// Around a block's features (64), a group of classes (4), rows looked at together (128); every number of
// threads that share a gradient; the models' own widths.
inline const HeadStepsCase kHeadStepsCases[] = {
    {1, 1, 1, 0},     {3, 2, 4, 1},       {63, 3, 127, 5},   {64, 4, 128, 128},
    {65, 5, 129, 9},  {130, 8, 100, 131}, {200, 9, 20, 3},   {70, 12, 260, 0},
    {127, 31, 33, 7}, {128, 32, 64, 64},  {1001, 5, 25, 25},
};

}  // namespace couplet::test
