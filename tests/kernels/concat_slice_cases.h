// The channel slices that tests and benchmarks copy.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/concat_slice.h"

namespace couplet::test {

struct ConcatSliceCase {
  const char* name;
  ConcatSliceShape shape;
  int at;  // first channel of the slice
};

inline const ConcatSliceCase kConcatSliceCases[] = {
    //                        pixels c src dst strides
    {"one value",            {1, 1, 0, 0}, 0},
    {"dense",                {51, 24, 0, 24}, 0},
    {"vectors",              {43, 16, 0, 64}, 32},
    {"odd first channel",    {43, 16, 0, 64}, 5},
    {"odd channels",         {43, 7, 0, 29}, 3},
    {"slice to slice",       {37, 8, 24, 40}, 16},
    {"two blocks",           {300, 16, 0, 32}, 16},
    {"more than a block a pixel", {3, 1300, 0, 1500}, 200},
    {"Inception mixed_8",    {64, 768, 0, 1280}, 512},
};

}  // namespace couplet::test
