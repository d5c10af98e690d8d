// Which files are photos, by their names. A file of its own, so that label_image needs neither lists of photos nor, for the
// hashes in them, libcrypto. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace couplet {

// The original's four, in its order and case.
inline constexpr const char* kJpegExtensions[] = {"jpg", "jpeg", "JPG", "JPEG"};
// Couplet's own, in any case.
inline constexpr const char* kOtherExtensions[] = {"png", "bmp", "gif"};

// As the glob '*.jpg' does: ".jpg" alone matches too.
bool HasExtension(std::string_view file, std::string_view extension);
bool HasExtensionInAnyCase(std::string_view file, std::string_view extension);  // `extension` in lower case
// kJpegExtensions exactly, kOtherExtensions in any case.
bool HasImageExtension(std::string_view file);

}  // namespace couplet
