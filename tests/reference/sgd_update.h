// One step of gradient descent, and what summaries say of a tensor, in plain double loops.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace couplet::reference {

// before - rate * gradient
inline std::vector<double> StepDown(const std::vector<float>& before, const std::vector<double>& gradient,
                                    float rate) {
  std::vector<double> after;
  for (size_t i = 0; i < before.size(); ++i) after.push_back(before[i] - double{rate} * gradient[i]);
  return after;
}

// [n, classes] -> [classes]
inline std::vector<double> SumOfRows(int n, int classes, const std::vector<float>& slopes) {
  std::vector<double> sums(static_cast<size_t>(classes), 0.0);
  for (int i = 0; i < n; ++i)
    for (int c = 0; c < classes; ++c)
      sums[static_cast<size_t>(c)] +=
          slopes[static_cast<size_t>(i) * static_cast<size_t>(classes) + static_cast<size_t>(c)];
  return sums;
}

struct Stats {
  double mean = 0.0, stddev = 0.0, min = 0.0, max = 0.0;
};
inline Stats StatsOf(const std::vector<float>& values) {
  Stats s;
  s.min = *std::min_element(values.begin(), values.end());
  s.max = *std::max_element(values.begin(), values.end());
  for (const float v : values) s.mean += v / static_cast<double>(values.size());
  for (const float v : values) s.stddev += (v - s.mean) * (v - s.mean) / static_cast<double>(values.size());
  s.stddev = std::sqrt(s.stddev);
  return s;
}

}  // namespace couplet::reference
