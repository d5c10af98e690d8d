// SPDX-License-Identifier: Apache-2.0
#include "loaders/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string_view>
#include <system_error>

#include "loaders/files.h"

namespace couplet {
namespace {

namespace fs = std::filesystem;

// gzip packs at most 1032:1; weights and photos hardly at all. Small archives may pack as they like.
constexpr uint64_t kMaxRatio = 200;
constexpr uint64_t kAnyRatioBytes = uint64_t{16} << 20;
constexpr int kMaxEntries = 100'000;

struct ArchiveDeleter {
  void operator()(archive* a) const { archive_read_free(a); }
};
using Archive = std::unique_ptr<archive, ArchiveDeleter>;

struct Entry {
  std::string name;  // as the archive has it
  bool is_regular = false, is_folder = false;
};

// Reads an archive front to back, holding every byte of it to the limits.
class Reader {
 public:
  Reader(std::string path, uint64_t max_bytes) : path_(std::move(path)), max_bytes_(max_bytes) {}

  Status Open() {
    archive_.reset(archive_read_new());
    if (archive_ == nullptr) return Internal("libarchive does not start");
    archive_read_support_filter_gzip(archive_.get());
    archive_read_support_format_tar(archive_.get());
    constexpr size_t kBlock = 65536;
    if (archive_read_open_filename(archive_.get(), path_.c_str(), kBlock) != ARCHIVE_OK) return Broken();
    return {};
  }

  // False at the end. An entry with a name that leads out of its folder ends the reading.
  Result<bool> Next(Entry* entry) {
    archive_entry* header = nullptr;
    const int code = archive_read_next_header(archive_.get(), &header);
    if (code == ARCHIVE_EOF) return false;
    // A warning is about a name in another script or an owner that does not matter here.
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return Broken();
    if (++entries_ > kMaxEntries) return BadInput(fmt::format("{}: more than {} entries", path_, kMaxEntries));
    const char* name = archive_entry_pathname(header);
    if (name == nullptr) name = archive_entry_pathname_utf8(header);
    if (name == nullptr || *name == '\0') return BadInput(fmt::format("{}: an entry without a name", path_));
    *entry = {name, archive_entry_filetype(header) == AE_IFREG && archive_entry_hardlink(header) == nullptr,
              archive_entry_filetype(header) == AE_IFDIR};
    if (!StaysInside(entry->name))
      return BadInput(fmt::format("{}: the entry \"{}\" would leave the folder it is unpacked to", path_, name));
    COUPLET_RETURN_IF_ERROR(CheckSize());
    return true;
  }

  // Hands the entry's contents to `sink` piece by piece; without a sink they are read past.
  Status Read(const std::function<Status(std::string_view)>& sink) {
    uint64_t written = 0;
    for (;;) {
      const void* data = nullptr;
      size_t bytes = 0;
      la_int64_t offset = 0;
      const int code = archive_read_data_block(archive_.get(), &data, &bytes, &offset);
      if (code == ARCHIVE_EOF) return {};
      if (code != ARCHIVE_OK) return Broken();
      COUPLET_RETURN_IF_ERROR(CheckSize());
      if (!sink) continue;
      // A hole (a sparse file) is no way to write a weight or a photo.
      if (offset < 0 || static_cast<uint64_t>(offset) != written)
        return BadInput(fmt::format("{}: holds a file with holes", path_));
      COUPLET_RETURN_IF_ERROR(sink({static_cast<const char*>(data), bytes}));
      written += bytes;
    }
  }

  Status Broken() const {
    const char* reason = archive_error_string(archive_.get());
    const int number = archive_errno(archive_.get());
    const bool is_missing = number == ENOENT || number == EACCES;
    return {is_missing ? Code::kIo : Code::kBadInput,
            fmt::format("{} is no whole .tar.gz: {}", path_, reason != nullptr ? reason : "unreadable")};
  }

 private:
  static bool StaysInside(std::string_view name) {
    if (name.front() == '/') return false;
    for (size_t start = 0; start <= name.size();) {
      const size_t end = std::min(name.find('/', start), name.size());
      if (name.substr(start, end - start) == "..") return false;
      start = end + 1;
    }
    return true;
  }
  // What has been unpacked so far, skipped entries included, against the limit and against what it was unpacked from.
  Status CheckSize() const {
    const auto unpacked = static_cast<uint64_t>(std::max<la_int64_t>(archive_filter_bytes(archive_.get(), 0), 0));
    const auto packed = static_cast<uint64_t>(std::max<la_int64_t>(archive_filter_bytes(archive_.get(), -1), 0));
    if (unpacked > max_bytes_)
      return BadInput(fmt::format("{}: unpacks to more than the {} MB allowed", path_, max_bytes_ / 1'000'000));
    if (unpacked > kAnyRatioBytes && unpacked / kMaxRatio > packed)
      return BadInput(fmt::format("{}: unpacks to more than {} times its size", path_, kMaxRatio));
    return {};
  }

