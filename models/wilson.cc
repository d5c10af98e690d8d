// SPDX-License-Identifier: Apache-2.0
#include "models/wilson.h"

#include <algorithm>
#include <cmath>

namespace couplet {

Interval WilsonInterval(int right, int n) {
  if (n <= 0) return {};
  constexpr double z = 1.959963984540054;  // of the normal distribution 95 % lie within
  const double share = static_cast<double>(right) / n;
  const double denominator = 1.0 + z * z / n;
  const double centre = (share + z * z / (2.0 * n)) / denominator;
  const double half = z * std::sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n)) / denominator;
  return {right == 0 ? 0.0 : std::max(0.0, centre - half), right == n ? 1.0 : std::min(1.0, centre + half)};
}

}  // namespace couplet
