// SPDX-License-Identifier: Apache-2.0
#include "loaders/bottleneck_lookup.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <numeric>
#include <utility>

#include "loaders/threads.h"

namespace couplet {
namespace {

// Nearer than this to its note, a file may have changed again without a new mtime (FAT counts in steps of 2 s).
constexpr int64_t kTrustAfterNs = 2'000'000'000;

// As many steps cost as much as a descent.
constexpr int kSteps = 8;

// Vectors that one more thread has to read to be worth its connection.
constexpr size_t kLeastShare = 512;

constexpr int64_t kThumbnails = 0;  // as a model

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

// Puts `from`, whose statement selects rows from a key on in their order, on the first row that is not before `key`: on from the
// row on which it stands, if its code is SQLITE_ROW and that is near.
template <class Key, class IsBefore>
int SeekForward(Statement& from, int code, const Key& key, const IsBefore& is_before) {
  for (int step = 0; code == SQLITE_ROW && step < kSteps && is_before(); ++step) code = from.Step();
  if (code == SQLITE_ROW && !is_before()) return code;
  from.Reset();
  return from.Bind(1, key).Step();
}

std::string_view TextOf(std::span<const std::byte> blob) {
  return {reinterpret_cast<const char*>(blob.data()), blob.size()};
}

}  // namespace

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

size_t EntryIndex::Hash::operator()(const Sha256Digest& photo) const {
  size_t head;  // of a hash every part is as good as another
  std::memcpy(&head, photo.data(), sizeof head);
  return head;
}

int EntryIndex::Prepare(sqlite3* db, int64_t model, std::span<const uint8_t> model_key) {
  model_ = model;
  model_key_.assign(model_key.begin(), model_key.end());
  const int code = newer_.Prepare(db, "SELECT photo, id FROM entries WHERE model = ?1 AND id > ?2 ORDER BY id");
  newer_.Bind(1, model);  // Reset keeps it
  return code;
}

uint32_t EntryIndex::Checksum(const Sha256Digest& photo, std::span<const std::byte> bytes) const {
  return ChecksumOf(model_key_, photo, bytes);
}

int EntryIndex::Refresh() {
  newer_.Reset();  // an exception may have left it in the midst
  newer_.Bind(2, last_);
  int code;
  Sha256Digest photo;
  while ((code = newer_.Step()) == SQLITE_ROW) {
    last_ = newer_.Int(1);
    if (!ReadDigest(newer_.Blob(0), &photo)) continue;
    if (has_first_) added_[photo] = last_;
    else first_.push_back({photo, last_});
  }
  newer_.Reset();
  if (code != SQLITE_DONE) return code;
  if (!has_first_) {
    std::sort(first_.begin(), first_.end(), [](const Row& a, const Row& b) { return a.photo < b.photo; });
    last_of_first_ = last_;
    has_first_ = true;
  }
  return SQLITE_OK;
}

int64_t EntryIndex::FindFirst(const Sha256Digest& photo) const {
  const auto at = std::lower_bound(first_.begin(), first_.end(), photo, [](const Row& row, const Sha256Digest& key) { return row.photo < key; });
  return at != first_.end() && at->photo == photo ? at->id : 0;
}

int64_t EntryIndex::Find(const Sha256Digest& photo) const {
  const auto at = added_.find(photo);
  return at != added_.end() ? at->second : FindFirst(photo);
}

void EntryIndex::Add(const Sha256Digest& photo, int64_t id) {
  added_[photo] = id;
  last_ = std::max(last_, id);
}

void EntryIndex::Forget() {
  added_.clear();
  last_ = last_of_first_;
}

ContentReader::~ContentReader() {
  if (own_ != nullptr) sqlite3_close_v2(own_);  // closes with its statement
}

int ContentReader::Prepare(sqlite3* db) { return from_.Prepare(db, "SELECT id, crc, bytes FROM contents WHERE id >= ?1 ORDER BY id"); }

int ContentReader::Open(const std::string& path) {
  int code = sqlite3_open_v2(path.c_str(), &own_, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code == SQLITE_OK) code = sqlite3_exec(own_, kReadingPragmas, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? Prepare(own_) : code;
}

int ContentReader::Seek(int64_t id) {
  code_ = SeekForward(from_, code_, id, [&] { return from_.Int(0) < id; });
  return code_;
}

std::optional<std::span<const std::byte>> ContentReader::Bytes(const EntryIndex& index, const Sha256Digest& photo, int64_t id) const {
  if (code_ != SQLITE_ROW || from_.Int(0) != id) return std::nullopt;
  const std::span<const std::byte> bytes = from_.Blob(2);
  if (from_.Int(1) != index.Checksum(photo, bytes)) return std::nullopt;
  return bytes;
}

void ContentReader::Reset() {
  from_.Reset();
  code_ = SQLITE_DONE;
}

int BottleneckLookup::Prepare(sqlite3* db, int64_t model, const Sha256Digest& model_key) {
  int code = paths_from_.Prepare(db, "SELECT path, photo, size, mtime_ns, ctime_ns, inode, noted_ns FROM paths WHERE path >= ?1 ORDER BY path");
  if (code == SQLITE_OK) code = contents_.Prepare(db);
  if (code == SQLITE_OK) code = thumbnails_.Prepare(db, kThumbnails, {});
  if (code == SQLITE_OK) code = vectors_.Prepare(db, model, model_key);
  return code == SQLITE_OK ? vectors_.Refresh() : code;
}

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
    code = SeekForward(from, code, std::string_view(path), [&] { return TextOf(from.Blob(0)) < path; });
    if (code != SQLITE_ROW && code != SQLITE_DONE) break;
    if (code == SQLITE_ROW && TextOf(from.Blob(0)) == path) ReadNote(path, &found[i]);
  }
  from.Reset();
  return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

bool BottleneckLookup::CopyVector(std::optional<std::span<const std::byte>> content, std::span<float> dst) {
  if (!content.has_value() || content->size() != dst.size_bytes()) {
    ++damaged_;
    return false;
  }
  if (!dst.empty()) std::memcpy(dst.data(), content->data(), dst.size_bytes());
  return true;
}

bool BottleneckLookup::FindVector(const Sha256Digest& photo, std::span<float> dst) {
  const int64_t id = vectors_.Find(photo);
  if (id == 0) return false;
  contents_.Seek(id);
  const bool found = CopyVector(contents_.Bytes(vectors_, photo, id), dst);
  contents_.Reset();
  return found;
}

std::optional<std::vector<uint8_t>> BottleneckLookup::FindThumbnail(const Sha256Digest& photo) {
  if (thumbnails_.Refresh() != SQLITE_OK) {
    ++damaged_;
    return std::nullopt;
  }
  const int64_t id = thumbnails_.Find(photo);
  if (id == 0) return std::nullopt;
  std::optional<std::vector<uint8_t>> jpeg;
  contents_.Seek(id);
  if (const auto content = contents_.Bytes(thumbnails_, photo, id)) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(content->data());
    jpeg.emplace(bytes, bytes + content->size());
  } else {
    ++damaged_;
  }
  contents_.Reset();
  return jpeg;
}

