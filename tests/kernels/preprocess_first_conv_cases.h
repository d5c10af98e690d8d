// The fused beginnings of networks that tests and benchmarks run.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/preprocess_first_conv.h"
#include "tests/kernels/preprocess_cases.h"

namespace couplet::test {

struct PreprocessFirstConvCase {
  const char* name;
  std::vector<PhotoSize> photos;
  PreprocessShape resize;  // n follows from photos, oh and ow from conv
  FirstConvShape conv;
  bool bias;
};

inline const PreprocessFirstConvCase kPreprocessFirstConvCases[] = {
    //   conv:          n ih iw . oh ow oc top left stride
    {"one pixel", {{3, 5, false}}, {0, 0, 0, 3, 127.5f, 127.5f, false},
     {0, 1, 1, 3, 1, 1, 8, 1, 1, 0, Activation::kNone}, true},
    {"SAME, even size", {{31, 17, false}, {9, 40, true}}, {0, 0, 0, 3, 127.5f, 127.5f, false},
     {0, 20, 26, 3, 10, 13, 16, 0, 0, 0, Activation::kRelu6}, true},
    {"SAME, odd size", {{31, 17, true}, {9, 40, false}}, {0, 0, 0, 3, 128.0f, 128.0f, true},
     {0, 21, 71, 3, 11, 36, 8, 1, 1, 0, Activation::kRelu}, false},
    {"VALID, tile's end", {{50, 40, false}}, {0, 0, 0, 3, 128.0f, 128.0f, true},
     {0, 17, 65, 3, 8, 32, 13, 0, 0, 0, Activation::kRelu}, true},
    {"slice", {{50, 40, false}}, {0, 0, 0, 3, 127.5f, 127.5f, false},
     {0, 19, 67, 3, 9, 33, 16, 0, 0, 40, Activation::kRelu6}, true},
    {"MobileNet 0.25_128", {{320, 240, false}, {240, 331, true}}, {0, 0, 0, 3, 127.5f, 127.5f, false},
     {0, 128, 128, 3, 64, 64, 8, 0, 0, 0, Activation::kRelu6}, true},
    {"Inception", {{500, 375, false}}, {0, 0, 0, 3, 128.0f, 128.0f, false},
     {0, 299, 299, 3, 149, 149, 32, 0, 0, 0, Activation::kRelu}, true},
};

}  // namespace couplet::test
