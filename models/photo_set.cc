// SPDX-License-Identifier: Apache-2.0
#include "models/photo_set.h"

#include <fmt/format.h>

#include <unordered_set>
#include <utility>

namespace couplet {

size_t PhotoSet::Count(Split split) const {
  size_t count = 0;
  for (const auto& of_class : rows[static_cast<size_t>(split)]) count += of_class.size();
  return count;
}

PhotoSet MakePhotoSet(const ImageListOptions& options, const ImageLists& lists) {
  PhotoSet set;
  for (auto& by_class : set.rows) by_class.resize(lists.classes.size());
  size_t photos = 0;
  for (const LabelledImages& images : lists.classes)
    for (const auto& files : images.files) photos += files.size();
  set.photos.reserve(photos);
  for (size_t c = 0; c < lists.classes.size(); ++c) {
    const LabelledImages& images = lists.classes[c];
    set.labels.push_back(images.label);
    for (size_t split = 0; split < set.rows.size(); ++split)
      for (const std::string& file : images.files[split]) {
        set.rows[split][c].push_back(static_cast<uint32_t>(set.photos.size()));
        set.photos.push_back({ImagePath(options, images, file), images.folder, file});
      }
  }
  return set;
}

Status LeaveOut(const std::vector<FailedPhoto>& failed, PhotoSet* set) {
  std::unordered_set<uint32_t> gone;
  for (const FailedPhoto& photo : failed) gone.insert(static_cast<uint32_t>(photo.index));
  for (auto& by_class : set->rows)
    for (auto& rows : by_class) std::erase_if(rows, [&](uint32_t row) { return gone.contains(row); });
  const auto& training = set->rows[static_cast<size_t>(Split::kTraining)];
  for (size_t c = 0; c < training.size(); ++c)
    if (training[c].empty())
      return BadInput(fmt::format("label '{}' has no training photo that can be read; add photos or remove its folder",
                                  set->labels[c]));
  return {};
}

HeadData MakeHeadData(const PhotoSet& set, int features, ZeroedVector vectors) {
  HeadData data;
  data.features = features;
  data.classes = static_cast<int>(set.labels.size());
  data.vectors = std::move(vectors);
  data.rows = set.rows;
  return data;
}

}  // namespace couplet
