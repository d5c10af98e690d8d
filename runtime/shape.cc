// SPDX-License-Identifier: Apache-2.0
#include "runtime/shape.h"

#include <fmt/format.h>

namespace couplet {

std::optional<int64_t> ElementCount(std::span<const int64_t> dims) {
  if (dims.size() > kMaxRank) return std::nullopt;
  int64_t count = 1;
  for (int64_t dim : dims) {
    if (dim < 0 || dim > INT32_MAX) return std::nullopt;
    auto product = CheckedMul(count, dim);
    if (!product || *product > kMaxElements) return std::nullopt;
    count = *product;
  }
  return count;
}

std::string ToString(const Shape& shape) {
  return fmt::format("{}x{}x{}x{}", shape.n, shape.h, shape.w, shape.c);
}

}  // namespace couplet
