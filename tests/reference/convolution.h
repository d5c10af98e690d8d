// One output of a convolution, by the definition, added up in double. Shares no code with the engine.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace couplet::reference {

struct Sum {
  double value = 0.0;
  double magnitude = 0.0;  // sum of |x * w|: rounding errors are bounded by a small multiple of eps times it
};

struct ConvolutionCase {
  int ih, iw, ic, oc, kh, kw, sh, sw, dh, dw, pad_top, pad_left;
  bool depthwise;  // weights [kh, kw, ic, oc / ic], else [kh, kw, ic, oc]
};

// Output (y, x, o) of photo n before the activation; empty scale or bias as in the engine.
inline Sum ConvolutionAt(const ConvolutionCase& c, const std::vector<float>& src,
                         const std::vector<float>& weights, const std::vector<float>& scale,
                         const std::vector<float>& bias, int n, int y, int x, int o) {
  Sum sum;
  const int multiplier = c.depthwise ? c.oc / c.ic : 1;
  for (int ky = 0; ky < c.kh; ++ky)
    for (int kx = 0; kx < c.kw; ++kx)
      for (int i = 0; i < c.ic; ++i) {
        if (c.depthwise && i != o / multiplier) continue;
        const int sy = y * c.sh - c.pad_top + ky * c.dh, sx = x * c.sw - c.pad_left + kx * c.dw;
        if (sy < 0 || sy >= c.ih || sx < 0 || sx >= c.iw) continue;
        const size_t at_src = ((static_cast<size_t>(n) * c.ih + sy) * c.iw + sx) * c.ic + i;
        const size_t at_weight = c.depthwise ? (static_cast<size_t>(ky) * c.kw + kx) * c.oc + o
                                             : ((static_cast<size_t>(ky) * c.kw + kx) * c.ic + i) * c.oc + o;
        double product = static_cast<double>(src[at_src]) * static_cast<double>(weights[at_weight]);
        if (!scale.empty()) product *= static_cast<double>(scale[static_cast<size_t>(o)]);
        sum.value += product;
        sum.magnitude += std::fabs(product);
      }
  if (!bias.empty()) {
    sum.value += static_cast<double>(bias[static_cast<size_t>(o)]);
    sum.magnitude += std::fabs(static_cast<double>(bias[static_cast<size_t>(o)]));
  }
  return sum;
}

}  // namespace couplet::reference
