// SPDX-License-Identifier: Apache-2.0
#include "loaders/image_extension.h"

#include <algorithm>
#include <iterator>

namespace couplet {

bool HasExtension(std::string_view file, std::string_view extension) {
  return file.size() > extension.size() && file.ends_with(extension) &&
         file[file.size() - extension.size() - 1] == '.';
}

bool HasExtensionInAnyCase(std::string_view file, std::string_view extension) {
  if (file.size() <= extension.size()) return false;
  const std::string_view end = file.substr(file.size() - extension.size() - 1);
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; };
  return end[0] == '.' && std::equal(extension.begin(), extension.end(), end.begin() + 1, [&](char b, char a) { return same(a, b); });
}

bool HasImageExtension(std::string_view file) {
  const auto exact = [&](const char* extension) { return HasExtension(file, extension); };
  const auto any_case = [&](const char* extension) { return HasExtensionInAnyCase(file, extension); };
  return std::any_of(std::begin(kJpegExtensions), std::end(kJpegExtensions), exact) ||
         std::any_of(std::begin(kOtherExtensions), std::end(kOtherExtensions), any_case);
}

}  // namespace couplet
