// The layers that are a plain loop. Dense float arrays, NHWC; `pixels` counts n * h * w. src and dst may be
// the same array where the text says so, else they do not overlap.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "runtime/graph.h"

namespace couplet::cpu {

// dst[p,c] = src[p,c] * scale[c] + offset[c]; either may be empty. May be in place.
void Affine(const float* src, float* dst, int64_t pixels, int channels, std::span<const float> scale,
            std::span<const float> offset);
// May be in place.
void Activate(const float* src, float* dst, int64_t count, Activation activation);
// dst[n,c] = mean of src[n,:,c] over `pixels` each. Summed pixel by pixel, in order.
void GlobalAverage(const float* src, float* dst, int n, int64_t pixels, int channels);
// Zeros around each photo. `src_shape` of one photo.
void Pad(const float* src, float* dst, int n, const Shape& src_shape, const Pads& pads);
// One source of a concatenation: its channels go to channels [at, at + channels) of dst, which has
// `dst_channels`.
void CopyChannels(const float* src, float* dst, int64_t pixels, int channels, int dst_channels, int at);
// exp(x - max) / sum a row, the sum in double. May be in place.
void Softmax(const float* src, float* dst, int64_t rows, int channels);

}  // namespace couplet::cpu
