// Image files -> RGB bytes, as TensorFlow decodes them. The decoder is chosen by content, never by name.
// JPEG: libjpeg-turbo with JDCT_IFAST and fancy upsampling (TensorFlow's default; other settings change
// bottlenecks); PNG and BMP: stb_image, hardened; GIF: first frame by giflib.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/image_batch.h"
#include "runtime/status.h"

namespace couplet {

enum class AlphaMode { kDrop, kWhite, kBlack };  // kDrop is TensorFlow's

struct DecodeOptions {
  int64_t max_pixels = 100'000'000;          // baseline JPEG
  int64_t max_pixels_buffered = 40'000'000;  // progressive JPEG, PNG, BMP, GIF; never over max_pixels
  AlphaMode alpha = AlphaMode::kDrop;
  bool apply_exif = false;  // TensorFlow ignores the orientation
  bool accurate_dct = false;  // JDCT_ISLOW, Pillow's default; other bytes than TensorFlow's
  // > 0: a JPEG with more than twice as many rows keeps only those a resize to so many rows reads
  // (ImageEntry::paired_rows). 0: all rows.
  int resize_rows = 0;
};

struct Image {
  ImageEntry entry;             // offset 0
  std::vector<uint8_t> pixels;  // stored rows x width x 3
  int warnings = 0;             // libjpeg's, counted and not fatal
};

// `image`'s memory is reused. The error says what is wrong with the bytes, without a file name ("premature
// end of JPEG data", "expected a JPEG, PNG, GIF or BMP image, found WebP"): the caller adds it. Always
// kBadInput.
Status DecodeImage(std::span<const uint8_t> bytes, const DecodeOptions& options, Image* image);

// Goes into the bottleneck store's key; changes whenever pixels can change.
extern const char* const kDecoderVersion;

// JPEG bytes (quality 80) of the photo scaled down by area average to at most `max_side` pixels; for reports.
Status MakeThumbnail(const Image& image, int max_side, std::vector<uint8_t>* jpeg);

// One JPEG of `count` thumbnails, row by row in a square grid of square tiles of `side` pixels: 48, or fewer so that the
// picture stays within 8,192 x 8,192, what a browser draws. Each is scaled down into the middle of its tile, the rest of
// which is grey; one that is not there, or cannot be read, leaves its tile grey. REQUIRES: 0 < count <= 2^20
Status MakeSprite(size_t count, const std::function<std::optional<std::vector<uint8_t>>(size_t)>& thumbnail, int* side,
                  std::vector<uint8_t>* jpeg);

}  // namespace couplet
