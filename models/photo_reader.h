// One photo from its file to decoded bytes, within memory that all threads share.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "loaders/image.h"
#include "models/byte_budget.h"

namespace couplet {

// For files and for pixels being decoded. Each may be overdrawn by one photo alone, which the limits on
// pixels keep below half a gigabyte: so no run passes 1 GiB, whatever the number of threads.
struct PhotoBudget {
  // `elsewhere`: bytes that decoded photos take in other places, for example in slots.
  explicit PhotoBudget(size_t elsewhere);
  ByteBudget files, decoding;
};

// A thread's own: its buffers are used again for the next photo, and given back after a huge one.
class PhotoReader {
 public:
  explicit PhotoReader(const DecodeOptions& options) : options_(options) {}

  // Errors do not name the path: those who print them put it in front.
  Status Read(const std::string& path);
  const std::vector<uint8_t>& bytes() const { return bytes_; }  // of the file
  // What decoding bytes() takes.
  size_t DecodeCost() const;
  Status Decode();
  const Image& image() const { return image_; }
  void DropHuge();

 private:
  const DecodeOptions options_;
  std::vector<uint8_t> bytes_;
  Image image_;
};

}  // namespace couplet
