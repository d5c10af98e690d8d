// Photos for the report's page: thumbnails from the bottleneck store, as HTML, within a budget of bytes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "apps/retrain_report.h"

namespace couplet {

class PhotoAlbum {
 public:
  // All three outlive the album. `image_dir`: what photos' paths are shown without.
  PhotoAlbum(const PhotoSet& set, const RetrainReport& report, std::string_view image_dir);

  // In base64; "" where none is kept, or the budget is spent.
  std::string Thumbnail(uint32_t row);
  // A photo with a caption (HTML) and its file's name.
  std::string Figure(uint32_t row, std::string_view caption);
  // Two side by side.
  std::string Pair(uint32_t row, uint32_t other, std::string_view caption);
  // Path below image_dir, as text.
  std::string Name(uint32_t row) const;
  bool has_pictures() const { return report_.store != nullptr; }

 private:
  std::string Image(uint32_t row);

  const PhotoSet& set_;
  const RetrainReport& report_;
  const std::string image_dir_;
  const std::shared_ptr<void> reading_;
  size_t bytes_left_;
};

}  // namespace couplet
