// SPDX-License-Identifier: Apache-2.0
#include "loaders/nearest_name.h"

#include <algorithm>
#include <utility>

namespace couplet {

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);  // distances of a's beginning to every beginning of b
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row[b.size()];
}

std::vector<std::string_view> NearestNames(std::string_view wanted,
                                           const std::vector<std::string_view>& names, size_t count) {
  const size_t furthest = std::max<size_t>(2, wanted.size() / 2);
  std::vector<std::pair<size_t, std::string_view>> ranked;
  for (std::string_view name : names) {
    const bool is_last_part = name.size() > wanted.size() + 1 && !wanted.empty() && name.ends_with(wanted) &&
                              name[name.size() - wanted.size() - 1] == '/';
    // Lengths alone rule most names out, however long a hostile file makes them.
    const size_t length_gap =
        name.size() > wanted.size() ? name.size() - wanted.size() : wanted.size() - name.size();
    if (!is_last_part && length_gap > furthest) continue;
    const size_t distance = is_last_part ? 0 : EditDistance(wanted, name);
    if (distance <= furthest) ranked.emplace_back(distance, name);
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string_view> nearest;
  for (size_t i = 0; i < ranked.size() && i < count; ++i) nearest.push_back(ranked[i].second);
  return nearest;
}

}  // namespace couplet
