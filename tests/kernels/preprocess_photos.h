// A batch of photos for tests and benchmarks of preprocess: packed bytes, the table, and each photo whole.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <vector>

#include "runtime/image_batch.h"
#include "tests/kernels/preprocess_cases.h"
#include "tests/reference/resize.h"
#include "tests/support/values.h"

namespace couplet::test {

struct PhotoBatch {
  std::vector<std::vector<uint8_t>> photos;  // [height * width * 3] each
  std::vector<ImageEntry> table;
  std::vector<uint8_t> bytes;

  // `oh`: rows of the result, which the paired photos are stored for.
  PhotoBatch(const std::vector<PhotoSize>& sizes, int oh, uint64_t seed) {
    Values values(seed);
    for (const PhotoSize& size : sizes) {
      const size_t row = static_cast<size_t>(size.width) * 3;
      photos.push_back(values.Bytes(row * static_cast<size_t>(size.height)));
      ImageEntry entry;
      entry.width = size.width;
      entry.height = size.height;
      entry.offset = bytes.size();
      entry.paired_rows = size.paired ? oh : 0;
      table.push_back(entry);
      const auto append = [&](int y) {
        const auto from = photos.back().begin() + static_cast<ptrdiff_t>(row) * y;
        bytes.insert(bytes.end(), from, from + static_cast<ptrdiff_t>(row));
      };
      for (int y = 0; y < (size.paired ? oh : size.height); ++y) {
        if (!size.paired) {
          append(y);
          continue;
        }
        const reference::Axis at = reference::SourceOf(y, size.height, oh);
        append(at.lo);
        append(at.hi);
      }
      bytes.insert(bytes.end(), 5, 0xEE);  // a gap, so that offsets are not multiples of anything
    }
  }
};

}  // namespace couplet::test
