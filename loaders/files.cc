// SPDX-License-Identifier: Apache-2.0
#include "loaders/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <set>
#include <system_error>

namespace couplet {
namespace {

std::string ErrnoText(int error) { return std::generic_category().message(error); }
Status Failed(const char* what, const std::string& path, int error) {
  const char* way_out = error == ENOSPC || error == EDQUOT ? "; free some space, or name a folder on another disk"
                        : error == EACCES || error == EPERM ? "; ls -l shows whose it is"
                        : error == EROFS                    ? "; name a folder that can be written to"
                                                            : "";
  return IoError(fmt::format("cannot {} {}: {}{}", what, path, ErrnoText(error), way_out));
}

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }
  // 0 or errno. Some file systems (NFS) report a failed write only here.
  int Close() {
    const int fd = fd_;
    fd_ = -1;
    return ::close(fd) == 0 || errno == EINTR ? 0 : errno;
  }

 private:
  int fd_;
};

template <class Call>
auto RetryOnSignal(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

// Size of the regular file behind `fd`, or why it is not wanted.
Result<uint64_t> CheckRegular(int fd, const std::string& path, uint64_t max_bytes) {
  struct stat info;
  if (fstat(fd, &info) != 0) return Failed("read", path, errno);
  if (S_ISDIR(info.st_mode)) return BadInput(fmt::format("{} is a folder, not a file", path));
  if (!S_ISREG(info.st_mode)) return BadInput(fmt::format("{} is not a regular file", path));
  const uint64_t size = static_cast<uint64_t>(info.st_size);
  if (size > max_bytes)
    return BadInput(fmt::format("{} has {} bytes; the limit is {}", path, size, max_bytes));
  return size;
}

// O_NONBLOCK: opening a FIFO must not wait for a writer; it means nothing to a regular file.
int OpenToRead(const std::string& path) {
  return RetryOnSignal([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
}

int WriteAll(int fd, std::string_view contents) {
  while (!contents.empty()) {
    // Linux takes at most 2 GiB a call.
    const size_t chunk = std::min(contents.size(), size_t{1} << 30);
    const ssize_t wrote = RetryOnSignal([&] { return write(fd, contents.data(), chunk); });
    if (wrote < 0) return errno;
    contents.remove_prefix(static_cast<size_t>(wrote));
  }
  return 0;
}

int Sync(int fd) {
  if (RetryOnSignal([&] { return fsync(fd); }) == 0) return 0;
  // Some file systems have no fsync, least of all for folders.
  return errno == EINVAL || errno == ENOTSUP || errno == EROFS ? 0 : errno;
}

// Its entries, not what is in its files. 0 or errno.
int SyncEntries(const std::string& folder) {
  const Fd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd.get() < 0 ? 0 : Sync(fd.get());  // no descriptor: a folder one may write but not read
}

constexpr std::string_view kTempPrefix = ".couplet-";

// A file beside its final name: renamed by Commit, or gone when this object dies. Locked as long as it lives, so that
// RemoveAbandonedFiles knows it from one whose process was killed.
class StagedFile {
 public:
  explicit StagedFile(std::string path) : path_(std::move(path)) {}
  StagedFile(StagedFile&& other) noexcept
      : path_(std::move(other.path_)),
        target_(std::move(other.target_)),
        temp_(std::exchange(other.temp_, {})),
        lock_(std::move(other.lock_)),
        fd_(std::move(other.fd_)) {}
  ~StagedFile() {
    if (!temp_.empty()) unlink(temp_.c_str());
  }

  Status Stage(std::string_view contents) {
    target_ = path_;
    mode_t mode = 0666 & ~Umask();
    struct stat info;
    if (stat(path_.c_str(), &info) == 0) {
      if (S_ISDIR(info.st_mode)) return Failed("write", path_, EISDIR);
      if (!S_ISREG(info.st_mode)) return WriteInto(contents);
      mode = info.st_mode & 07777;
      std::error_code error;
      const auto real = std::filesystem::canonical(path_, error);
      if (!error) target_ = real.string();
    }
    const int opened = OpenTemp();
    if (opened < 0) return Explain(errno);
    lock_ = Fd(opened);
    // What Settle closes is another descriptor of the same open file, so the lock stays.
    fd_ = Fd(fcntl(opened, F_DUPFD_CLOEXEC, 0));
    if (fd_.get() < 0) return Failed("write", path_, errno);
    int error = fchmod(fd_.get(), mode) == 0 || errno == EPERM || errno == ENOTSUP ? 0 : errno;
    if (error == 0) error = WriteAll(fd_.get(), contents);
    return error == 0 ? Status() : Failed("write", path_, error);
  }

  // Renamed unsynced, it may come back empty or cut off; text that is cut off can look like text that is not.
  Status Settle() {
    if (temp_.empty()) return {};
    int error = Sync(fd_.get());
    const int close_error = fd_.Close();
    if (error == 0) error = close_error;
    return error == 0 ? Status() : Failed("write", path_, error);
  }

  Status Commit() {
    if (temp_.empty()) return {};  // written into a device
    if (rename(temp_.c_str(), target_.c_str()) != 0) return Failed("write", path_, errno);
    temp_.clear();
    return {};
  }

  std::string Folder() const { return ParentDirectory(target_); }
  Status SyncFolder() const {
    const int error = SyncEntries(Folder());
    return error == 0 ? Status() : Failed("write", path_, error);
  }

 private:
  // There is no call that only reads the mask, and setting it would race with other threads.
  static mode_t Umask() {
    mode_t mask = 022;
    if (FILE* status = std::fopen("/proc/self/status", "re"); status != nullptr) {
      char line[256];
      constexpr std::string_view kName = "Umask:";
      while (std::fgets(line, sizeof line, status) != nullptr)
        if (std::string_view(line).starts_with(kName)) mask = static_cast<mode_t>(std::strtoul(line + kName.size(), nullptr, 8));
      std::fclose(status);
    }
    return mask;
  }

  // A short name of its own: the final name may already be as long as names can be.
  int OpenTemp() {
    for (int attempt = 0; attempt < 100; ++attempt) {
      uint64_t random = 0;
      if (getrandom(&random, sizeof random, 0) != sizeof random) random = static_cast<uint64_t>(attempt);
      temp_ = JoinPath(ParentDirectory(target_), fmt::format("{}{}-{:016x}", kTempPrefix, getpid(), random));
      const int fd =
          RetryOnSignal([&] { return open(temp_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600); });
      if (fd >= 0 && LockFresh(fd)) return fd;
      if (fd >= 0) close(fd);
      if (fd < 0 && errno != EEXIST) break;
    }
    temp_.clear();
    return -1;
  }

  // False when the file was taken for an abandoned one before it was locked. No lock where the file system has none.
  static bool LockFresh(int fd) {
    struct stat info;
    return flock(fd, LOCK_EX | LOCK_NB) != 0 || fstat(fd, &info) != 0 || info.st_nlink > 0;
  }

  Status Explain(int error) const {
    const std::string folder = ParentDirectory(target_);
    if (error == ENOENT && !FileExists(folder))
      return IoError(fmt::format("cannot write {}: there is no folder {}", path_, folder));
    return Failed("write", path_, error);
  }

  Status WriteInto(std::string_view contents) const {
    const int opened = RetryOnSignal([&] { return open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY); });
    if (opened < 0) return Failed("write", path_, errno);
    Fd fd(opened);
    int error = WriteAll(fd.get(), contents);
    const int close_error = fd.Close();
    if (error == 0) error = close_error;
    return error == 0 ? Status() : Failed("write", path_, error);
  }

  std::string path_;    // as the user named it
  std::string target_;  // with symbolic links followed
  std::string temp_;    // empty: nothing to rename or remove
  Fd lock_{-1};
  Fd fd_{-1};  // until it is settled
};

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::Open(const std::string& path, uint64_t max_bytes) {
  Fd fd(OpenToRead(path));
  if (fd.get() < 0) return Failed("open", path, errno);
  COUPLET_ASSIGN_OR_RETURN(const uint64_t size, CheckRegular(fd.get(), path, max_bytes));
  // First what a mapping is held by: there may be no memory for it.
  std::shared_ptr<MappedFile> file(new MappedFile(nullptr, 0));
  if (size != 0) {
    void* const data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (data == MAP_FAILED) return Failed("map", path, errno);
    file->data_ = static_cast<const std::byte*>(data);
    file->size_ = size;
  }
  return std::shared_ptr<const MappedFile>(std::move(file));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

Status ReadFile(const std::string& path, uint64_t max_bytes, std::vector<uint8_t>* out) {
  out->clear();
  Fd fd(OpenToRead(path));
  if (fd.get() < 0) return Failed("open", path, errno);
  COUPLET_ASSIGN_OR_RETURN(const uint64_t size, CheckRegular(fd.get(), path, max_bytes));
  out->resize(size);
  size_t have = 0;
  // A file that shrinks while it is read ends early; one that grows is read as long as it was.
  while (have < size) {
    const ssize_t got = RetryOnSignal([&] { return read(fd.get(), out->data() + have, size - have); });
    if (got < 0) {
      const int error = errno;
      out->clear();
      return Failed("read", path, error);
    }
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  out->resize(have);
  return {};
}

Status WriteFilesAtomically(std::span<const FileToWrite> files, Durability durability) {
  std::vector<StagedFile> staged;
  staged.reserve(files.size());
  for (const FileToWrite& file : files) {
    staged.emplace_back(file.path);
    COUPLET_RETURN_IF_ERROR(staged.back().Stage(file.contents));
  }
  // Not each as it is written: the first to be waited for takes most of the others' way to the disk with it.
  for (StagedFile& file : staged) COUPLET_RETURN_IF_ERROR(file.Settle());
  for (StagedFile& file : staged) COUPLET_RETURN_IF_ERROR(file.Commit());
  if (durability == Durability::kMayBeOld) return {};
  std::set<std::string> synced;
  for (const StagedFile& file : staged)
    if (synced.insert(file.Folder()).second) COUPLET_RETURN_IF_ERROR(file.SyncFolder());
  return {};
}

Status WriteFileAtomically(const std::string& path, std::string_view contents, Durability durability) {
  const FileToWrite file{path, contents};
  return WriteFilesAtomically({&file, 1}, durability);
}

void RemoveAbandonedFiles(const std::string& folder) {
  const auto names = ListDirectory(folder);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    if (!name.starts_with(kTempPrefix)) continue;
    const std::string path = JoinPath(folder, name);
    const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat info;
    if (fd.get() >= 0 && fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode) && flock(fd.get(), LOCK_EX | LOCK_NB) == 0)
      unlink(path.c_str());
  }
}

Status MakeDirectories(const std::string& path) {
  if (path.empty()) return {};
  const auto failed = [&](int error) { return Failed("make the folder", path, error); };
  // Those that are not there yet, the innermost first.
  std::vector<std::string> missing;
  for (std::string folder = path;; folder = ParentDirectory(folder)) {
    struct stat info;
    if (stat(folder.c_str(), &info) == 0) {
      if (!S_ISDIR(info.st_mode)) return failed(ENOTDIR);
      break;
    }
    if (errno != ENOENT || folder == ".") return failed(errno);
    missing.push_back(folder);
  }
  for (auto folder = missing.rbegin(); folder != missing.rend(); ++folder) {
    // Another run may have been faster.
    const int made = mkdir(folder->c_str(), 0777) == 0 ? 0 : errno;
    if (made != 0 && made != EEXIST) return failed(made);
    if (made == EEXIST && !IsDirectory(*folder)) return failed(ENOTDIR);
    // Else a power cut takes the folder, and what was synced in it with it.
    if (const int error = SyncEntries(ParentDirectory(*folder)); error != 0) return failed(error);
  }
  return {};
}

std::string ParentDirectory(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status CheckWritableDirectory(const std::string& path) {
  if (access(path.c_str(), W_OK | X_OK) == 0) return {};
  return Failed("write into", path, errno);
}

bool FileExists(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0;
}

bool IsDirectory(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool IsRegularFile(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

Result<std::vector<std::string>> ListDirectory(const std::string& path) {
  const std::unique_ptr<DIR, void (*)(DIR*)> folder(opendir(path.c_str()), [](DIR* open) { closedir(open); });
  if (folder == nullptr) return Failed("open the folder", path, errno);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return Failed("read the folder", path, errno);
  std::sort(names.begin(), names.end());
  return names;
}

std::string JoinPath(std::string_view folder, std::string_view name) {
  if (name.starts_with('/')) return std::string(name);
  std::string path(folder);
  if (!path.empty() && !path.ends_with('/')) path += '/';
  path += name;
  return path;
}

}  // namespace couplet
