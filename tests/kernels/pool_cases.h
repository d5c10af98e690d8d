// The pools that tests and benchmarks run. oh and ow follow from TensorFlow's SAME or VALID.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/pool.h"

namespace couplet::test {

struct PoolKernelCase {
  const char* name;
  PoolShape shape;
};

inline const PoolKernelCase kPoolCases[] = {
    //                         n  ih  iw  c    oh  ow  kh kw sh sw top left stride average
    {"one pixel",             {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, false}},
    {"one pixel, padded",     {2, 1, 1, 3, 1, 1, 3, 3, 2, 2, 1, 1, 0, true}},
    {"mixed average 3x3 SAME", {2, 8, 8, 40, 8, 8, 3, 3, 1, 1, 1, 1, 0, true}},
    {"SAME/2, even size",     {1, 6, 8, 8, 3, 4, 3, 3, 2, 2, 0, 0, 0, false}},
    {"SAME/2, odd size",      {1, 7, 9, 8, 4, 5, 3, 3, 2, 2, 1, 1, 0, true}},
    {"SAME/2, even and odd",  {2, 6, 9, 8, 3, 5, 3, 3, 2, 2, 0, 1, 24, false}},
    {"average 3x3 SAME, odd", {2, 6, 5, 16, 6, 5, 3, 3, 1, 1, 1, 1, 32, true}},
    {"average 3x3 VALID",     {1, 7, 7, 8, 5, 5, 3, 3, 1, 1, 0, 0, 0, true}},
    {"prime strides",         {3, 19, 13, 5, 4, 2, 4, 2, 5, 7, 1, 1, 0, true}},
    {"prime strides, max",    {2, 17, 23, 7, 6, 5, 2, 5, 3, 5, 0, 2, 0, false}},
    {"large window",          {1, 11, 10, 16, 2, 2, 9, 10, 7, 3, 2, 3, 0, true}},
    {"slice",                 {2, 9, 9, 16, 4, 4, 3, 3, 2, 2, 0, 0, 40, false}},
    {"slice, odd stride",     {2, 9, 9, 16, 4, 4, 3, 3, 2, 2, 0, 0, 23, true}},
    {"block's end",           {1, 5, 129, 8, 5, 129, 2, 2, 1, 1, 0, 0, 0, false}},
    {"Inception pool_1",      {1, 71, 71, 192, 35, 35, 3, 3, 2, 2, 0, 0, 0, false}},
    {"Inception mixed_8",     {1, 17, 17, 768, 8, 8, 3, 3, 2, 2, 0, 0, 1280, false}},
    {"Inception mixed_9",     {1, 8, 8, 1280, 8, 8, 3, 3, 1, 1, 1, 1, 0, true}},
    {"MobileNet 7x7",         {2, 7, 7, 256, 1, 1, 7, 7, 2, 2, 0, 0, 0, true}},
};

}  // namespace couplet::test
