// retrain.py's random distortions of training photos (add_input_distortions): enlarge, crop, mirror, brighten.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "loaders/image.h"
#include "runtime/graph.h"

namespace couplet {

// As retrain.py's flags; per cent.
struct DistortionOptions {
  bool flip_left_right = false;
  int random_crop = 0, random_scale = 0, random_brightness = 0;
};

// Which random numbers are drawn: u = Philox(seed, row, step, kStreamDistortion), row being the place in the batch.
struct DistortionDraw {
  uint64_t seed = 0;
  uint32_t row = 0, step = 0;
};

// dst [size, size, 3], normalised as the backbone wants it:
//   precrop = int(size * (1 + crop/100) * U[1, 1 + scale/100])   a side; U from u0
//   legacy bilinear resize of the whole photo to precrop x precrop, of that a size x size window (top from u2, left
//   from u3), mirrored when flip_left_right and the lowest bit of u1 is set, times U[1 - b/100, 1 + b/100] from u1, then
//   (x - mean) * (1 / std).
// All in float32, as TensorFlow computes it; without distortions the bits of the Preprocess layer.
// REQUIRES: image.entry.paired_rows == 0 (whole photos).
void Distort(const Image& image, const DistortionOptions& options, const Normalization& normalization, int size,
             const DistortionDraw& draw, float* dst);

}  // namespace couplet
