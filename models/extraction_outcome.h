// What became of one photo of an extraction, on its way from the thread that dealt with it to the one that
// collects.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "loaders/bottleneck_store.h"

namespace couplet {

struct ExtractionOutcome {
  enum class Kind { kComputed, kCached, kFailed } kind = Kind::kFailed;
  size_t index = 0;
  std::string reason;  // kFailed
  std::string note;    // for the log
  bool mismatched = false, damaged = false;
  int jpeg_warnings = 0;
  // For the store; no stamp: nothing is to be put.
  std::optional<FileStamp> stamp;
  Sha256Digest photo_sha256{};
  std::vector<uint8_t> thumbnail;
};

}  // namespace couplet
