// A batch of uint8 photos of different sizes -> TensorFlow's legacy bilinear resize -> normalised network
// input. Formula of core/kernels/resize_bilinear_op.cc with align_corners and half_pixel_centers false: scale
// = in / (float)out, at = x * scale, lo = (int)at, hi = min(lo + 1, in - 1), t = at - lo, a + (b - a) * t
// along x, then along y; then (v - mean) * (1 / std) or (v - mean) / std. Every operation is rounded to
// float32 by itself, none is fused: the floats are the CPU engine's to the last bit.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/launch.h"

namespace couplet {

// One photo of a packed buffer, on the device. The bytes are those of the runtime's ImageEntry, so that its
// table is copied as it is.
struct PhotoEntry {
  int width, height;  // of the photo, pixels
  size_t offset;      // of its first byte in the packed buffer; rows are width * 3 bytes, no gaps
  // 0: all rows are stored. Otherwise it is the shape's oh, and only the source rows of each output row are
  // stored: stored row 2y is the lower and 2y + 1 the upper one of output row y.
  int paired_rows;
};

struct PreprocessShape {
  int n = 0, oh = 0, ow = 0;  // dst [n, oh, ow, dst_stride]: three channels, the others zero
  int dst_stride = 3;         // 3, 4 or 8
  float mean = 0.0f, std = 1.0f;
  bool divide = false;  // (v - mean) / std, label_image.py's way; else times (float)(1.0 / std), retrain.py's
};

// T = float or __half (rounded once, at the end). bytes: the packed buffer; photos: [n]; both on the device,
// where nothing is checked: that every photo lies inside the buffer is the caller's to see to.
// kLaunchInvalidValue for sizes
// <= 0, another dst_stride, std = 0 or a grid too large.
template <class T>
LaunchResult LaunchPreprocess(const PreprocessShape& shape, const uint8_t* bytes, const PhotoEntry* photos,
                              T* dst, DeviceStream stream);

}  // namespace couplet
