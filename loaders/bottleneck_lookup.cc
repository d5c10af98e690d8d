// SPDX-License-Identifier: Apache-2.0
#include "loaders/bottleneck_lookup.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace couplet {
namespace {

// Nearer than this to its note, a file may have changed again without a new mtime (FAT counts in steps of 2 s).
constexpr int64_t kTrustAfterNs = 2'000'000'000;

// As many steps cost as much as a descent.
constexpr int kSteps = 8;

template <class... Parts>
uint32_t ChecksumOf(const Parts&... parts) {
  const uint32_t crcs[] = {Crc32c(std::as_bytes(std::span(parts)))...};
  return Crc32c(std::as_bytes(std::span(crcs)));
}

bool ReadDigest(std::span<const std::byte> blob, Sha256Digest* digest) {
  if (blob.size() != digest->size()) return false;
  std::memcpy(digest->data(), blob.data(), blob.size());
  return true;
}

std::string_view TextOf(std::span<const std::byte> blob) {
  return {reinterpret_cast<const char*>(blob.data()), blob.size()};
}

}  // namespace

uint32_t RowChecksum(std::span<const uint8_t> model, std::span<const uint8_t> photo, std::span<const std::byte> payload) {
  return ChecksumOf(model, photo, payload);
}

NoteNumbers NumbersOf(const FileStamp& stamp) {
  return {stamp.size, stamp.mtime_ns, stamp.ctime_ns, static_cast<int64_t>(stamp.inode), stamp.taken_ns};
}

NotedPhoto NotePhoto(std::string_view path, const Sha256Digest& photo, const NoteNumbers& numbers) {
  const uint32_t crc = ChecksumOf(path, photo, numbers);
  NotedPhoto noted;
  std::memcpy(noted.data(), photo.data(), photo.size());
  std::memcpy(noted.data() + photo.size(), &crc, sizeof crc);
  return noted;
}