int BottleneckLookup::FindVectors(const std::string& path, std::span<BottleneckStore::Found> found, size_t dim, std::span<float> vectors,
                                  int threads) {
  if (const int code = vectors_.Refresh(); code != SQLITE_OK) return code;
  std::vector<Wanted> wanted;
  for (size_t i = 0; i < found.size(); ++i)
    if (found[i].known)
      if (const int64_t id = vectors_.Find(found[i].photo_sha256); id != 0) wanted.push_back({id, i});
  std::sort(wanted.begin(), wanted.end(), [](const Wanted& a, const Wanted& b) { return a.id < b.id; });
  // Reads of [begin, end) as many as it can; where the next one is.
  const auto read = [&](ContentReader& reader, size_t begin, size_t end, bool stops) {
    for (size_t at = begin; at < end; ++at) {
      const auto& [id, i] = wanted[at];
      const int code = reader.Seek(id);
      if (stops && code != SQLITE_ROW && code != SQLITE_DONE) return at;
      found[i].has_vector = CopyVector(reader.Bytes(vectors_, found[i].photo_sha256, id), vectors.subspan(i * dim, dim));
    }
    return end;
  };
  // What another connection could not read (a writer may wait for its turn, which lets no reader in) this one reads afterwards.
  std::mutex mutex;
  std::vector<std::pair<size_t, size_t>> left;
  ShareOut(wanted.size(), kLeastShare, threads, [&](size_t begin, size_t end) {
    ContentReader other;
    const size_t next = begin == 0 ? read(contents_, begin, end, false) : other.Open(path) == SQLITE_OK ? read(other, begin, end, true) : begin;
    const std::lock_guard lock(mutex);
    if (next < end) left.emplace_back(next, end);
  });
  for (const auto& [begin, end] : left) read(contents_, begin, end, false);
  contents_.Reset();
  return SQLITE_OK;
}

}  // namespace couplet
