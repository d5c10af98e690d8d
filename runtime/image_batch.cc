// SPDX-License-Identifier: Apache-2.0
#include "runtime/image_batch.h"

#include <fmt/format.h>

namespace couplet {

size_t StoredBytes(const ImageEntry& image) {
  const size_t rows = static_cast<size_t>(image.paired_rows != 0 ? 2 * image.paired_rows : image.height);
  return rows * static_cast<size_t>(image.width) * 3;
}

Status CheckImage(const ImageBatch& images, size_t index, int rows) {
  const ImageEntry& image = images.images[index];
  if (image.width <= 0 || image.height <= 0 || image.width > (1 << 28))
    return Internal(fmt::format("photo {} of the batch is {} x {} pixels", index, image.width, image.height));
  if (image.paired_rows != 0 && image.paired_rows != rows)
    return Internal(fmt::format("photo {} of the batch is stored for {} rows, the network takes {}", index,
                                image.paired_rows, rows));
  if (image.offset > images.bytes.size() || StoredBytes(image) > images.bytes.size() - image.offset)
    return Internal(
        fmt::format("photo {} of the batch reaches past its {} bytes", index, images.bytes.size()));
  return {};
}

}  // namespace couplet