int BottleneckLookup::Prepare(sqlite3* db) {
  int code = paths_from_.Prepare(db, "SELECT path, photo, size, mtime_ns, ctime_ns, inode, noted_ns FROM paths WHERE path >= ?1 ORDER BY path");
  if (code == SQLITE_OK) code = vectors_from_.Prepare(db, "SELECT id, photo, crc, vector FROM vectors WHERE id >= ?1 ORDER BY id");
  if (code == SQLITE_OK) code = get_vector_.Prepare(db, "SELECT crc, vector FROM vectors WHERE model = ?1 AND photo = ?2");
  Statement all;
  if (code == SQLITE_OK) code = all.Prepare(db, "SELECT photo, id FROM vectors WHERE model = ?1 ORDER BY photo");
  if (code != SQLITE_OK) return code;
  all.Bind(1, model_);
  Row row;
  while ((code = all.Step()) == SQLITE_ROW) {
    row.id = all.Int(1);
    if (ReadDigest(all.Blob(0), &row.photo)) rows_.push_back(row);
  }
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

const BottleneckLookup::Row* BottleneckLookup::FindRow(const Sha256Digest& photo) const {
  const auto at = std::lower_bound(rows_.begin(), rows_.end(), photo, [](const Row& row, const Sha256Digest& key) { return row.photo < key; });
  return at != rows_.end() && at->photo == photo ? &*at : nullptr;
}

bool BottleneckLookup::WasThere(const Sha256Digest& photo) const { return FindRow(photo) != nullptr; }

// The row on which paths_from_ stands is that of `path`.
void BottleneckLookup::ReadNote(std::string_view path, BottleneckStore::Found* found) {
  const FileStamp& now = *found->stamp;
  NoteNumbers numbers;
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = paths_from_.Int(static_cast<int>(2 + i));
  const auto& [size, mtime_ns, ctime_ns, inode, noted_ns] = numbers;
  const std::span<const std::byte> blob = paths_from_.Blob(1);
  bool good = blob.size() == sizeof(NotedPhoto);
  if (good) {
    std::memcpy(found->photo_sha256.data(), blob.data(), sizeof(Sha256Digest));
    const NotedPhoto want = NotePhoto(path, found->photo_sha256, numbers);
    good = std::memcmp(want.data(), blob.data(), want.size()) == 0;
  }
  if (!good && blob.size() != sizeof(Sha256Digest)) ++damaged_;
  const int64_t apart_ns = noted_ns > now.mtime_ns ? noted_ns - now.mtime_ns : now.mtime_ns - noted_ns;
  found->known = good && size == now.size && mtime_ns == now.mtime_ns && ctime_ns == now.ctime_ns &&
                 inode == static_cast<int64_t>(now.inode) && apart_ns >= kTrustAfterNs;
}

int BottleneckLookup::FindPaths(std::span<const std::string> paths, std::span<BottleneckStore::Found> found) {
  std::vector<size_t> order(paths.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::erase_if(order, [&](size_t i) { return !found[i].stamp.has_value(); });
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return paths[a] < paths[b]; });
  Statement& from = paths_from_;
  int code = SQLITE_DONE;  // SQLITE_ROW: `from` stands on a row
  for (const size_t i : order) {
    const std::string& path = paths[i];
    for (int step = 0; code == SQLITE_ROW && step < kSteps && TextOf(from.Blob(0)) < path; ++step) code = from.Step();
    if (code == SQLITE_DONE || TextOf(from.Blob(0)) < path) {
      from.Reset();
      code = from.Bind(1, std::string_view(path)).Step();
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE) break;
    if (code == SQLITE_ROW && TextOf(from.Blob(0)) == path) ReadNote(path, &found[i]);
  }
  from.Reset();
  return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

// Columns from `first_column` on: crc, vector.
bool BottleneckLookup::ReadVector(const Statement& row, int first_column, const Sha256Digest& photo, std::span<float> dst) const {
  const std::span<const std::byte> vector = row.Blob(first_column + 1);
  if (vector.size() != dst.size_bytes() || row.Int(first_column) != RowChecksum(model_key_, photo, vector)) return false;
  if (!vector.empty()) std::memcpy(dst.data(), vector.data(), vector.size());
  return true;
}

bool BottleneckLookup::FindVector(const Sha256Digest& photo, std::span<float> dst) {
  const int code = get_vector_.Bind(1, model_).Bind(2, photo).Step();
  const bool good = code == SQLITE_ROW && ReadVector(get_vector_, 0, photo, dst);
  get_vector_.Reset();
  if (!good && code != SQLITE_DONE) ++damaged_;
  return good;
}

void BottleneckLookup::FindVectors(std::span<BottleneckStore::Found> found, size_t dim, std::span<float> vectors) {
  std::vector<Wanted> wanted;
  for (size_t i = 0; i < found.size(); ++i)
    if (found[i].known)
      if (const Row* row = FindRow(found[i].photo_sha256)) wanted.push_back({row->id, i});
  std::sort(wanted.begin(), wanted.end(), [](const Wanted& a, const Wanted& b) { return a.id < b.id; });
  ScanVectors(wanted, found, dim, vectors);
  // What was not there when the store was opened, or is not what was there: by its key, which says whether it is damaged.
  for (size_t i = 0; i < found.size(); ++i)
    if (found[i].known && !found[i].has_vector)
      found[i].has_vector = FindVector(found[i].photo_sha256, vectors.subspan(i * dim, dim));
}

void BottleneckLookup::ScanVectors(std::span<const Wanted> wanted, std::span<BottleneckStore::Found> found, size_t dim, std::span<float> vectors) {
  Statement& from = vectors_from_;
  int code = SQLITE_DONE;  // SQLITE_ROW: `from` stands on a row
  for (const auto& [id, i] : wanted) {
    for (int step = 0; code == SQLITE_ROW && step < kSteps && from.Int(0) < id; ++step) code = from.Step();
    if (code != SQLITE_ROW || from.Int(0) < id) {
      from.Reset();
      code = from.Bind(1, id).Step();
    }
    Sha256Digest photo;
    if (code == SQLITE_ROW && from.Int(0) == id && ReadDigest(from.Blob(1), &photo) && photo == found[i].photo_sha256)
      found[i].has_vector = ReadVector(from, 2, photo, vectors.subspan(i * dim, dim));
  }
  from.Reset();
}

}  // namespace couplet
