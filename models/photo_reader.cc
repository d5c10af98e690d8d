// SPDX-License-Identifier: Apache-2.0
#include "models/photo_reader.h"

#include <algorithm>

#include "loaders/files.h"
#include "loaders/image_cost.h"

namespace couplet {
namespace {

// A photo of 100 million pixels at the best quality takes some 100 MB.
constexpr uint64_t kMaxFileBytes = uint64_t{192} << 20;
constexpr size_t kFileBudget = size_t{128} << 20, kDecodeBudget = size_t{384} << 20;
// A thread that has seen a huge photo gives its memory back.
constexpr size_t kKeptBytes = size_t{16} << 20;

void ShrinkIfHuge(std::vector<uint8_t>* buffer) {
  if (buffer->capacity() > kKeptBytes) std::vector<uint8_t>().swap(*buffer);
}

// An error of ours about `path`, for those who print the path in front.
std::string WithoutPath(std::string message, const std::string& path) {
  for (const std::string& part : {" " + path, path + " "})
    if (const size_t at = message.find(part); at != std::string::npos) return message.erase(at, part.size());
  return message;
}

}  // namespace

PhotoBudget::PhotoBudget(size_t elsewhere)
    : files(kFileBudget), decoding(kDecodeBudget - std::min(elsewhere, kDecodeBudget / 2)) {}

Status PhotoReader::Read(const std::string& path) {
  ShrinkIfHuge(&bytes_);
  const Status status = ReadFile(path, kMaxFileBytes, &bytes_);
  return status.ok() ? status : Status(status.code(), WithoutPath(status.message(), path));
}

size_t PhotoReader::DecodeCost() const { return DecodeCostBytes(bytes_, options_); }

Status PhotoReader::Decode() { return DecodeImage(bytes_, options_, &image_); }

void PhotoReader::DropHuge() { ShrinkIfHuge(&image_.pixels); }

}  // namespace couplet
