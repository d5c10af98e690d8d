// The element-wise layers that tests and benchmarks run.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/bias_activation.h"

namespace couplet::test {

struct BiasActivationCase {
  const char* name;
  BiasActivationShape shape;
  bool scale, offset;
};

inline const BiasActivationCase kBiasActivationCases[] = {
    //                        pixels c  src dst strides
    {"one value",            {1, 1, 0, 0, Activation::kNone}, true, true},
    {"bias",                 {35, 5, 0, 0, Activation::kNone}, false, true},
    {"scale, ReLU",          {37, 8, 0, 0, Activation::kRelu}, true, false},
    {"ReLU6 alone",          {33, 24, 0, 0, Activation::kRelu6}, false, false},
    {"batch norm, ReLU6",    {49, 32, 0, 0, Activation::kRelu6}, true, true},
    {"two blocks",           {257, 16, 0, 0, Activation::kRelu}, true, true},
    {"two blocks, scalars",  {147, 7, 0, 0, Activation::kRelu6}, true, true},
    {"slices",               {29, 16, 24, 40, Activation::kRelu6}, true, true},
    {"slices, odd strides",  {29, 16, 17, 41, Activation::kRelu}, true, true},
    {"more than a block a pixel", {2, 1101, 0, 0, Activation::kRelu6}, true, true},
    {"Inception mixed_10",   {64, 2048, 0, 0, Activation::kRelu}, false, true},
};

}  // namespace couplet::test
