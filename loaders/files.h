// Files whole: read, map, and write so that a crash leaves the old or the new file and never half of one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/status.h"

namespace couplet {

// A read-only mapping of a whole file. Shared: views into it hold a reference. Our own files change by rename, which
// leaves a mapping whole; a foreign program that cuts the file short while it is mapped ends us with SIGBUS.
class MappedFile {
 public:
  // kIo if it cannot be opened, kBadInput if it is no regular file or larger than max_bytes. Never blocks on a FIFO.
  static Result<std::shared_ptr<const MappedFile>> Open(const std::string& path, uint64_t max_bytes);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  MappedFile(const std::byte* data, size_t size) : data_(data), size_(size) {}
  const std::byte* data_;
  size_t size_;
};

// `out` becomes the file's bytes, its capacity reused. Errors as MappedFile::Open's; then `out` is empty.
Status ReadFile(const std::string& path, uint64_t max_bytes, std::vector<uint8_t>* out);

// Either way a power cut leaves the old file or the new one, whole. kSurvivePowerLoss also waits until it is sure to be the new
// one; for a cache, whose files are many and can be made again, kMayBeOld does not.
enum class Durability { kSurvivePowerLoss, kMayBeOld };

// Writes beside `path` and renames over it. kIo with path and errno's text; then `path` is untouched and nothing is
// left beside it. A symbolic link stays and what it points to is replaced; an existing file keeps its permissions;
// a device or FIFO (/dev/stdout) is written into.
Status WriteFileAtomically(const std::string& path, std::string_view contents,
                           Durability durability = Durability::kSurvivePowerLoss);
// All are safely beside their names before the first is renamed; then renamed in the order given.
struct FileToWrite {
  std::string path;
  std::string_view contents;
};
Status WriteFilesAtomically(std::span<const FileToWrite> files,
                            Durability durability = Durability::kSurvivePowerLoss);

// Removes from `folder` what writers that were killed left beside their files; a file that is being written stays. What
// cannot be removed stays, too.
void RemoveAbandonedFiles(const std::string& folder);

Status MakeDirectories(const std::string& path);  // as mkdir -p; a new one outlives a power cut
std::string ParentDirectory(const std::string& path);      // "." for a bare name
Status CheckWritableDirectory(const std::string& path);    // kIo when files cannot be made in it
bool FileExists(const std::string& path);         // of any kind
bool IsDirectory(const std::string& path);
bool IsRegularFile(const std::string& path);      // or a link to one
// Names (not paths) in a folder, byte order, without "." and "..".
Result<std::vector<std::string>> ListDirectory(const std::string& path);
std::string JoinPath(std::string_view folder, std::string_view name);  // as os.path.join

}  // namespace couplet