  std::string path_;
  uint64_t max_bytes_;
  int entries_ = 0;
  Archive archive_;
};

std::string_view BaseName(std::string_view name) {
  while (!name.empty() && name.back() == '/') name.remove_suffix(1);
  return name.substr(name.rfind('/') + 1);
}

bool IsPhotoOrLicence(std::string_view name) {
  const std::string_view base = BaseName(name);
  if (base.starts_with("LICENSE") || base.starts_with("LICENCE")) return true;
  const size_t dot = base.rfind('.');
  if (dot == std::string_view::npos) return false;
  std::string extension(base.substr(dot + 1));
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  constexpr std::array<std::string_view, 5> kPhotos = {"jpg", "jpeg", "png", "bmp", "gif"};
  return std::find(kPhotos.begin(), kPhotos.end(), extension) != kPhotos.end();
}

// A new file; a name that exists already (the archive has it twice) is an error.
Status WriteEntry(Reader& reader, const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return IoError(fmt::format("{} cannot be written: {}", path, std::strerror(errno)));
  Status status = reader.Read([&](std::string_view piece) -> Status {
    while (!piece.empty()) {
      const ssize_t written = write(fd, piece.data(), piece.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return IoError(fmt::format("{} cannot be written: {}", path, std::strerror(errno)));
      piece.remove_prefix(static_cast<size_t>(written));
    }
    return {};
  });
  if (close(fd) != 0 && status.ok())
    status = IoError(fmt::format("{} cannot be written: {}", path, std::strerror(errno)));
  return status;
}

// A folder that is removed with what is in it.
class Scratch {
 public:
  explicit Scratch(std::string pattern) : path_(std::move(pattern)) {
    if (mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~Scratch() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Status MoveInto(const std::string& from, const std::string& dir, const std::string& archive) {
  const int fd = open(from.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    syncfs(fd);  // once for thousands of small files
    close(fd);
  }
  COUPLET_ASSIGN_OR_RETURN(const auto names, ListDirectory(from));
  if (names.empty()) return BadInput(archive + ": holds no photo");
  for (const auto& name : names)
    if (std::error_code error; fs::exists(fs::symlink_status(JoinPath(dir, name), error)))
      return BadInput(fmt::format("{} exists already; remove it to unpack {} anew", JoinPath(dir, name), archive));
  for (const auto& name : names)
    if (rename(JoinPath(from, name).c_str(), JoinPath(dir, name).c_str()) != 0)
      return IoError(fmt::format("{} cannot be made: {}", JoinPath(dir, name), std::strerror(errno)));
  return {};
}

}  // namespace

Status ExtractMember(const std::string& archive, const std::string& member, const std::string& path,
                     uint64_t max_bytes) {
  Reader reader(archive, max_bytes);
  COUPLET_RETURN_IF_ERROR(reader.Open());
  std::string contents;
  bool is_found = false;
  Entry entry;
  for (;;) {
    COUPLET_ASSIGN_OR_RETURN(const bool more, reader.Next(&entry));
    if (!more) break;
    if (BaseName(entry.name) != member || entry.is_folder) {
      COUPLET_RETURN_IF_ERROR(reader.Read(nullptr));
      continue;
    }
    if (!entry.is_regular) return BadInput(fmt::format("{}: \"{}\" is a link, not a file", archive, entry.name));
    if (is_found) return BadInput(fmt::format("{}: holds two files named {}", archive, member));
    is_found = true;
    COUPLET_RETURN_IF_ERROR(reader.Read([&](std::string_view piece) -> Status {
      contents.append(piece);
      return {};
    }));
  }
  if (!is_found) return BadInput(fmt::format("{}: holds no {}", archive, member));
  return WriteFileAtomically(path, contents);
}

Status ExtractTree(const std::string& archive, const std::string& dir, uint64_t max_bytes) {
  Reader reader(archive, max_bytes);
  COUPLET_RETURN_IF_ERROR(reader.Open());
  COUPLET_RETURN_IF_ERROR(MakeDirectories(dir));
  const Scratch scratch(JoinPath(dir, ".unpacking.XXXXXX"));
  if (scratch.path().empty())
    return IoError(fmt::format("no folder can be made in {}: {}", dir, std::strerror(errno)));
  std::set<std::string> folders;
  Entry entry;
  for (;;) {
    COUPLET_ASSIGN_OR_RETURN(const bool more, reader.Next(&entry));
    if (!more) break;
    if (!entry.is_regular && !entry.is_folder)
      return BadInput(fmt::format("{}: \"{}\" is a link or a device", archive, entry.name));
    if (entry.is_folder || !IsPhotoOrLicence(entry.name)) {
      COUPLET_RETURN_IF_ERROR(reader.Read(nullptr));
      continue;
    }
    const std::string path = JoinPath(scratch.path(), entry.name);
    const std::string folder = path.substr(0, path.rfind('/'));
    if (folders.insert(folder).second) COUPLET_RETURN_IF_ERROR(MakeDirectories(folder));
    COUPLET_RETURN_IF_ERROR(WriteEntry(reader, path));
  }
  return MoveInto(scratch.path(), dir, archive);
}

}  // namespace couplet
