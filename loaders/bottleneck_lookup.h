// How rows of the bottleneck store are found and believed; bottleneck_store.cc has their layout.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loaders/bottleneck_store.h"
#include "loaders/hash.h"
#include "loaders/sqlite_statement.h"

namespace couplet {

// Of a row of `vectors` or, with no model, of `thumbnails`.
uint32_t RowChecksum(std::span<const uint8_t> model, std::span<const uint8_t> photo, std::span<const std::byte> payload);

// What a row of `paths` notes of a file: size, mtime, ctime, inode, when noted; and the photo's hash with the row's crc behind
// it. A note without one (of Couplet 0.1.0's first stores) is not believed: the photo is read, and the note made again.
using NoteNumbers = std::array<int64_t, 5>;
using NotedPhoto = std::array<uint8_t, sizeof(Sha256Digest) + sizeof(uint32_t)>;
NoteNumbers NumbersOf(const FileStamp& stamp);
NotedPhoto NotePhoto(std::string_view path, const Sha256Digest& photo, const NoteNumbers& numbers);

// Rows lie in the order of their keys, so many are looked for in that order, from one to the next: a step costs a tenth of a
// descent from the root. Where the next is further than a few steps, it is a descent again, so rows that nobody asked for cost
// little. Every int is SQLite's code.
class BottleneckLookup {
 public:
  BottleneckLookup(const Sha256Digest& model_key, int64_t model) : model_key_(model_key), model_(model) {}
  int Prepare(sqlite3* db);

  // With a vector of this model when Prepare was called. Thread-safe.
  bool WasThere(const Sha256Digest& photo) const;
  // Those with a stamp: is the photo known by a note that can be trusted?
  int FindPaths(std::span<const std::string> paths, std::span<BottleneckStore::Found> found);
  // Those that are known: vectors is [found, dim]. A row that cannot be read is damaged, no more.
  void FindVectors(std::span<BottleneckStore::Found> found, size_t dim, std::span<float> vectors);
  bool FindVector(const Sha256Digest& photo, std::span<float> dst);

  void NoteDamage() { ++damaged_; }
  int damaged() const { return damaged_.load(); }

 private:
  struct Row {
    Sha256Digest photo;
    int64_t id;
  };
  struct Wanted {
    int64_t id;
    size_t index;
  };

  const Row* FindRow(const Sha256Digest& photo) const;
  void ReadNote(std::string_view path, BottleneckStore::Found* found);
  bool ReadVector(const Statement& row, int first_column, const Sha256Digest& photo, std::span<float> dst) const;
  void ScanVectors(std::span<const Wanted> wanted, std::span<BottleneckStore::Found> found, size_t dim, std::span<float> vectors);

  const Sha256Digest model_key_;
  const int64_t model_;
  std::vector<Row> rows_;  // of this model's vectors, by photo; const after Prepare
  Statement paths_from_, vectors_from_, get_vector_;
  std::atomic<int> damaged_{0};
};

}  // namespace couplet
