// "Did you mean ...": which of many names are closest to one that does not exist.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace couplet {

// Letters to insert, delete or change (Levenshtein).
size_t EditDistance(std::string_view a, std::string_view b);

// Up to `count` of `names`, nearest first. Names that end in `wanted` as a path component ("a/b/Reshape" for
// "Reshape") come before all; others only within half of wanted's length.
std::vector<std::string_view> NearestNames(std::string_view wanted,
                                           const std::vector<std::string_view>& names, size_t count);

}  // namespace couplet
