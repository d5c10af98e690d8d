// The lengths that tests and benchmarks convert.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/convert.h"

namespace couplet::test {

struct ConvertCase {
  const char* name;
  ConvertShape shape;
};

inline const ConvertCase kConvertCases[] = {
    {"one", {1}},          {"seven", {7}},           {"one vector", {8}},  {"a vector and a tail", {13}},
    {"a block", {2048}},   {"a block and 1", {2049}}, {"1001", {1001}},    {"MobileNet's logits", {8 * 1001}},
};

}  // namespace couplet::test
