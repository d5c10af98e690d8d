// SPDX-License-Identifier: Apache-2.0
#include "models/zeroed_vector.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <span>

#include "tests/support/test.h"

namespace couplet {
namespace {

bool AllZero(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return value == 0.0f; });
}

TEST_CASE("zeroed vector: begins as zeros, in memory that was used before, too") {
  for (const size_t count : {size_t{1}, size_t{1000}, size_t{3} << 20}) {
    CAPTURE(count);
    for (int round = 0; round < 3; ++round) {
      void* const used = std::malloc(count * sizeof(float));
      REQUIRE(used != nullptr);
      std::memset(used, 0x7f, count * sizeof(float));
      std::free(used);
      ZeroedVector vector(count);
      CHECK(AllZero(vector));
      std::fill(vector.begin(), vector.end(), 3.0f);
    }
  }
}

TEST_CASE("zeroed vector: grows, is copied and filled as any vector") {
  ZeroedVector vector;
  for (int i = 0; i < 2000; ++i) vector.push_back(static_cast<float>(i));
  vector.resize(size_t{2} << 20);
  CHECK(vector[1999] == 1999.0f);
  CHECK(AllZero(std::span(vector).subspan(2000)));
  const ZeroedVector copy = vector;
  CHECK(copy == vector);
  vector.assign(3, 2.5f);
  CHECK(vector == ZeroedVector{2.5f, 2.5f, 2.5f});
}

}  // namespace
}  // namespace couplet
