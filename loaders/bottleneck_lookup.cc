// SPDX-License-Identifier: Apache-2.0
#include "loaders/bottleneck_lookup.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <mutex>
#include <utility>

#include "loaders/threads.h"

namespace couplet {
namespace {

// Nearer than this to its note, a file may have changed again without a new mtime (FAT counts in steps of 2 s).
constexpr int64_t kTrustAfterNs = 2'000'000'000;

// As many steps cost as much as a descent.
constexpr int kSteps = 8;

// Photos that one more thread has to look up to be worth its connection.
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

bool CopyVector(std::optional<std::span<const std::byte>> content, std::span<float> dst) {
  if (!content.has_value() || content->size() != dst.size_bytes()) return false;
  if (!dst.empty()) std::memcpy(dst.data(), content->data(), dst.size_bytes());
  return true;
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
    if (!slots_.empty()) added_[photo] = last_;
    else first_.push_back({photo, last_});
  }
  newer_.Reset();
  if (code != SQLITE_DONE) return code;
  if (slots_.empty()) {
    slots_.assign(std::bit_ceil(2 * first_.size() + 1), 0);
    // Of two rows of one photo the later one counts.
    for (size_t i = 0; i < first_.size(); ++i) slots_[SlotOf(first_[i].photo)] = static_cast<uint32_t>(i + 1);
    last_of_first_ = last_;
  }
  return SQLITE_OK;
}

size_t EntryIndex::SlotOf(const Sha256Digest& photo) const {
  const size_t mask = slots_.size() - 1;
  size_t slot = Hash()(photo) & mask;
  while (slots_[slot] != 0 && first_[slots_[slot] - 1].photo != photo) slot = (slot + 1) & mask;
  return slot;
}

int64_t EntryIndex::FindFirst(const Sha256Digest& photo) const {
  const uint32_t place = slots_.empty() ? 0 : slots_[SlotOf(photo)];
  return place == 0 ? 0 : first_[place - 1].id;
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

int NoteReader::Prepare(sqlite3* db) {
  return from_.Prepare(db, "SELECT path, photo, size, mtime_ns, ctime_ns, inode, noted_ns FROM paths WHERE path >= ?1 ORDER BY path");
}

int NoteReader::Seek(std::string_view path) {
  code_ = SeekForward(from_, code_, path, [&] { return TextOf(from_.Blob(0)) < path; });
  return code_;
}

NoteReader::Note NoteReader::Read(std::string_view path, const FileStamp& now, Sha256Digest* photo) const {
  if (code_ != SQLITE_ROW || TextOf(from_.Blob(0)) != path) return Note::kNone;
  NoteNumbers numbers;
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = from_.Int(static_cast<int>(2 + i));
  const auto& [size, mtime_ns, ctime_ns, inode, noted_ns] = numbers;
  const std::span<const std::byte> blob = from_.Blob(1);
  if (blob.size() == sizeof(Sha256Digest)) return Note::kStale;
  if (blob.size() != sizeof(NotedPhoto)) return Note::kDamaged;
  std::memcpy(photo->data(), blob.data(), sizeof(Sha256Digest));
  const NotedPhoto want = NotePhoto(path, *photo, numbers);
  if (std::memcmp(want.data(), blob.data(), want.size()) != 0) return Note::kDamaged;
  const int64_t apart_ns = noted_ns > now.mtime_ns ? noted_ns - now.mtime_ns : now.mtime_ns - noted_ns;
  const bool same = size == now.size && mtime_ns == now.mtime_ns && ctime_ns == now.ctime_ns &&
                    inode == static_cast<int64_t>(now.inode) && apart_ns >= kTrustAfterNs;
  return same ? Note::kGood : Note::kStale;
}

void NoteReader::Reset() {
  from_.Reset();
  code_ = SQLITE_DONE;
}

int ContentReader::Prepare(sqlite3* db) { return from_.Prepare(db, "SELECT id, crc, bytes FROM contents WHERE id >= ?1 ORDER BY id"); }

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

StoreReader::~StoreReader() {
  if (own_ != nullptr) sqlite3_close_v2(own_);  // closes with its statements
}

int StoreReader::Prepare(sqlite3* db) {
  const int code = notes.Prepare(db);
  return code == SQLITE_OK ? contents.Prepare(db) : code;
}

int StoreReader::Open(const std::string& path) {
  int code = sqlite3_open_v2(path.c_str(), &own_, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code == SQLITE_OK) code = sqlite3_exec(own_, kReadingPragmas, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? Prepare(own_) : code;
}

int BottleneckLookup::Prepare(sqlite3* db, int64_t model, const Sha256Digest& model_key) {
  int code = reader_.Prepare(db);
  if (code == SQLITE_OK) code = thumbnails_.Prepare(db, kThumbnails, {});
  if (code == SQLITE_OK) code = vectors_.Prepare(db, model, model_key);
  return code == SQLITE_OK ? vectors_.Refresh() : code;
}

bool BottleneckLookup::FindVector(const Sha256Digest& photo, std::span<float> dst) {
  const int64_t id = vectors_.Find(photo);
  if (id == 0) return false;
  reader_.contents.Seek(id);
  const bool found = CopyVector(reader_.contents.Bytes(vectors_, photo, id), dst);
  reader_.contents.Reset();
  if (!found) ++damaged_;
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
  reader_.contents.Seek(id);
  if (const auto content = reader_.contents.Bytes(thumbnails_, photo, id)) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(content->data());
    jpeg.emplace(bytes, bytes + content->size());
  } else {
    ++damaged_;
  }
  reader_.contents.Reset();
  return jpeg;
}

int BottleneckLookup::FindNotes(NoteReader& notes, const Search& search, std::span<const Wanted> wanted, int* damaged) {
  for (const Wanted& photo : wanted) {
    const std::string& path = search.paths[photo.index];
    BottleneckStore::Found& found = search.found[photo.index];
    if (const int code = notes.Seek(path); code != SQLITE_ROW && code != SQLITE_DONE) return code;
    const NoteReader::Note note = notes.Read(path, *found.stamp, &found.photo_sha256);
    found.known = note == NoteReader::Note::kGood;
    *damaged += note == NoteReader::Note::kDamaged ? 1 : 0;
  }
  return SQLITE_OK;
}

// One thread's part: `wanted` has its photos' places, and is then used for what it finds. A spare connection gives up at the first
// error.
int BottleneckLookup::FindShare(StoreReader& reader, const Search& search, std::span<Wanted> wanted) {
  const auto keep = [&](const auto& is_needed) {
    wanted = wanted.first(static_cast<size_t>(std::remove_if(wanted.begin(), wanted.end(), std::not_fn(is_needed)) - wanted.begin()));
  };
  keep([&](const Wanted& photo) { return search.found[photo.index].stamp.has_value(); });
  std::sort(wanted.begin(), wanted.end(), [&](const Wanted& a, const Wanted& b) { return search.paths[a.index] < search.paths[b.index]; });
  int damaged = 0;
  int code = FindNotes(reader.notes, search, wanted, &damaged);
  reader.notes.Reset();
  if (code != SQLITE_OK) return code;

  for (Wanted& photo : wanted) {
    const BottleneckStore::Found& found = search.found[photo.index];
    photo.id = found.known ? vectors_.Find(found.photo_sha256) : 0;
  }
  keep([](const Wanted& photo) { return photo.id != 0; });
  std::sort(wanted.begin(), wanted.end(), [](const Wanted& a, const Wanted& b) { return a.id < b.id; });
  for (const auto& [index, id] : wanted) {
    code = reader.contents.Seek(id);
    if (reader.is_spare() && code != SQLITE_ROW && code != SQLITE_DONE) return code;
    BottleneckStore::Found& found = search.found[index];
    found.has_vector = CopyVector(reader.contents.Bytes(vectors_, found.photo_sha256, id), search.vectors.subspan(index * search.dim, search.dim));
    damaged += found.has_vector ? 0 : 1;
  }
  reader.contents.Reset();
  damaged_ += damaged;
  return SQLITE_OK;
}

int BottleneckLookup::Find(const std::string& file, std::span<const std::string> paths, std::span<BottleneckStore::Found> found, size_t dim,
                           std::span<float> vectors, int threads) {
  // In the transaction that this begins to read nobody writes until it ends, to whatever connection.
  if (const int code = vectors_.Refresh(); code != SQLITE_OK) return code;
  const Search search{paths, found, dim, vectors};
  std::vector<Wanted> wanted(paths.size());
  const auto find = [&](StoreReader& reader, size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) wanted[i] = {i, 0};
    return FindShare(reader, search, std::span(wanted).subspan(begin, end - begin));
  };
  // What another connection could not read (a writer may wait for its turn, which lets no reader in) this one reads afterwards.
  std::mutex mutex;
  std::vector<std::pair<size_t, size_t>> left;
  left.reserve(static_cast<size_t>(threads));
  ShareOut(paths.size(), kLeastShare, threads, [&](size_t begin, size_t end) {
    StoreReader spare;
    const int code = begin == 0 ? find(reader_, begin, end) : spare.Open(file) == SQLITE_OK ? find(spare, begin, end) : SQLITE_ERROR;
    const std::lock_guard lock(mutex);
    if (code != SQLITE_OK) left.emplace_back(begin, end);
  });
  for (const auto& [begin, end] : left)
    if (const int code = find(reader_, begin, end); code != SQLITE_OK) return code;
  return SQLITE_OK;
}

}  // namespace couplet
