// SPDX-License-Identifier: Apache-2.0
#include "runtime/shape.h"

#include "tests/support/test.h"

using namespace couplet;

TEST_CASE("shape: element counts refuse overflow, negative sizes and too many dimensions") {
  const auto count = [](std::vector<int64_t> dims) { return ElementCount(dims); };
  CHECK(count({}) == 1);
  CHECK(count({3, 3, 8, 16}) == 1152);
  CHECK(count({0, 5}) == 0);
  CHECK(count({1 << 14, 1 << 14}) == kMaxElements);
  CHECK_FALSE(count({1 << 14, (1 << 14) + 1}));
  CHECK_FALSE(count({-1, 4}));
  CHECK_FALSE(count({int64_t{1} << 31}));
  CHECK_FALSE(count({INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX}));  // CVE-2021-41197's product
  CHECK_FALSE(count({1, 1, 1, 1, 1, 1, 1, 1, 1}));
}
