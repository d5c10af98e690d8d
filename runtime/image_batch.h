// Photos as they come out of a decoder: RGB bytes of any size, packed one after the other, and a table.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/status.h"

namespace couplet {

struct ImageEntry {
  int width = 0, height = 0;  // of the photo, pixels
  size_t offset = 0;  // of its first stored byte in ImageBatch::bytes; rows are width * 3 bytes, no gaps
  // 0: all `height` rows are stored. Otherwise only the rows that TensorFlow's legacy bilinear resize to
  // `paired_rows` output rows reads: stored row 2y is the lower and 2y + 1 the upper source row of output row
  // y (2 * paired_rows rows in all). Keeps a 100-megapixel photo in a few megabytes, to the same bits.
  int paired_rows = 0;
};

struct ImageBatch {
  std::span<const uint8_t> bytes;
  std::span<const ImageEntry> images;
};

size_t StoredBytes(const ImageEntry& image);

// What is wrong with photo `index` where it is to become `rows` output rows: a bug in whoever packed it.
Status CheckImage(const ImageBatch& images, size_t index, int rows);

}  // namespace couplet
