// One output of a pool, by the definition: padding never wins a maximum and is not counted in an average.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "tests/reference/convolution.h"

namespace couplet::reference {

struct PoolCase {
  int ih, iw, c, kh, kw, sh, sw, pad_top, pad_left;
  bool average;
};

inline Sum PoolAt(const PoolCase& p, const std::vector<float>& src, int n, int y, int x, int channel) {
  double sum = 0.0, magnitude = 0.0, top = -std::numeric_limits<double>::infinity();
  int count = 0;
  for (int ky = 0; ky < p.kh; ++ky)
    for (int kx = 0; kx < p.kw; ++kx) {
      const int sy = y * p.sh - p.pad_top + ky, sx = x * p.sw - p.pad_left + kx;
      if (sy < 0 || sy >= p.ih || sx < 0 || sx >= p.iw) continue;
      const size_t at = ((static_cast<size_t>(n) * p.ih + sy) * p.iw + sx) * p.c + channel;
      const double value = static_cast<double>(src[at]);
      sum += value;
      magnitude += std::fabs(value);
      top = std::max(top, value);
      ++count;
    }
  if (!p.average) return {top, 0.0};
  return {sum / count, magnitude / count};
}

}  // namespace couplet::reference
