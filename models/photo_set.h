// The photos of an image folder in one numbered list: photo i is row i of the vectors.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "loaders/image_list.h"
#include "models/classifier_head.h"
#include "models/feature_extractor.h"
#include "runtime/status.h"

namespace couplet {

struct PhotoSet {
  std::vector<Photo> photos;
  std::vector<std::string> labels;  // by class
  // rows[split][class]: indices into photos, in the original's order.
  std::array<std::vector<std::vector<uint32_t>>, 3> rows;

  size_t Count(Split split) const;
};

PhotoSet MakePhotoSet(const ImageListOptions& options, const ImageLists& lists);

// Takes photos out of the splits (those that could not be read). kBadInput when a class has no training photo left,
// naming it.
Status LeaveOut(const std::vector<FailedPhoto>& failed, PhotoSet* set);

// What a head is trained on. `vectors`: [photos, features], of all photos, left out or not.
HeadData MakeHeadData(const PhotoSet& set, int features, ZeroedVector vectors);

}  // namespace couplet
