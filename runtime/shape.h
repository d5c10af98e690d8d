// Sizes that come from files are multiplied here and nowhere else: every product is checked.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace couplet {

inline constexpr int kMaxRank = 8;
inline constexpr int64_t kMaxElements = int64_t{1} << 28;

inline std::optional<int64_t> CheckedMul(int64_t a, int64_t b) {
  int64_t product;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}
inline std::optional<int64_t> CheckedAdd(int64_t a, int64_t b) {
  int64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

// Number of elements of a tensor with these dimensions; nullopt when a dimension is negative or >= 2^31, the rank
// is over kMaxRank or the product over kMaxElements.
std::optional<int64_t> ElementCount(std::span<const int64_t> dims);

// What flows between layers: NHWC. A matrix [n, c] has h = w = 1. Layers are described for one photo (n = 1); the
// batch is chosen when a session is made.
struct Shape {
  int n = 1, h = 1, w = 1, c = 1;
  int64_t per_image() const { return int64_t{h} * w * c; }
  int64_t elements() const { return n * per_image(); }
  friend bool operator==(const Shape&, const Shape&) = default;
};
std::string ToString(const Shape& shape);  // "1x56x56x64"

}  // namespace couplet
