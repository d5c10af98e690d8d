// Files for TensorBoard's projector page: vectors as points in space, each with its label and its picture.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/status.h"

namespace couplet {

struct ProjectorPhoto {
  uint32_t row = 0;                  // of the vectors
  std::vector<std::string> columns;  // as many as there are names of columns
};

struct ProjectorData {
  std::string name;  // of the points, on the page
  int features = 0;
  std::span<const float> vectors;    // [count, features]
  std::vector<std::string> columns;  // two names or more, the label's first: the page colours by it
  std::vector<ProjectorPhoto> photos;
  std::function<std::optional<std::vector<uint8_t>>(uint32_t row)> thumbnail;  // JPEG; empty: no pictures
};

// A browser holds all of it: what is more is thinned out, evenly.
inline constexpr size_t kMostProjectorPhotos = 10'000, kMostProjectorBytes = size_t{64} << 20;

// Writes projector_config.pbtxt and, beside it, projector_vectors.bytes (float32), projector_metadata.tsv and
// projector_sprite.jpg into `dir`, which is made. TensorBoard looks into folders with event files. Returns the number of photos
// kept. kIo: a file cannot be written; then none is there anew.
Result<size_t> WriteProjector(const std::string& dir, const ProjectorData& data);

// What an earlier run left; a file that is not there is no error.
Status RemoveProjector(const std::string& dir);

}  // namespace couplet
