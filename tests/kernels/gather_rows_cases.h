// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/gather_rows.h"

namespace couplet::test {

struct GatherRowsCase {
  const char* name;
  GatherRowsShape shape;
  int count;   // rows there are
  int offset;  // floats that src and dst begin behind an aligned place
};

inline const GatherRowsCase kGatherRowsCases[] = {
    {"one number", {1, 1}, 1, 0},
    {"odd rows", {5, 3}, 4, 0},
    {"even rows", {3, 6}, 4, 0},
    {"one vector", {3, 4}, 7, 0},
    {"a block of single floats and one", {4, 257}, 5, 0},
    {"a block of vectors less one", {2, 1020}, 3, 0},
    {"a block of vectors and one", {2, 1028}, 3, 0},
    {"aligned rows at an unaligned place", {6, 64}, 6, 1},
    {"MobileNet", {100, 1001}, 150, 0},
    {"Inception", {100, 2048}, 130, 0},
};

}  // namespace couplet::test
