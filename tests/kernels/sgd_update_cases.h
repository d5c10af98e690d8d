// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/sgd_update.h"

namespace couplet::test {

// Around a block of weights (2048), of biases (32), of rows that share a bias (8); the models' own.
inline const SgdUpdateShape kSgdUpdateCases[] = {
    {1, 1, 1, 0.5f},    {3, 5, 2, 0.25f},     {7, 409, 5, 0.5f},    {8, 256, 8, 0.5f},
    {9, 683, 3, 2.0f},  {100, 1001, 5, 0.5f}, {16, 64, 31, 0.5f},   {17, 64, 32, 0.125f},
    {15, 65, 33, 1.0f}, {5, 31, 101, 0.5f},   {100, 2048, 5, 0.5f},
};

}  // namespace couplet::test
