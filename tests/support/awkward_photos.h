// What must come of every file in the shared folder of awkward photos (data/nasty).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

namespace couplet::test {

// File name -> "<width>x<height>" of what is decoded, or the reason why nothing is.
const std::map<std::string, std::string>& AwkwardPhotos();
// Whether that outcome is a picture.
bool IsDecoded(const std::string& outcome);

}  // namespace couplet::test
