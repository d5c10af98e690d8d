// Decoding in tests: what must work, and what must not.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "loaders/files.h"
#include "loaders/image.h"
#include "tests/support/image_files.h"
#include "tests/support/test.h"

namespace couplet::test {

inline Bytes LoadBytes(const std::string& path) {
  Bytes bytes;
  REQUIRE(ReadFile(path, 1u << 30, &bytes).ok());
  return bytes;
}

// The stored rows. The image's own vector may be longer, from an earlier photo.
inline Bytes PixelsOf(const Image& image) {
  const auto rows =
      static_cast<size_t>(image.entry.paired_rows > 0 ? 2 * image.entry.paired_rows : image.entry.height);
  const size_t count = rows * static_cast<size_t>(image.entry.width) * 3;
  REQUIRE(image.pixels.size() >= count);
  return Bytes(image.pixels.begin(), image.pixels.begin() + static_cast<std::ptrdiff_t>(count));
}

inline Image Decode(const Bytes& bytes, const DecodeOptions& options = {}) {
  Image image;
  const Status status = DecodeImage(bytes, options, &image);
  INFO(status.message());
  REQUIRE(status.ok());
  return image;
}

inline std::string DecodeError(const Bytes& bytes, const DecodeOptions& options = {}) {
  Image image;
  const Status status = DecodeImage(bytes, options, &image);
  REQUIRE(!status.ok());
  CHECK(status.code() == Code::kBadInput);
  CHECK(image.entry.width == 0);
  return status.message();
}

}  // namespace couplet::test
