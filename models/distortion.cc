// SPDX-License-Identifier: Apache-2.0
#include "models/distortion.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/philox.h"

namespace couplet {
namespace {

// [low, high), from the upper 24 bits, which a float32 holds exactly.
float Uniform(uint32_t u, float low, float high) {
  return low + (high - low) * (static_cast<float>(u >> 8) * 0x1p-24f);
}

// Where output `position` of a resize from `in` to `out` samples, the legacy way.
struct Tap {
  int low, high;
  float lerp;
};
Tap MakeTap(int position, int in, int out) {
  const float scale = static_cast<float>(in) / static_cast<float>(out);
  const float source = static_cast<float>(position) * scale;
  const int low = std::min(static_cast<int>(std::floor(source)), in - 1);
  return {low, std::min(low + 1, in - 1), source - static_cast<float>(low)};
}

}  // namespace

void Distort(const Image& image, const DistortionOptions& options, const Normalization& normalization, int size,
             const DistortionDraw& draw, float* dst) {
  COUPLET_CHECK(image.entry.paired_rows == 0);
  const Philox4 u = Philox(draw.seed, draw.row, draw.step, kStreamDistortion);
  const float margin = 1.0f + static_cast<float>(options.random_crop) / 100.0f;
  const float enlarge = Uniform(u.v[0], 1.0f, 1.0f + static_cast<float>(options.random_scale) / 100.0f);
  const int precrop = std::max(size, static_cast<int>(margin * enlarge * static_cast<float>(size)));
  const auto offset = [&](uint32_t bits) {
    return static_cast<int>((static_cast<uint64_t>(bits) * static_cast<uint64_t>(precrop - size + 1)) >> 32);
  };
  const int top = offset(u.v[2]), left = offset(u.v[3]);
  const bool mirrored = options.flip_left_right && (u.v[1] & 1) != 0;
  const float b = static_cast<float>(options.random_brightness) / 100.0f;
  const float brightness = Uniform(u.v[1], 1.0f - b, 1.0f + b);
  const float inverse_std = 1.0f / normalization.std;

  const int width = image.entry.width;
  const uint8_t* pixels = image.pixels.data();
  std::vector<Tap> columns;
  columns.reserve(static_cast<size_t>(size));
  for (int x = 0; x < size; ++x) columns.push_back(MakeTap(left + (mirrored ? size - 1 - x : x), width, precrop));
  for (int y = 0; y < size; ++y) {
    const Tap row = MakeTap(top + y, image.entry.height, precrop);
    const uint8_t* upper = pixels + static_cast<size_t>(row.low) * static_cast<size_t>(width) * 3;
    const uint8_t* lower = pixels + static_cast<size_t>(row.high) * static_cast<size_t>(width) * 3;
    for (const Tap& column : columns)
      for (int c = 0; c < 3; ++c) {
        const auto at = [&](const uint8_t* line, int x) { return static_cast<float>(line[x * 3 + c]); };
        const float a = at(upper, column.low) + (at(upper, column.high) - at(upper, column.low)) * column.lerp;
        const float z = at(lower, column.low) + (at(lower, column.high) - at(lower, column.low)) * column.lerp;
        const float value = (a + (z - a) * row.lerp) * brightness;
        *dst++ = normalization.mode == Normalization::Mode::kMultiply ? (value - normalization.mean) * inverse_std
                                                                      : (value - normalization.mean) / normalization.std;
      }
  }
}

}  // namespace couplet
