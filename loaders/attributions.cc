// SPDX-License-Identifier: Apache-2.0
#include "loaders/attributions.h"

#include <fmt/format.h>

#include <string_view>
#include <vector>

#include "loaders/files.h"

namespace couplet {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{16} << 20;

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

Result<std::string> PhotoCaption(const std::string& photo) {
  if (!FileExists(photo)) return IoError(fmt::format("{}: no such photo", photo));
  const std::string folder = ParentDirectory(photo);
  const std::string credits = JoinPath(ParentDirectory(folder), "LICENSE.txt");
  if (!FileExists(credits))
    return IoError(fmt::format("{}: no such file; it comes with the codelab's photos and names who took them", credits));
  std::vector<uint8_t> bytes;
  COUPLET_RETURN_IF_ERROR(ReadFile(credits, kMaxBytes, &bytes));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::string wanted = BaseName(folder) + "/" + BaseName(photo) + " CC-BY";
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    std::string_view line = text.substr(start, end - start);
    start = end + 1;
    if (!line.starts_with(wanted)) continue;
    line.remove_prefix(wanted.size());
    return "Image" + std::string(line.substr(0, line.rfind(" - ")));  // without the address
  }
  return BadInput(fmt::format("{}: has no line for {}/{}", credits, BaseName(folder), BaseName(photo)));
}

}  // namespace couplet
