// The windows that tests and benchmarks gather.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/im2col.h"

namespace couplet::test {

struct Im2colCase {
  const char* name;
  Im2colShape shape;
};

inline const Im2colCase kIm2colCases[] = {
    //                               n  ih  iw  ic   oh  ow  kh kw sh sw dh dw top left
    {"one pixel",                   {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0}},
    {"one pixel, padded",           {2, 1, 1, 3, 1, 1, 3, 3, 1, 1, 1, 1, 1, 1}},
    {"one photo, 3x3 SAME",         {1, 8, 7, 8, 8, 7, 3, 3, 1, 1, 1, 1, 1, 1}},
    {"3x3 VALID",                   {2, 9, 8, 16, 7, 6, 3, 3, 1, 1, 1, 1, 0, 0}},
    {"3x3 SAME/2, even size",       {2, 8, 6, 8, 4, 3, 3, 3, 2, 2, 1, 1, 0, 0}},
    {"3x3 SAME/2, odd size",        {2, 7, 9, 8, 4, 5, 3, 3, 2, 2, 1, 1, 1, 1}},
    {"1x7",                         {2, 3, 9, 8, 3, 9, 1, 7, 1, 1, 1, 1, 0, 3}},
    {"7x1",                         {2, 9, 3, 8, 9, 3, 7, 1, 1, 1, 1, 1, 3, 0}},
    {"5x5 with padding",            {2, 6, 7, 24, 6, 7, 5, 5, 1, 1, 1, 1, 2, 2}},
    {"odd channels",                {2, 5, 6, 7, 5, 6, 3, 3, 1, 1, 1, 1, 1, 1}},
    {"four channels",               {2, 5, 6, 4, 5, 6, 3, 3, 1, 1, 1, 1, 1, 1}},
    {"dilated",                     {2, 9, 11, 4, 9, 11, 3, 3, 1, 1, 2, 3, 2, 3}},
    {"prime strides",               {3, 19, 13, 5, 4, 2, 4, 2, 5, 7, 1, 1, 1, 1}},
    {"windows past the end",        {2, 4, 5, 8, 6, 7, 2, 3, 2, 2, 1, 1, 1, 2}},
    {"several blocks a window",     {2, 3, 6, 515, 3, 5, 1, 1, 1, 1, 1, 1, 0, 0}},
    {"several blocks a row",        {2, 2, 131, 16, 2, 131, 3, 3, 1, 1, 1, 1, 1, 1}},
    {"1x1, stride 2",               {2, 9, 9, 8, 5, 5, 1, 1, 2, 2, 1, 1, 0, 0}},
    {"Inception conv_1",            {1, 149, 149, 32, 147, 147, 3, 3, 1, 1, 1, 1, 0, 0}},
    {"Inception conv_2",            {1, 147, 147, 32, 147, 147, 3, 3, 1, 1, 1, 1, 1, 1}},
    {"Inception conv_4",            {1, 73, 73, 80, 71, 71, 3, 3, 1, 1, 1, 1, 0, 0}},
    {"Inception mixed 5x5",         {1, 35, 35, 48, 35, 35, 5, 5, 1, 1, 1, 1, 2, 2}},
    {"Inception mixed 3x3",         {1, 35, 35, 96, 35, 35, 3, 3, 1, 1, 1, 1, 1, 1}},
    {"Inception mixed_3 3x3/2",     {1, 35, 35, 288, 17, 17, 3, 3, 2, 2, 1, 1, 0, 0}},
    {"Inception mixed_5 1x7",       {1, 17, 17, 160, 17, 17, 1, 7, 1, 1, 1, 1, 0, 3}},
    {"Inception mixed_7 7x1",       {1, 17, 17, 192, 17, 17, 7, 1, 1, 1, 1, 1, 3, 0}},
    {"Inception mixed_9 3x3",       {1, 8, 8, 448, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1}},
};

}  // namespace couplet::test
