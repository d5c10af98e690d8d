// The first convolutions that tests and benchmarks run, also behind preprocess.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/first_conv.h"

namespace couplet::test {

struct FirstConvCase {
  const char* name;
  FirstConvShape shape;
  bool bias;
};

inline const FirstConvCase kFirstConvCases[] = {
    //                     n  ih  iw  stride oh ow oc top left stride
    {"one pixel",         {1, 1, 1, 3, 1, 1, 8, 1, 1, 0, Activation::kNone}, true},
    {"whole strips",      {2, 9, 32, 3, 4, 16, 8, 0, 0, 0, Activation::kRelu6}, true},
    {"whole strips, odd rows", {2, 10, 17, 3, 5, 8, 8, 0, 0, 0, Activation::kRelu6}, true},
    {"whole strips, left", {1, 9, 32, 3, 4, 16, 8, 0, 1, 0, Activation::kRelu6}, true},
    {"one channel",       {2, 5, 5, 3, 3, 3, 1, 1, 1, 0, Activation::kNone}, false},
    {"SAME, even size",   {2, 10, 12, 3, 5, 6, 8, 0, 0, 0, Activation::kRelu6}, true},
    {"SAME, odd size",    {2, 11, 9, 4, 6, 5, 16, 1, 1, 0, Activation::kRelu6}, true},
    {"VALID, odd size",   {1, 17, 11, 3, 8, 5, 24, 0, 0, 0, Activation::kRelu}, true},
    {"VALID, even size",  {1, 16, 12, 8, 7, 5, 32, 0, 0, 0, Activation::kNone}, true},
    {"top alone",         {1, 8, 9, 4, 4, 4, 8, 1, 0, 0, Activation::kRelu}, true},
    {"left alone",        {1, 9, 8, 3, 4, 4, 8, 0, 1, 0, Activation::kRelu}, true},
    {"odd channels",      {2, 9, 15, 4, 4, 7, 13, 0, 0, 0, Activation::kRelu6}, true},
    {"slice",             {2, 9, 15, 3, 5, 8, 16, 1, 1, 48, Activation::kRelu6}, true},
    {"slice, odd stride", {2, 9, 15, 5, 5, 8, 16, 1, 1, 21, Activation::kRelu6}, true},
    {"tile's end",        {1, 19, 69, 3, 9, 34, 8, 0, 0, 0, Activation::kRelu}, true},
    {"most channels",     {1, 5, 7, 4, 2, 3, 256, 0, 0, 0, Activation::kRelu6}, true},
    {"MobileNet 0.25_128", {2, 128, 128, 3, 64, 64, 8, 0, 0, 0, Activation::kRelu6}, true},
    {"MobileNet 0.50_224", {1, 224, 224, 3, 112, 112, 16, 0, 0, 0, Activation::kRelu6}, true},
    {"Inception",         {1, 299, 299, 3, 149, 149, 32, 0, 0, 0, Activation::kRelu}, true},
};

}  // namespace couplet::test
