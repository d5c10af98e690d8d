// SPDX-License-Identifier: Apache-2.0
#include "tests/support/power_cut.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <set>
#include <sstream>

#include "tests/support/test.h"

namespace couplet::test {
namespace {

namespace fs = std::filesystem;

// A write or a change of size, applied to a file's bytes.
void Apply(const FileChange& change, size_t bytes, std::string* contents) {
  if (change.op == FileChange::Op::kTruncate) {
    contents->resize(static_cast<size_t>(change.a));
    return;
  }
  const size_t at = static_cast<size_t>(change.b);
  if (contents->size() < at + bytes) contents->resize(at + bytes);
  std::copy_n(change.data.begin(), bytes, contents->begin() + static_cast<std::ptrdiff_t>(at));
}

struct Inode {
  std::string synced;
  std::vector<FileChange> pending;
};
using Entries = std::map<std::string, std::shared_ptr<Inode>>;

// A folder's entries as they are, and changes of them that were not synced, oldest first.
struct Disk {
  Entries now, synced;
  std::vector<std::pair<std::string, Entries>> versions;  // the folder that changed, all entries after it

  void Changed(const std::string& path) { versions.emplace_back(ParentOf(path), now); }
  static std::string ParentOf(const std::string& path) { return fs::path(path).parent_path().string(); }
  // `to` gets the entries that `from` has in this folder.
  static void Take(const std::string& folder, const Entries& from, Entries* to) {
    std::erase_if(*to, [&](const auto& entry) { return ParentOf(entry.first) == folder; });
    for (const auto& [path, inode] : from)
      if (ParentOf(path) == folder) (*to)[path] = inode;
  }
  // What is in this folder now is safe.
  void SyncFolder(const std::string& folder) {
    Take(folder, now, &synced);
    std::erase_if(versions, [&](const auto& version) { return version.first == folder; });
  }
};

std::string Contents(const Inode& inode, Lost lost, std::minstd_rand* random) {
  std::string contents = inode.synced;
  if (lost != Lost::kRandom) return contents;
  std::vector<FileChange> pending = inode.pending;
  for (const FileChange& change : pending) {
    const uint32_t fate = (*random)() % 4;
    if (fate == 0) continue;
    // Sectors reach a disk whole.
    const size_t bytes = change.data.size();
    Apply(change, fate == 1 ? bytes / 2 / 512 * 512 : bytes, &contents);
  }
  return contents;
}

std::vector<FileChange> ReadLog(const std::string& path) {
  using Op = FileChange::Op;
  const std::map<std::string, Op> ops = {{"open", Op::kOpen},     {"dup", Op::kDup},       {"close", Op::kClose},   {"write", Op::kWrite},
                                         {"sync", Op::kSync},     {"rename", Op::kRename}, {"truncate", Op::kTruncate},
                                         {"unlink", Op::kUnlink}, {"mkdir", Op::kMkdir}};
  std::vector<FileChange> changes;
  std::ifstream log(path, std::ios::binary);
  for (std::string line; std::getline(log, line);) {
    std::vector<std::string> fields(1);
    for (const char c : line) c == '\t' ? fields.emplace_back() : fields.back() += c, void();
    REQUIRE(fields.size() == 6);
    FileChange change{ops.at(fields[0]), std::atoi(fields[1].c_str()), std::atol(fields[2].c_str()), std::atol(fields[3].c_str()),
                      fields[4], fields[5], ""};
    if (change.op == Op::kWrite) {
      change.data.resize(static_cast<size_t>(change.a));
      log.read(change.data.data(), change.a);
    }
    changes.push_back(std::move(change));
  }
  return changes;
}

}  // namespace

PowerCuts::PowerCuts(const std::string& log_path, std::string folder, Folder before)
    : folder_(std::move(folder)), before_(std::move(before)), changes_(ReadLog(log_path)) {}

Folder PowerCuts::After(size_t changes, Lost lost, uint32_t seed) const {
  using Op = FileChange::Op;
  std::minstd_rand random(seed * 2654435761u + 1);
  Disk disk;
  for (const auto& [path, contents] : before_) disk.now[path] = std::make_shared<Inode>(Inode{contents, {}});
  disk.synced = disk.now;
  struct Open {
    std::string path;
    std::shared_ptr<Inode> inode;  // null: a folder, or not below the folder looked at
  };
  std::map<int, Open> open;
  std::set<std::string> made;  // folders; each has an entry, as files have
  const auto ours = [&](const std::string& path) {
    return path.starts_with(folder_ + "/") || path.find("/" + folder_ + "/") != std::string::npos;
  };
  // SQLite names its files by the whole path.
  const auto named = [&](const std::string& path) {
    const size_t at = path.find("/" + folder_ + "/");
    return path.starts_with(folder_ + "/") || at == std::string::npos ? path : path.substr(at + 1);
  };
  const auto folder_named = [&](const std::string& path) {
    const std::string with_slash = named(path + "/");
    return with_slash.substr(0, with_slash.find_last_not_of('/') + 1);
  };
  for (size_t i = 0; i < changes && i < changes_.size(); ++i) {
    const FileChange& change = changes_[i];
    const std::string path = named(change.path);
    switch (change.op) {
      case Op::kOpen: {
        Open& file = open[change.fd] = {change.path, nullptr};
        if (!ours(change.path) || made.contains(path)) break;
        const auto found = disk.now.find(path);
        if (found != disk.now.end()) file.inode = found->second;
        if (found == disk.now.end() && change.b != 0) {
          file.inode = disk.now[path] = std::make_shared<Inode>();
          disk.Changed(path);
        }
        if (file.inode != nullptr && change.a != 0) file.inode->pending.push_back({Op::kTruncate, -1, 0, 0, "", "", ""});
        break;
      }
      case Op::kDup:
        open[change.fd] = open[static_cast<int>(change.a)];
        break;
      case Op::kClose:
        open.erase(change.fd);
        break;
      case Op::kWrite:
      case Op::kTruncate:
        if (const auto& inode = open[change.fd].inode; inode != nullptr) inode->pending.push_back(change);
        break;
      case Op::kSync:
        if (const Open& file = open[change.fd]; file.inode != nullptr) {
          for (const FileChange& pending : file.inode->pending) Apply(pending, pending.data.size(), &file.inode->synced);
          file.inode->pending.clear();
        } else {
          disk.SyncFolder(folder_named(file.path));
        }
        break;
      case Op::kRename: {
        if (!ours(change.path)) break;
        const std::string to = named(change.other);
        disk.now[to] = disk.now[path];
        disk.now.erase(path);
        disk.Changed(to);
        break;
      }
      case Op::kUnlink:
        if (ours(change.path) && disk.now.erase(path) != 0) disk.Changed(path);
        break;
      case Op::kMkdir:
        if (!ours(change.path)) break;
        made.insert(path);
        disk.now[path] = std::make_shared<Inode>();
        disk.Changed(path);
        break;
    }
  }
  Entries entries = lost == Lost::kBytes ? disk.now : disk.synced;
  if (lost == Lost::kRandom) {
    const size_t kept = random() % (disk.versions.size() + 1);
    for (size_t i = 0; i < kept; ++i) Disk::Take(disk.versions[i].first, disk.versions[i].second, &entries);
  }
  Folder files;
  for (const auto& [path, inode] : entries) {
    if (made.contains(path)) continue;
    // With a folder goes what is in it.
    bool there = true;
    for (std::string folder = Disk::ParentOf(path); !folder.empty() && folder != "/"; folder = Disk::ParentOf(folder))
      there = there && (!made.contains(folder) || entries.contains(folder));
    if (there) files[path] = Contents(*inode, lost, &random);
  }
  return files;
}

Folder ReadFolder(const std::string& path, const std::string& name) {
  Folder files;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(path) / name))
    if (entry.is_regular_file())
      files[fs::relative(entry.path(), path).string()] = FileContents(entry.path().string());
  return files;
}

void WriteFolder(const std::string& root, const Folder& files) {
  for (const auto& [name, contents] : files) {
    const fs::path path = fs::path(root) / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << contents;
  }
}

}  // namespace couplet::test
