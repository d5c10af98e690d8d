// How rows of the bottleneck store are found and believed; bottleneck_store.cc has their layout.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "loaders/bottleneck_store.h"
#include "loaders/hash.h"
#include "loaders/sqlite_statement.h"

namespace couplet {

// Of a connection that reads. What it reads it reads once: next to nothing is kept in memory, as 16 MB would push all else out of
// the second cache, and reading would take a third longer.
inline constexpr char kReadingPragmas[] = "PRAGMA cell_size_check = ON; PRAGMA cache_size = -1024;";

// What a row of `paths` notes of a file: size, mtime, ctime, inode, when noted; and the photo's hash with the row's crc behind
// it. A note without one (of Couplet 0.1.0's first stores) is not believed: the photo is read, and the note made again.
using NoteNumbers = std::array<int64_t, 5>;
using NotedPhoto = std::array<uint8_t, sizeof(Sha256Digest) + sizeof(uint32_t)>;
NoteNumbers NumbersOf(const FileStamp& stamp);
NotedPhoto NotePhoto(std::string_view path, const Sha256Digest& photo, const NoteNumbers& numbers);

// Which photos have a vector of one model's, or a thumbnail, and under which id: the rows of `entries` with one `model`, held in
// memory. They are read once and then as far as they are new, so that looking a photo up costs the same however many there are,
// and the file needs no index of hashes, which fall anywhere: a store of a million photos would write a page of it for each.
class EntryIndex {
 public:
  // `model_key` is part of the rows' checksums: a model's hash, or nothing for thumbnails.
  int Prepare(sqlite3* db, int64_t model, std::span<const uint8_t> model_key);
  int64_t model() const { return model_; }
  // Of the row of `contents` that holds these bytes of a photo.
  uint32_t Checksum(const Sha256Digest& photo, std::span<const std::byte> bytes) const;
  // Reads what was added since the last time, by anyone. Inside of a transaction, before the others are asked.
  int Refresh();
  // 0: none.
  int64_t Find(const Sha256Digest& photo) const;
  // At the first Refresh; thread-safe ever after.
  int64_t FindFirst(const Sha256Digest& photo) const;
  void Add(const Sha256Digest& photo, int64_t id);
  // What was added may have been rolled back: the next Refresh reads all that came after the first.
  void Forget();

 private:
  struct Row {
    Sha256Digest photo;
    int64_t id;
  };
  struct Hash {
    size_t operator()(const Sha256Digest& photo) const;
  };

  // The slot of the photo, or the empty one where it would be put.
  size_t SlotOf(const Sha256Digest& photo) const;

  int64_t model_ = 0;
  std::vector<uint8_t> model_key_;
  Statement newer_;
  int64_t last_ = 0, last_of_first_ = 0;
  std::vector<Row> first_;  // as read
  std::vector<uint32_t> slots_;  // a hash table with linear probing: places in first_ counted from 1, 0 for an empty slot; none before the first Refresh
  std::unordered_map<Sha256Digest, int64_t, Hash> added_;
};

// Read a table's rows in the order of their keys, in which they lie: a step from one to the next costs a tenth of a descent from
// the root. Where the next one that is wanted is further than a few steps, it is a descent again, so rows that nobody asked for
// cost little. A Seek puts a reader on the row with the key, or where that is missing behind it; SQLITE_DONE: at the end. Not while
// another connection writes.
class NoteReader {
 public:
  int Prepare(sqlite3* db);
  int Seek(std::string_view path);
  enum class Note { kNone, kGood, kStale, kDamaged };
  // What the row of `path` says of a file with that stamp, after Seek(path). kGood: *photo is the file's, and can be trusted to be.
  Note Read(std::string_view path, const FileStamp& now, Sha256Digest* photo) const;
  void Reset();

 private:
  Statement from_;
  int code_ = SQLITE_DONE;  // SQLITE_ROW: it stands on a row
};

class ContentReader {
 public:
  int Prepare(sqlite3* db);
  int Seek(int64_t id);
  // The bytes of the row, after Seek(id) and until it goes on; nothing where it is missing or damaged.
  std::optional<std::span<const std::byte>> Bytes(const EntryIndex& index, const Sha256Digest& photo, int64_t id) const;
  void Reset();

 private:
  Statement from_;
  int code_ = SQLITE_DONE;
};

// Both, through one connection.
class StoreReader {
 public:
  StoreReader() = default;
  ~StoreReader();
  StoreReader(const StoreReader&) = delete;
  StoreReader& operator=(const StoreReader&) = delete;
  int Prepare(sqlite3* db);
  // On a connection of its own, for one more thread.
  int Open(const std::string& path);
  bool is_spare() const { return own_ != nullptr; }

  NoteReader notes;
  ContentReader contents;

 private:
  sqlite3* own_ = nullptr;
};

// Every int is SQLite's code.
class BottleneckLookup {
 public:
  int Prepare(sqlite3* db, int64_t model, const Sha256Digest& model_key);

  EntryIndex& vectors() { return vectors_; }
  EntryIndex& thumbnails() { return thumbnails_; }
  // Of those with a stamp: is the photo known by a note that can be trusted, and is its vector there? `vectors` is [paths, dim]. A
  // row that cannot be read is damaged, no more. `file` is the store's, for threads beyond the first.
  int Find(const std::string& file, std::span<const std::string> paths, std::span<BottleneckStore::Found> found, size_t dim,
           std::span<float> vectors, int threads);
  bool FindVector(const Sha256Digest& photo, std::span<float> dst);
  std::optional<std::vector<uint8_t>> FindThumbnail(const Sha256Digest& photo);

  int damaged() const { return damaged_.load(); }

 private:
  struct Wanted {
    size_t index;
    int64_t id;
  };
  struct Search {  // what Find was asked for
    std::span<const std::string> paths;
    std::span<BottleneckStore::Found> found;
    size_t dim;
    std::span<float> vectors;
  };

  int FindShare(StoreReader& reader, const Search& search, std::span<Wanted> wanted);
  int FindNotes(NoteReader& notes, const Search& search, std::span<const Wanted> wanted, int* damaged);

  EntryIndex vectors_;
  EntryIndex thumbnails_;  // not read before one is asked for or put
  StoreReader reader_;
  std::atomic<int> damaged_{0};
};

}  // namespace couplet
