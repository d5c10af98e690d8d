// How rows of the bottleneck store are found and believed; bottleneck_store.cc has their layout.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "loaders/bottleneck_store.h"
#include "loaders/hash.h"
#include "loaders/sqlite_statement.h"

namespace couplet {

// Of one of `contents`: a model's vector or, with no model, a thumbnail.
uint32_t RowChecksum(std::span<const uint8_t> model, std::span<const uint8_t> photo, std::span<const std::byte> payload);

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
  int Prepare(sqlite3* db, int64_t model);
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

  Statement newer_;
  bool has_first_ = false;
  int64_t last_ = 0, last_of_first_ = 0;
  std::vector<Row> first_;  // by photo
  std::unordered_map<Sha256Digest, int64_t, Hash> added_;
};

// Rows lie in the order of their keys, so many are looked for in that order, from one to the next: a step costs a tenth of a
// descent from the root. Where the next is further than a few steps, it is a descent again, so rows that nobody asked for cost
// little. Every int is SQLite's code.
class BottleneckLookup {
 public:
  explicit BottleneckLookup(const Sha256Digest& model_key) : model_key_(model_key) {}
  int Prepare(sqlite3* db, int64_t model);

  EntryIndex& vectors() { return vectors_; }
  // Those with a stamp: is the photo known by a note that can be trusted?
  int FindPaths(std::span<const std::string> paths, std::span<BottleneckStore::Found> found);
  // Those that are known: vectors is [found, dim]. A row that cannot be read is damaged, no more.
  int FindVectors(std::span<BottleneckStore::Found> found, size_t dim, std::span<float> vectors);
  bool FindVector(const Sha256Digest& photo, std::span<float> dst);

  void NoteDamage() { ++damaged_; }
  int damaged() const { return damaged_.load(); }

 private:
  struct Wanted {
    int64_t id;
    size_t index;
  };

  void ReadNote(std::string_view path, BottleneckStore::Found* found);
  bool ReadVector(const Sha256Digest& photo, std::span<float> dst) const;

  const Sha256Digest model_key_;
  EntryIndex vectors_;
  Statement paths_from_, contents_from_;
  std::atomic<int> damaged_{0};
};

}  // namespace couplet
