// Whole arrays against a reference: one check each, which says where the first difference is and how many
// there are.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "tests/support/test.h"

namespace couplet::test {

// Every got[i] equals want[i].
inline void CheckEqual(const std::vector<float>& got, const std::vector<double>& want) {
  REQUIRE(got.size() == want.size());
  size_t wrong = 0, first = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    if (static_cast<double>(got[i]) == want[i]) continue;
    if (wrong++ == 0) first = i;
  }
  CHECK_MESSAGE(wrong == 0, wrong, " of ", got.size(), " differ, first at ", first, ": ", got[first], " for ",
                want[first]);
}

// Every |got[i] - want[i]| <= bounds[i]; NaN fails.
inline void CheckWithin(const std::vector<float>& got, const std::vector<double>& want,
                        const std::vector<double>& bounds) {
  REQUIRE(got.size() == want.size());
  REQUIRE(got.size() == bounds.size());
  size_t wrong = 0, first = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::fabs(static_cast<double>(got[i]) - want[i]) <= bounds[i]) continue;
    if (wrong++ == 0) first = i;
  }
  CHECK_MESSAGE(wrong == 0, wrong, " of ", got.size(), " beyond their bounds, first at ", first, ": ",
                got[first], " for ", want[first], " +- ", bounds[first]);
}

}  // namespace couplet::test
