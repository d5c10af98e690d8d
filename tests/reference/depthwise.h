// Depthwise convolution by its definition, in double, all outputs of it. Shares no code with the kernels.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace couplet::reference {

struct DepthwiseSizes {
  int n, ih, iw, ic, oh, ow, multiplier, kh, kw, sh, sw, dh, dw, pad_top, pad_left;
};
struct DepthwiseResult {
  std::vector<double> values;      // [n, oh, ow, ic * multiplier], before the activation
  std::vector<double> magnitudes;  // |bias| + sum of |x * w|
};

inline DepthwiseResult DepthwiseConvolution(const DepthwiseSizes& s, const std::vector<float>& src,
                                            const std::vector<float>& weights,
                                            const std::vector<float>& bias) {
  DepthwiseResult result;
  for (int n = 0; n < s.n; ++n)
    for (int y = 0; y < s.oh; ++y)
      for (int x = 0; x < s.ow; ++x)
        for (int i = 0; i < s.ic; ++i)
          for (int m = 0; m < s.multiplier; ++m) {
            const int oc = s.ic * s.multiplier, o = i * s.multiplier + m;
            double value = bias.empty() ? 0.0 : static_cast<double>(bias[static_cast<size_t>(o)]);
            double magnitude = std::fabs(value);
            for (int ky = 0; ky < s.kh; ++ky)
              for (int kx = 0; kx < s.kw; ++kx) {
                const int sy = y * s.sh + ky * s.dh - s.pad_top, sx = x * s.sw + kx * s.dw - s.pad_left;
                if (sy < 0 || sx < 0 || sy >= s.ih || sx >= s.iw) continue;
                const size_t from = ((static_cast<size_t>(n) * s.ih + sy) * s.iw + sx) * s.ic + i;
                const size_t by = (static_cast<size_t>(ky) * s.kw + kx) * oc + o;
                const double product = static_cast<double>(src[from]) * static_cast<double>(weights[by]);
                value += product;
                magnitude += std::fabs(product);
              }
            result.values.push_back(value);
            result.magnitudes.push_back(magnitude);
          }
  return result;
}

}  // namespace couplet::reference
