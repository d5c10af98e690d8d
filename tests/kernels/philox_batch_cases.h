// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/philox_batch.h"

namespace couplet::test {

struct PhiloxBatchCase {
  const char* name;
  int count, n;
  std::vector<size_t> lists;  // rows of each class; 0: it has none
  PhiloxBatchDraw draw;
};

inline const PhiloxBatchCase kPhiloxBatchCases[] = {
    {"one row", 1, 1, {1}, {0, 0, 0, 1}},
    {"one list of one", 3, 7, {1}, {1, 0, 5, 1}},
    {"a class without rows", 5, 11, {4, 0, 3, 0, 9}, {77, 1, 0, 1}},
    {"a thread short of a block", 1, 127, {10, 20, 30}, {3, 0, 1, 1}},
    {"a thread more than a block", 3, 43, {10, 20, 30}, {3, 2, 1, 1}},
    {"the flowers", 10, 100, {505, 724, 515, 552, 640}, {0, 0, 3990, 1}},
    {"validation, every tenth step", 7, 100, {64, 92, 59, 69, 78}, {0x0123456789abcdef, 1, 20, 10}},
    {"late steps and a large seed", 2, 5, {2, 3}, {0xffffffffffffffff, 0, 0xffffffff, 1}},
};

}  // namespace couplet::test
