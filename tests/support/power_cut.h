// What a lost power supply leaves of a folder: the changes a program made to its files (COUPLET_FAULTS_LOG of
// tests/support/faults/shim.cc), played into another folder up to any point and with what was not synced dropped.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace couplet::test {

struct FileChange {
  enum class Op { kOpen, kDup, kClose, kWrite, kTruncate, kSync, kRename, kUnlink, kMkdir } op;
  int fd = -1;
  long a = 0, b = 0;
  std::string path, other, data;
};

// Which of the changes that nobody waited for have reached the disk. A file system may keep a folder's new entries and not
// the new file's bytes, or the other way round.
enum class Lost {
  kAll,     // no change of a folder that was not synced, no byte of a file that was not
  kBytes,   // every change of folders, no byte that was not synced: empty files under their final names
  kRandom,  // folders up to a random change, and of each unsynced write all, nothing or a part, in any order
};

// Files by path, as they are found when the power is back.
using Folder = std::map<std::string, std::string>;

class PowerCuts {
 public:
  // Of paths below `folder` alone (as the program named them). `before`: what lay there.
  PowerCuts(const std::string& log_path, std::string folder, Folder before);
  size_t changes() const { return changes_.size(); }
  Folder After(size_t changes, Lost lost, uint32_t seed) const;

 private:
  std::string folder_;
  Folder before_;
  std::vector<FileChange> changes_;
};

Folder ReadFolder(const std::string& path, const std::string& name);
void WriteFolder(const std::string& root, const Folder& files);

}  // namespace couplet::test
