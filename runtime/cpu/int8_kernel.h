// The inner loop of a convolution with --precision=int8: a tile of pixels by a panel of channels, products of bytes added up in
// 32-bit integers, four at a time where the processor has an instruction for that (VNNI, SDOT). Integers do not round, and what is computed
// from their sums takes one multiplication and one fused multiply-add, so a result has the same bits on every processor.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/cpu/gemm_kernel.h"

namespace couplet::cpu {

// Ascending. Portable: for other processors' tests, far slower than floats.
enum class Int8Dot { kPortable, kNeonDot, kAvxVnni, kAvx512Vnni };
// The best that the processor has and LimitSimd (dispatch.h) allows.
Int8Dot BestInt8Dot();
const char* Name(Int8Dot dot);

constexpr int kInt8Lanes = 16;  // channels that a panel's width is a multiple of
constexpr int kInt8Group = 4;   // values of a pixel whose products are added up at once: a segment's length is a multiple of it
// Added to a number below 2^22 it leaves the nearest integer in the lowest bits.
constexpr float kInt8WholeNumbers = 12582912.0f;  // 1.5 * 2^23
inline int UpToGroup(int values) { return (values + kInt8Group - 1) / kInt8Group * kInt8Group; }
Panels Int8PanelsFor(int channels);

// What floats span. Of several stretches together: the larger magnitude, and negative if one of them is.
struct Int8Extent {
  uint32_t magnitude = 0;  // bits of the greatest absolute value, which compare as integers; NaN is greater than infinity
  bool negative = false;
};
Int8Extent ExtentOf(const float* values, size_t count);
// greatest: of the values' bits as unsigned integers. Behind a ReLU no value has a sign, and it is all that is to be known.
Int8Extent ExtentOf(const float* values, size_t count, uint32_t greatest);

// Floats as bytes: x is about step * (q - zero). Where no value is negative, as behind a ReLU, zero is 0 and all 256 bytes count; else
// it is 128, and 127 steps lie on either side.
struct Int8Grid {
  float step = 0.0f;     // NaN where a value is not finite, so that all that is computed from it is NaN too
  float inverse = 0.0f;  // 0 where step is 0 or NaN
  int32_t zero = 0;
};
Int8Grid GridOf(const Int8Extent& extent);

// values: [pixels, channels]. Each times grid.inverse, rounded to the nearest integer (ties to even) and not before, + grid.zero: to
// dst, [pixels, UpToGroup(channels)], where zeros fill a group. sums: of what was written, [channels up to a multiple of kInt8Lanes]
void Quantize(const float* values, int pixels, int channels, const Int8Grid& grid, uint8_t* dst, int32_t* sums);

// As GemmPanel, of bytes.
struct Int8Panel {
  const uint8_t* const* src = nullptr;
  size_t pixel_stride = 0;
  int pixels = 0, tile = 0, segments = 0, length = 0;
  const int8_t* weights = nullptr;      // [segments * length / kInt8Group, width, kInt8Group], aligned
  const float* weight_steps = nullptr;  // [width]
  const int32_t* weight_sums = nullptr; // [width], of all weights of a channel: what a pixel's zero is taken times
  const float* bias = nullptr;          // [width]
  Int8Grid grid;
  int width = 0, channels = 0;
  float* dst = nullptr;
  size_t dst_stride = 0;
  Clamp clamp{};
};
void RunInt8Panel(const Int8Panel& panel);

}  // namespace couplet::cpu
