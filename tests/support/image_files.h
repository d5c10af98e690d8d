// Image files made in memory, for tests of decoders and of what stands on them. No file is like any photo.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace couplet::test {

using Bytes = std::vector<uint8_t>;

// CRC-32 as PNG and gzip have it (RFC 1952).
uint32_t Crc32(std::span<const uint8_t> bytes);

// [height, width, channels]: a gradient with seeded noise on it, the same on every machine.
Bytes NoisyPixels(int width, int height, int channels, uint32_t seed = 1);

struct JpegForm {
  int components = 3;  // 1 grey, 3 RGB stored as YCbCr, 4 CMYK as given
  int quality = 90;
  int sampling = 2;  // of luma, both ways: 2 is 4:2:0
  bool progressive = false;
  bool adobe = true;    // CMYK: with Adobe's marker
  int orientation = 0;  // > 0: an EXIF segment saying so
};
// `pixels` [height, width, components]
Bytes MakeJpeg(std::span<const uint8_t> pixels, int width, int height, const JpegForm& form = {});
// APP1's payload: EXIF with an orientation, and an entry before it.
Bytes MakeExif(int orientation, bool little_endian = true);

struct PngForm {
  int color_type = 2, depth = 8;  // 0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGBA
  Bytes palette, transparency;    // payloads of PLTE and tRNS
  bool extra_chunks = false;      // an unknown ancillary chunk, IDAT in two
};
// `rows`: packed rows as PNG has them, without filter bytes.
Bytes MakePng(std::span<const uint8_t> rows, int width, int height, const PngForm& form = {});

struct BmpForm {
  int bits = 24;
  bool top_down = false;
  uint32_t compression = 0;
  uint32_t header_bytes = 40;  // 12: OS/2
  Bytes palette;               // blue, green, red (, 0 unless OS/2)
  std::array<uint32_t, 4> masks{};
  int gap = 0;  // bytes between header and pixels
};
// `data`: the file's pixel data, rows padded to four bytes.
Bytes MakeBmp(std::span<const uint8_t> data, int width, int height, const BmpForm& form = {});

struct GifForm {
  int canvas_width = 0, canvas_height = 0;  // 0: as the frame
  int left = 0, top = 0;
  int transparent = -1;
  bool interlaced = false;
  bool comment = false;  // an extension before the frame
};
// One frame of `indices` [height, width] below 8; `palette` 8 colours of 3 bytes.
Bytes MakeGif(std::span<const uint8_t> indices, std::span<const uint8_t> palette, int width, int height,
              const GifForm& form = {});

}  // namespace couplet::test
