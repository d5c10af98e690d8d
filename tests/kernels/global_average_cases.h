// The global averages that tests and benchmarks run.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/global_average.h"

namespace couplet::test {

struct GlobalAverageCase {
  const char* name;
  GlobalAverageShape shape;
};

inline const GlobalAverageCase kGlobalAverageCases[] = {
    //                       n  pixels c  stride
    {"one value",           {1, 1, 1, 0}},
    {"fewer than rows",     {3, 7, 5, 0}},
    {"one more than rows",  {2, 9, 24, 0}},
    {"a block and a lane",  {2, 16, 33, 0}},
    {"vectors, two blocks", {1, 17, 264, 0}},
    {"slice",               {3, 13, 16, 48}},
    {"slice, odd stride",   {3, 13, 16, 19}},
    {"MobileNet 0.25",      {2, 16, 256, 0}},
    {"MobileNet 1.0",       {2, 49, 1024, 0}},
    {"Inception pool_3",    {2, 64, 2048, 0}},
};

}  // namespace couplet::test
