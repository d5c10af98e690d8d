// What the image decoders share; included by loaders/image*.cc and loaders/thumbnail.cc alone.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "loaders/image.h"
#include "runtime/status.h"

namespace couplet::internal {

using Bytes = std::span<const uint8_t>;

// Each fills image->entry (as the last thing), image->pixels and image->warnings. May throw std::bad_alloc,
// which DecodeImage makes an error.
Status DecodeJpeg(Bytes bytes, const DecodeOptions& options, Image* image);
Status DecodePng(Bytes bytes, const DecodeOptions& options, Image* image);
Status DecodeBmp(Bytes bytes, const DecodeOptions& options, Image* image);
Status DecodeGif(Bytes bytes, const DecodeOptions& options, Image* image);

// Called with what the file's header claims, before anything of that size is allocated.
Status CheckPixels(const char* format, int64_t width, int64_t height, int64_t max_pixels);

// The BMP again, in the one form stb_image is trusted with: a header of our own, a palette of 256 entries (an
// index past the file's palette is black), RLE expanded, all rows there. The header's claims are held to
// `options` first.
Result<std::vector<uint8_t>> CleanBmp(Bytes bytes, const DecodeOptions& options);
// Likewise: IHDR, PLTE of 256 entries, tRNS (unless alpha is dropped), one IDAT, IEND; lengths and CRCs
// checked.
Result<std::vector<uint8_t>> CleanPng(Bytes bytes, const DecodeOptions& options);

// The source rows that TensorFlow's ResizeBilinear (align_corners and half_pixel_centers false) reads for
// output row `y`: kernels/image_resizer_state.h, in float32 as there.
struct SourceRows {
  int lower, upper;
};
SourceRows ResizeSourceRows(int in_rows, int out_rows, int y);

// EXIF orientation 1..8 in the payload of an APP1 segment; 1 where there is none or it makes no sense.
int ExifOrientation(Bytes app1);

inline uint32_t LoadLe16(const uint8_t* p) {
  return p[0] | p[1] << 8;
}
inline uint32_t LoadLe32(const uint8_t* p) {
  return LoadLe16(p) | LoadLe16(p + 2) << 16;
}
inline uint32_t LoadBe16(const uint8_t* p) {
  return p[0] << 8 | p[1];
}
inline uint32_t LoadBe32(const uint8_t* p) {
  return LoadBe16(p) << 16 | LoadBe16(p + 2);
}

}  // namespace couplet::internal
