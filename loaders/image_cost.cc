// SPDX-License-Identifier: Apache-2.0
#include "loaders/image_cost.h"

#include <algorithm>

#include "loaders/image_internal.h"

namespace couplet {
namespace {

using internal::Bytes;
using internal::LoadBe16;
using internal::LoadBe32;
using internal::LoadLe16;
using internal::LoadLe32;

// What every decoder takes for itself.
constexpr int64_t kBaseBytes = 256 << 10;
constexpr int64_t kRefused = kBaseBytes;

int64_t Cost(int64_t width, int64_t height, int64_t max_pixels, int64_t bytes_per_pixel) {
  if (width <= 0 || height <= 0 || width > max_pixels / height) return kRefused;
  return kBaseBytes + width * height * bytes_per_pixel;
}

// Coefficients of two bytes are kept for all of a photo that comes in more than one scan; the file tells by
// its kind (progressive) or by a first scan that has fewer components than the photo.
int64_t JpegCost(Bytes bytes, const DecodeOptions& options) {
  int64_t width = 0, height = 0, components = 0;
  bool buffered = false;
  for (size_t at = 2; at + 4 <= bytes.size();) {
    if (bytes[at] != 0xff) return kRefused;
    const uint8_t marker = bytes[at + 1];
    if (marker == 0xff) {  // fill
      ++at;
      continue;
    }
    const size_t length = LoadBe16(&bytes[at + 2]);
    const bool is_frame =
        marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
    if (is_frame && at + 10 <= bytes.size()) {
      height = LoadBe16(&bytes[at + 5]);
      width = LoadBe16(&bytes[at + 7]);
      components = bytes[at + 9];
      buffered = (marker & 3) == 2;
    } else if (marker == 0xda && at + 5 <= bytes.size()) {
      buffered = buffered || bytes[at + 4] < components;
      break;
    }
    at += 2 + length;
  }
  const bool few_rows = options.resize_rows > 0;
  const int64_t pixel_bytes = few_rows ? 0 : 3;
  // Rows kept for a resize, of a photo that may be shown on its side; and the decoder's own rows.
  const int64_t rows = (few_rows ? std::max(width, height) * 2 * options.resize_rows * 3 : 0) + width * 512;
  if (!buffered) return rows + Cost(width, height, options.max_pixels, pixel_bytes);
  const int64_t max_pixels = std::min(options.max_pixels, options.max_pixels_buffered);
  return rows + Cost(width, height, max_pixels, pixel_bytes + 2 * components);
}

// The rewritten file, and what stb_image unpacks, filters and converts.
int64_t PngCost(Bytes bytes, int64_t max_pixels) {
  if (bytes.size() < 26) return kRefused;
  const int64_t bytes_per_pixel = bytes[24] == 16 ? 24 : 12;
  return Cost(LoadBe32(&bytes[16]), LoadBe32(&bytes[20]), max_pixels, bytes_per_pixel) +
         2 * static_cast<int64_t>(bytes.size());
}

int64_t BmpCost(Bytes bytes, int64_t max_pixels) {
  if (bytes.size() < 26) return kRefused;
  const bool is_old = LoadLe32(&bytes[14]) == 12;
  const int64_t width = is_old ? LoadLe16(&bytes[18]) : static_cast<int32_t>(LoadLe32(&bytes[18]));
  const int64_t height = is_old ? LoadLe16(&bytes[20]) : static_cast<int32_t>(LoadLe32(&bytes[22]));
  return Cost(width, height < 0 ? -height : height, max_pixels, 12);
}

// The canvas, or the first frame where that is larger.
int64_t GifCost(Bytes bytes, int64_t max_pixels) {
  if (bytes.size() < 13) return kRefused;
  int64_t width = LoadLe16(&bytes[6]), height = LoadLe16(&bytes[8]);
  size_t at = 13;
  if ((bytes[10] & 0x80) != 0) at += size_t{3} << ((bytes[10] & 7) + 1);
  while (at + 2 <= bytes.size() && bytes[at] == 0x21) {
    at += 2;
    while (at < bytes.size() && bytes[at] != 0) at += size_t{1} + bytes[at];
    ++at;
  }
  if (at + 9 <= bytes.size() && bytes[at] == 0x2c) {
    width = std::max<int64_t>(width, LoadLe16(&bytes[at + 1]) + LoadLe16(&bytes[at + 5]));
    height = std::max<int64_t>(height, LoadLe16(&bytes[at + 3]) + LoadLe16(&bytes[at + 7]));
  }
  return Cost(width, height, max_pixels, 3);
}

}  // namespace

size_t DecodeCostBytes(std::span<const uint8_t> bytes, const DecodeOptions& options) {
  const int64_t max_pixels = std::min(options.max_pixels, options.max_pixels_buffered);
  int64_t cost = kRefused;
  if (bytes.size() >= 4) {
    if (bytes[0] == 0xff && bytes[1] == 0xd8) cost = JpegCost(bytes, options);
    if (bytes[0] == 0x89 && bytes[1] == 'P') cost = PngCost(bytes, max_pixels);
    if (bytes[0] == 'B' && bytes[1] == 'M') cost = BmpCost(bytes, max_pixels);
    if (bytes[0] == 'G' && bytes[1] == 'I') cost = GifCost(bytes, max_pixels);
  }
  return static_cast<size_t>(cost);
}

}  // namespace couplet
