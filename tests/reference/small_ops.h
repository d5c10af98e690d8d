// Single outputs of the element-wise layers, by the definition, in double. Shares no code with the engine.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "tests/reference/convolution.h"

namespace couplet::reference {

enum class Clip { kNone, kRelu, kRelu6 };

inline double Clipped(double value, Clip clip) {
  if (clip == Clip::kNone || std::isnan(value)) return value;
  return std::min(std::max(value, 0.0), clip == Clip::kRelu6 ? 6.0 : std::fabs(value));
}

// Before the activation. An empty scale counts as 1, an empty offset as 0.
inline Sum AffineAt(float x, const std::vector<float>& scale, const std::vector<float>& offset, int channel) {
  const size_t c = static_cast<size_t>(channel);
  const double product = static_cast<double>(x) * (scale.empty() ? 1.0 : static_cast<double>(scale[c]));
  const double shift = offset.empty() ? 0.0 : static_cast<double>(offset[c]);
  return {product + shift, std::fabs(product) + std::fabs(shift)};
}

inline std::vector<double> SoftmaxOf(const float* row, int channels) {
  std::vector<double> result(static_cast<size_t>(channels));
  const double top = *std::max_element(row, row + channels);
  double sum = 0.0;
  for (size_t c = 0; c < result.size(); ++c) sum += result[c] = std::exp(static_cast<double>(row[c]) - top);
  for (double& p : result) p /= sum;
  return result;
}

// Value of photo n padded by zeros to [oh, ow]; (y, x) in the padded photo.
inline float PaddedAt(const std::vector<float>& src, int ih, int iw, int c, int pad_top, int pad_left, int n,
                      int y, int x, int channel) {
  const int sy = y - pad_top, sx = x - pad_left;
  if (sy < 0 || sy >= ih || sx < 0 || sx >= iw) return 0.0f;
  return src[((static_cast<size_t>(n) * ih + sy) * iw + sx) * c + channel];
}

}  // namespace couplet::reference
