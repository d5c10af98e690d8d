// Writes .tar.gz archives for tests, hostile ones too.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace couplet::test {

struct ArchiveEntry {
  enum class Kind { kFile, kFolder, kSymlink, kHardlink } kind = Kind::kFile;
  std::string name;
  std::string contents;  // of a file; of a link where it leads
};

void MakeArchive(const std::string& path, const std::vector<ArchiveEntry>& entries);

}  // namespace couplet::test
