// SPDX-License-Identifier: Apache-2.0
#include "loaders/pil_resize.h"

#include <algorithm>
#include <cmath>

#include "runtime/status.h"

namespace couplet {
namespace {

constexpr int kBits = 32 - 8 - 2;  // of a weight's fraction: sums of 255 * weights stay in 32 bits

double Sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= M_PI;
  return std::sin(x) / x;
}
double Lanczos3(double x) { return x >= -3.0 && x < 3.0 ? Sinc(x) * Sinc(x / 3) : 0.0; }

// The source pixels [first, first + weights.size()) of one output pixel.
struct Taps {
  int first = 0;
  std::vector<int> weights;
};

std::vector<Taps> MakeTaps(int in, int out) {
  const double scale = static_cast<double>(in) / out, filter_scale = std::max(scale, 1.0), support = 3.0 * filter_scale;
  std::vector<Taps> all(static_cast<size_t>(out));
  for (int i = 0; i < out; ++i) {
    const double center = (i + 0.5) * scale, step = 1.0 / filter_scale;
    // Pillow's own rounding; what it does below zero is cut off.
    const int first = std::max(static_cast<int>(center - support + 0.5), 0);   // NOLINT(bugprone-incorrect-roundings)
    const int last = std::min(static_cast<int>(center + support + 0.5), in);  // NOLINT(bugprone-incorrect-roundings)
    std::vector<double> weights;
    double sum = 0.0;
    for (int x = first; x < last; ++x) {
      weights.push_back(Lanczos3((x - center + 0.5) * step));
      sum += weights.back();
    }
    Taps& taps = all[static_cast<size_t>(i)];
    taps.first = first;
    for (double weight : weights) {
      if (sum != 0.0) weight /= sum;
      taps.weights.push_back(static_cast<int>((weight < 0 ? -0.5 : 0.5) + weight * (1 << kBits)));
    }
  }
  return all;
}

uint8_t Clip(int sum) { return static_cast<uint8_t>(std::clamp(sum >> kBits, 0, 255)); }

}  // namespace

std::vector<uint8_t> ResizeLikePillow(std::span<const uint8_t> src, int width, int height, int out_width,
                                      int out_height) {
  const auto w = static_cast<size_t>(width), h = static_cast<size_t>(height), ow = static_cast<size_t>(out_width),
             oh = static_cast<size_t>(out_height);
  COUPLET_CHECK(width > 0 && height > 0 && out_width > 0 && out_height > 0 && src.size() == w * h * 3);
  std::vector<uint8_t> rows(src.begin(), src.end());  // [h, ow, 3]
  if (ow != w) {
    rows.resize(h * ow * 3);
    const std::vector<Taps> taps = MakeTaps(width, out_width);
    for (size_t y = 0; y < h; ++y)
      for (size_t x = 0; x < ow; ++x)
        for (size_t c = 0; c < 3; ++c) {
          int sum = 1 << (kBits - 1);
          const uint8_t* from = &src[(y * w + static_cast<size_t>(taps[x].first)) * 3 + c];
          for (const int weight : taps[x].weights) {
            sum += *from * weight;
            from += 3;
          }
          rows[(y * ow + x) * 3 + c] = Clip(sum);
        }
  }
  if (oh == h) return rows;
  std::vector<uint8_t> dst(oh * ow * 3);
  const std::vector<Taps> taps = MakeTaps(height, out_height);
  std::vector<int> sums(ow * 3);
  for (size_t y = 0; y < oh; ++y) {
    std::fill(sums.begin(), sums.end(), 1 << (kBits - 1));
    const uint8_t* from = &rows[static_cast<size_t>(taps[y].first) * ow * 3];
    for (const int weight : taps[y].weights) {
      for (size_t i = 0; i < sums.size(); ++i) sums[i] += from[i] * weight;
      from += ow * 3;
    }
    std::transform(sums.begin(), sums.end(), &dst[y * ow * 3], Clip);
  }
  return dst;
}

}  // namespace couplet
