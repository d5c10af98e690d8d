// The photos and sizes that tests and benchmarks resize.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/preprocess.h"

namespace couplet::test {

struct PhotoSize {
  int width, height;
  bool paired;  // only the rows that the resize reads are stored
};

struct PreprocessCase {
  const char* name;
  std::vector<PhotoSize> photos;
  PreprocessShape shape;  // n follows from photos
};

inline const PreprocessCase kPreprocessCases[] = {
    {"one pixel each", {{1, 1, false}}, {0, 1, 1, 3, 127.5f, 127.5f, false}},
    {"one pixel grows", {{1, 1, false}, {1, 2, false}, {2, 1, true}}, {0, 5, 7, 3, 128.0f, 128.0f, true}},
    {"shrinks to one", {{13, 11, false}, {3, 17, true}}, {0, 1, 1, 4, 128.0f, 128.0f, false}},
    {"same size", {{16, 12, false}, {16, 12, true}}, {0, 12, 16, 3, 0.0f, 255.0f, true}},
    {"sizes differ", {{31, 17, false}, {7, 41, true}, {64, 64, false}, {33, 1, false}},
     {0, 23, 29, 4, 127.5f, 127.5f, false}},
    {"eight channels", {{31, 17, true}, {7, 41, false}}, {0, 11, 19, 8, 128.0f, 128.0f, true}},
    {"past a block", {{97, 5, false}}, {0, 3, 131, 3, 127.5f, 127.5f, true}},
    {"exactly a block", {{300, 7, true}, {5, 9, false}}, {0, 4, 128, 4, 127.5f, 127.5f, false}},
    {"MobileNet 0.25_128", {{320, 240, false}, {240, 331, true}}, {0, 128, 128, 3, 127.5f, 127.5f, false}},
    {"MobileNet 224", {{500, 333, false}}, {0, 224, 224, 4, 127.5f, 127.5f, false}},
    {"Inception 299", {{500, 375, true}}, {0, 299, 299, 3, 128.0f, 128.0f, true}},
};

}  // namespace couplet::test
