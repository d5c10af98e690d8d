// Pictures made from a seed, so that no test depends on a photo from outside.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace couplet::test {

// Smooth colours with some noise; [height, width, 3]. `hue` in [0, 1) gives pictures of one class a look of their own.
std::vector<uint8_t> MakePicture(int width, int height, uint64_t seed, double hue);
std::vector<uint8_t> EncodeJpeg(const std::vector<uint8_t>& rgb, int width, int height, int quality = 90);
void WriteBytes(const std::string& path, const std::vector<uint8_t>& bytes);

// `<dir>/<label>/<label>_<i>.jpg`, `per_label` each, sizes around 90 x 70, made with `seed`.
void WritePhotoFolders(const std::string& dir, const std::vector<std::string>& labels, int per_label, uint64_t seed);

}  // namespace couplet::test
