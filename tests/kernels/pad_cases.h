// The pads that tests and benchmarks run.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/pad.h"

namespace couplet::test {

struct PadCase {
  const char* name;
  PadShape shape;
};

inline const PadCase kPadCases[] = {
    //                      n  ih iw c   top left bottom right stride
    {"nothing to pad",     {1, 1, 1, 1, 0, 0, 0, 0, 0}},
    {"one pixel, all sides", {2, 1, 1, 3, 1, 2, 3, 4, 0}},
    {"SAME/2",             {2, 8, 6, 16, 0, 0, 1, 1, 0}},
    {"four pads",          {3, 5, 7, 8, 3, 1, 2, 4, 0}},
    {"slice",              {2, 5, 7, 8, 1, 1, 1, 1, 24}},
    {"slice, odd stride",  {2, 5, 7, 8, 1, 1, 1, 1, 13}},
    {"block's end",        {1, 2, 130, 3, 1, 1, 0, 0, 0}},
    {"MobileNet b2",       {1, 112, 112, 8, 0, 0, 1, 1, 0}},
};

}  // namespace couplet::test
