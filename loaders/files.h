// Files whole: read, map, and write so that a crash leaves the old or the new file and never half of one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/status.h"

namespace couplet {

// A read-only mapping of a whole file. Shared: views into it hold a reference.
class MappedFile {
 public:
  // kIo if it cannot be opened, kBadInput if it is no regular file or larger than max_bytes.
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

// Appends the file's bytes to nothing: `out` is resized, its capacity reused.
Status ReadFile(const std::string& path, uint64_t max_bytes, std::vector<uint8_t>* out);

// Writes beside `path`, fsyncs, renames over it, fsyncs the folder. kIo with path and errno's text; then `path` is
// untouched and nothing is left beside it.
Status WriteFileAtomically(const std::string& path, std::string_view contents);
// Both files or neither is begun before both are safely beside their names; then renamed in the order given.
struct FileToWrite {
  std::string path;
  std::string_view contents;
};
Status WriteFilesAtomically(std::span<const FileToWrite> files);

Status MakeDirectories(const std::string& path);  // as mkdir -p
bool FileExists(const std::string& path);
bool IsDirectory(const std::string& path);
// Names (not paths) in a folder, byte order, without "." and "..".
Result<std::vector<std::string>> ListDirectory(const std::string& path);
std::string JoinPath(std::string_view folder, std::string_view name);  // as os.path.join

}  // namespace couplet
