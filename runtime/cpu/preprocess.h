// Photos to network input: TensorFlow's legacy bilinear resize and normalisation, in Highway SIMD chosen at
// run time. The bits are those of the scalar float32 formula on every instruction set.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/graph.h"
#include "runtime/image_batch.h"
#include "runtime/status.h"

namespace couplet::cpu {

// Scratch that one photo resized to `width` columns needs.
size_t PreprocessScratchBytes(int width);

// One photo of `images` to dst [height, width, 3]. Formula of kernels/resize_bilinear_op.cc with
// align_corners and half_pixel_centers false: scale = in / (float)out; src = x * scale; lo = (int)src, hi =
// min(lo + 1, in - 1), t = src - lo; a + (b - a) * t along x, then along y; then (v - mean) * (1 / std) or (v
// - mean) / std. `scratch`: PreprocessScratchBytes(width) bytes, aligned to 64. The error says what is wrong
// with the entry.
Status Preprocess(const ImageBatch& images, size_t index, int height, int width,
                  const Normalization& normalization, void* scratch, float* dst);

}  // namespace couplet::cpu
