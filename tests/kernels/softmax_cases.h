// The rows of classes that tests and benchmarks run.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/softmax.h"

namespace couplet::test {

struct SoftmaxCase {
  const char* name;
  SoftmaxShape shape;
};

inline const SoftmaxCase kSoftmaxCases[] = {
    //                  rows c src dst strides
    {"one class",      {3, 1, 0, 0}},
    {"two classes",    {1, 2, 0, 0}},
    {"five flowers",   {7, 5, 0, 0}},
    {"127",            {2, 127, 0, 0}},
    {"128",            {2, 128, 0, 0}},
    {"129",            {2, 129, 0, 0}},
    {"strided rows",   {5, 37, 41, 64}},
    {"MobileNet 1001", {4, 1001, 0, 0}},
};

}  // namespace couplet::test
