// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/softmax_xent.h"

namespace couplet::test {

// Around every number of lanes a row and of rows a block; the codelab's own; ImageNet's classes.
inline const SoftmaxXentShape kSoftmaxXentCases[] = {
    {1, 1},   {1, 2},   {3, 3},   {127, 4}, {129, 4}, {100, 5},  {64, 7},   {65, 8},   {33, 9},   {31, 16},
    {33, 17}, {16, 31}, {17, 32}, {15, 33}, {9, 101}, {5, 1001}, {1024, 2}, {1025, 3}, {2100, 5}, {1030, 7},
};

}  // namespace couplet::test
