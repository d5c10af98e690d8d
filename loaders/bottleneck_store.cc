// The SQLite file, layout version 2 (PRAGMA user_version; PRAGMA application_id is "Cplt"):
//
//   models    id, key: SHA-256 of the text of a FeatureKey and the vector's length, description: that text
//   entries   model, or 0 for a thumbnail; id; photo: SHA-256 of the photo's bytes
//   contents  id, crc, bytes: a vector, float32, little endian; or a JPEG
//   paths     path -> photo, with the size, times and inode the file had, and when that was noted; behind the photo's
//             hash, in the same blob, stands the row's crc
//
// Nothing is found by a photo's hash in the file: `entries` are few bytes in the order they came, and read as a whole
// (EntryIndex). Layout 1 had an index of hashes; such a file is brought up to date when it is opened.
// A crc is CRC-32C over the keys and the payload, so that a row of another photo or model is noticed as well (bottleneck_lookup.h).
// Rollback journal, not WAL: WAL needs shared memory (no network folders) and a writable folder even to read,
// and its gain, readers beside a writer, is nothing to us, who read once and then write about once a second.
// SPDX-License-Identifier: Apache-2.0
#include "loaders/bottleneck_store.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <system_error>

#include "loaders/bottleneck_lookup.h"
#include "loaders/files.h"
#include "loaders/sqlite_statement.h"
#include "loaders/threads.h"

namespace couplet {
namespace {

static_assert(std::endian::native == std::endian::little, "vectors are stored as they lie in memory");

constexpr int kApplicationId = 0x43706c74;  // "Cplt"
constexpr int kLayoutVersion = 2;
constexpr int kWaitForOthersMs =
    60'000;  // a transaction takes milliseconds; only a stopped run holds one for long
// How much of the file SQLite keeps in memory: a transaction's pages until it ends, but next to none of those that Find reads
// (kReadingPragmas).
constexpr char kWriting[] = "PRAGMA cache_size = -16384";
constexpr char kSchema[] = R"(
CREATE TABLE models (
  id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, description TEXT NOT NULL);
CREATE TABLE paths (
  path BLOB PRIMARY KEY, photo BLOB NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
  ctime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, noted_ns INTEGER NOT NULL) WITHOUT ROWID;
)";
constexpr char kSchemaSince2[] = R"(
CREATE TABLE entries (
  model INTEGER NOT NULL, id INTEGER NOT NULL, photo BLOB NOT NULL, PRIMARY KEY (model, id)) WITHOUT ROWID;
CREATE TABLE contents (
  id INTEGER PRIMARY KEY, crc INTEGER NOT NULL, bytes BLOB NOT NULL);
)";
constexpr char kFrom1To2[] = R"(
INSERT INTO contents SELECT id, crc, vector FROM vectors ORDER BY id;
INSERT INTO entries SELECT model, id, photo FROM vectors ORDER BY model, id;
INSERT INTO contents SELECT id + (SELECT coalesce(max(id), 0) FROM vectors), crc, jpeg FROM thumbnails ORDER BY id;
INSERT INTO entries SELECT 0, id + (SELECT coalesce(max(id), 0) FROM vectors), photo FROM thumbnails ORDER BY id;
DROP TABLE vectors;
DROP TABLE thumbnails;
)";

std::string Describe(const FeatureKey& key, int dim) {
  return fmt::format(
      "graph sha256: {}\ntensor: {}\nvalues: {}\ninput size: {}\nmean: {}\nstd: {}\npreprocessing: {}\n"
      "precision: {}\ndevice: {}\n",
      ToHex(key.graph_sha256), key.tensor, dim, key.input_size, key.mean, key.std, key.preprocessing,
      key.precision, key.device);
}

class SqliteStore final : public BottleneckStore {
 public:
  SqliteStore(std::string path, int dim) : path_(std::move(path)), dim_(static_cast<size_t>(dim)) {}
  ~SqliteStore() override {
    // Of the statements that belong to it, some are still there: it closes with the last.
    sqlite3_close_v2(db_);
  }

  Status Init(const FeatureKey& key, Integrity integrity);
  // Whether the last error was damage that SQLite itself found.
  bool is_damaged() const { return is_damaged_; }
  Result<std::vector<Found>> Find(std::span<const std::string> paths, std::span<float> vectors, int threads) override;
  bool Get(const Sha256Digest& photo_sha256, std::span<float> dst) override;
  std::optional<std::vector<uint8_t>> Thumbnail(const Sha256Digest& photo_sha256) override;
  std::shared_ptr<void> ReadTogether() override;
  Status Put(std::span<const Record> records) override;
  int damaged() const override { return lookup_->damaged(); }

 private:
  struct Statements {
    Statement begin, begin_write, commit, rollback;
    Statement put_path, put_content, put_entry;
  };

  Status Error(int code, const char* verb) const;
  int Exec(const char* sql) { return sqlite3_exec(db_, sql, nullptr, nullptr, nullptr); }
  int ReadNumber(const char* sql, int64_t* value);
  int CheckPages();
  Status CheckOrMakeLayout();
  Status MakeLayout(int64_t from);
  Status FindModel(const std::string& description);
  Status PrepareStatements();
  int PutContent(EntryIndex& index, const Sha256Digest& photo, std::span<const std::byte> bytes);
  int PutVector(const Record& record);
  int PutThumbnail(const Record& record);
  int PutNote(const Record& record);

  const std::string path_;
  const size_t dim_;
  sqlite3* db_ = nullptr;
  bool read_only_ = false;
  mutable bool is_damaged_ = false;
  Sha256Digest model_key_{};
  int64_t model_ = -1;  // this model has no row yet and none can be made (read-only)
  std::unique_ptr<Statements> statements_;
  std::unique_ptr<BottleneckLookup> lookup_;
  std::mutex mutex_;  // guards db_, statements_ and what lookup_ reads
};

Status SqliteStore::Error(int code, const char* verb) const {
  const int system_error = errno;  // of SQLite's last failing call; sqlite3_system_errno() tells less
  const int kind = code & 0xff;
  std::string reason = sqlite3_errstr(code);
  if ((kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN) && system_error != 0)
    reason = std::generic_category().message(system_error);
  // Our statements are right for what we made: one that SQLite finds no sense in has met with something else.
  is_damaged_ = kind == SQLITE_CORRUPT || kind == SQLITE_ERROR;
  switch (kind) {
    case SQLITE_NOTADB:
      return BadInput(fmt::format(
          "{} is not a bottleneck store: it is no SQLite file; move it away or name another --bottleneck_dir",
          path_));
    case SQLITE_CORRUPT:
    case SQLITE_ERROR:
      return BadInput(fmt::format(
          "the bottleneck store {} is damaged ({}); delete it, its vectors will be computed again", path_,
          sqlite3_errstr(code)));
    case SQLITE_FULL:
      return IoError(fmt::format(
          "cannot {} {}: the disk is full; free some space or name another --bottleneck_dir", verb, path_));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return IoError(
          fmt::format("cannot {} {}: another program has kept it locked for {} s; end that or name "
                      "another --bottleneck_dir",
                      verb, path_, kWaitForOthersMs / 1000));
    case SQLITE_READONLY:
      reason = "it or its folder cannot be written";
      break;
    default:
      break;
  }
  return IoError(fmt::format("cannot {} {}: {}; check the folder or name another --bottleneck_dir", verb,
                             path_, reason));
}

int SqliteStore::ReadNumber(const char* sql, int64_t* value) {
  Statement statement;
  int code = statement.Prepare(db_, sql);
  if (code != SQLITE_OK) return code;
  code = statement.Step();
  if (code != SQLITE_ROW) return code == SQLITE_DONE ? SQLITE_CORRUPT : code;
  *value = statement.Int(0);
  return SQLITE_OK;
}

// Every page, every row against its indices: seconds a gigabyte.
int SqliteStore::CheckPages() {
  Statement check;
  int code = check.Prepare(db_, "PRAGMA integrity_check(1)");
  if (code == SQLITE_OK) code = check.Step();
  if (code != SQLITE_ROW) return code == SQLITE_DONE ? SQLITE_CORRUPT : code;
  const std::span<const std::byte> answer = check.Blob(0);
  const std::string_view text(reinterpret_cast<const char*>(answer.data()), answer.size());
  return text == "ok" ? SQLITE_OK : SQLITE_CORRUPT;
}

Status SqliteStore::Init(const FeatureKey& key, Integrity integrity) {
  const std::string description = Describe(key, static_cast<int>(dim_));
  model_key_ = Sha256(std::as_bytes(std::span(description)));
  // Without a tally of its memory, for which every thread's every allocation would take one lock.
  [[maybe_unused]] static const int untallied = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  errno = 0;
  // Our own mutex stands for SQLite's. A file that cannot be written is opened for reading by itself.
  int code = sqlite3_open_v2(path_.c_str(), &db_,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (db_ == nullptr) return IoError(fmt::format("cannot open {}: not enough memory", path_));
  if (code != SQLITE_OK) return Error(code, FileExists(path_) ? "open" : "make");
  sqlite3_extended_result_codes(db_, 1);
  sqlite3_busy_timeout(db_, kWaitForOthersMs);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  // Vectors of 1001 and of 2048 floats fill pages of this size to nine tenths; larger ones write and find no faster.
  code = Exec("PRAGMA page_size = 8192;");
  if (code == SQLITE_OK) code = Exec(kReadingPragmas);
  if (code == SQLITE_OK) code = Exec(kWriting);
  if (code != SQLITE_OK) return Error(code, "open");
  read_only_ = sqlite3_db_readonly(db_, "main") == 1;
  COUPLET_RETURN_IF_ERROR(CheckOrMakeLayout());
  if (integrity == Integrity::kWhole) {
    code = CheckPages();
    if (code != SQLITE_OK) return Error(code, "read");
  }
  COUPLET_RETURN_IF_ERROR(FindModel(description));
  COUPLET_RETURN_IF_ERROR(PrepareStatements());
  lookup_ = std::make_unique<BottleneckLookup>();
  code = lookup_->Prepare(db_, model_, model_key_);
  if (code == SQLITE_OK) code = Exec(kReadingPragmas);
  return code == SQLITE_OK ? Status() : Error(code, "read");
}

Status SqliteStore::CheckOrMakeLayout() {
  int64_t application = 0, version = 0, tables = 0, pages = 0, page_bytes = 0, file_bytes = 0;
  // One transaction: nobody writes while the numbers are taken.
  int code = Exec("BEGIN");
  if (code == SQLITE_OK) code = ReadNumber("PRAGMA application_id", &application);
  if (code == SQLITE_OK) code = ReadNumber("PRAGMA user_version", &version);
  if (code == SQLITE_OK) code = ReadNumber("SELECT count(*) FROM sqlite_master", &tables);
  if (code == SQLITE_OK) code = ReadNumber("PRAGMA page_count", &pages);
  if (code == SQLITE_OK) code = ReadNumber("PRAGMA page_size", &page_bytes);
  if (const auto stamp = StampFile(path_); stamp.has_value()) file_bytes = stamp->size;
  // SQLite overwrites a file too short for a header, and takes a missing half of the last page for zeros.
  if (code == SQLITE_OK && file_bytes != 0 && file_bytes < 512) code = SQLITE_NOTADB;
  if (code == SQLITE_OK && file_bytes < pages * page_bytes) code = SQLITE_CORRUPT;
  const Status status = code == SQLITE_OK ? Status() : Error(code, "read");
  if (sqlite3_get_autocommit(db_) == 0) Exec("COMMIT");
  COUPLET_RETURN_IF_ERROR(status);
  if (application == 0 && version == 0 && tables == 0) return MakeLayout(0);
  if (application != kApplicationId)
    return BadInput(fmt::format(
        "{} is not a bottleneck store but another program's SQLite file; move it away or name another "
        "--bottleneck_dir",
        path_));
  if (version == 1) return MakeLayout(1);
  if (version != kLayoutVersion)
    return BadInput(
        fmt::format("{} was made by another version of Couplet (layout {}, here {}); delete it or name "
                    "another --bottleneck_dir",
                    path_, version, kLayoutVersion));
  return {};
}

// From nothing, or from an older layout. All of it or nothing.
Status SqliteStore::MakeLayout(int64_t from) {
  const char* verb = from == 0 ? "make" : "bring up to date";
  int code = Exec("BEGIN IMMEDIATE");
  if (code != SQLITE_OK) return Error(code, verb);
  // Another run may have been quicker; its layout is checked like any other.
  int64_t version = 0;
  code = ReadNumber("PRAGMA user_version", &version);
  const bool mine = code == SQLITE_OK && version == from;
  if (mine && from == 0) code = Exec(kSchema);
  if (mine && code == SQLITE_OK) code = Exec(kSchemaSince2);
  if (mine && code == SQLITE_OK && from == 1) code = Exec(kFrom1To2);
  if (mine && code == SQLITE_OK)
    code = Exec(
        fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {};", kApplicationId, kLayoutVersion)
            .c_str());
  if (code == SQLITE_OK) code = Exec("COMMIT");
  if (code != SQLITE_OK) {
    Status status = Error(code, verb);
    Exec("ROLLBACK");
    return status;
  }
  return mine ? Status() : CheckOrMakeLayout();
}

Status SqliteStore::FindModel(const std::string& description) {
  Statement find, add;
  int code = find.Prepare(db_, "SELECT id FROM models WHERE key = ?1");
  if (code != SQLITE_OK) return Error(code, "read");
  find.Bind(1, model_key_);
  code = find.Step();
  if (code == SQLITE_ROW) {
    model_ = find.Int(0);
    return {};
  }
  find.Reset();
  if (code != SQLITE_DONE) return Error(code, "read");
  if (read_only_) return {};
  // OR IGNORE: another run may have added it just now.
  code = add.Prepare(db_, "INSERT OR IGNORE INTO models (key, description) VALUES (?1, ?2)");
  if (code == SQLITE_OK) code = add.Bind(1, model_key_).Bind(2, std::string_view(description)).Run();
  if (code != SQLITE_OK) {
    // The folder's refusal need not keep anyone from reading (a journal cannot be made there).
    const int kind = code & 0xff;
    if (kind != SQLITE_READONLY && kind != SQLITE_CANTOPEN) return Error(code, "write");
    read_only_ = true;
    return {};
  }
  find.Bind(1, model_key_);
  code = find.Step();
  if (code != SQLITE_ROW) return Error(code == SQLITE_DONE ? SQLITE_CORRUPT : code, "read");
  model_ = find.Int(0);
  return {};
}

Status SqliteStore::PrepareStatements() {
  statements_ = std::make_unique<Statements>();
  Statements& s = *statements_;
  const std::pair<Statement*, const char*> wanted[] = {
      {&s.begin, "BEGIN"},
      {&s.begin_write, "BEGIN IMMEDIATE"},
      {&s.commit, "COMMIT"},
      {&s.rollback, "ROLLBACK"},
      {&s.put_path,
       "INSERT OR REPLACE INTO paths (path, photo, size, mtime_ns, ctime_ns, inode, noted_ns) "
       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"},
      {&s.put_content, "INSERT OR REPLACE INTO contents (id, crc, bytes) VALUES (?1, ?2, ?3)"},
      {&s.put_entry, "INSERT OR REPLACE INTO entries (model, id, photo) VALUES (?1, ?2, ?3)"},
  };
  for (const auto& [statement, sql] : wanted)
    // A table that is missing though the version is ours is damage.
    if (const int code = statement->Prepare(db_, sql); code != SQLITE_OK)
      return Error(code, "read");
  return {};
}

Result<std::vector<BottleneckStore::Found>> SqliteStore::Find(std::span<const std::string> paths,
                                                              std::span<float> vectors, int threads) {
  COUPLET_CHECK(vectors.size() == paths.size() * dim_);
  std::vector<Found> found(paths.size());
  // Before the transaction: on a network folder this takes its time, and writers would wait.
  constexpr size_t kLeastShare = 64;  // a thread costs as much as some dozen stamps
  ShareOut(paths.size(), kLeastShare, threads, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) found[i].stamp = StampFile(paths[i]);
  });
  const std::lock_guard lock(mutex_);
  errno = 0;
  int code = statements_->begin.Run();
  if (code == SQLITE_OK) code = lookup_->Find(path_, paths, found, dim_, vectors, threads);
  if (code == SQLITE_OK) code = statements_->commit.Run();
  if (code == SQLITE_OK) return found;
  const Status status = Error(code, "read");
  statements_->rollback.Run();
  return status;
}

bool SqliteStore::Get(const Sha256Digest& photo_sha256, std::span<float> dst) {
  COUPLET_CHECK(dst.size() == dim_);
  // Without the lock, which the writer may hold for as long as a disk takes to sync.
  if (lookup_->vectors().FindFirst(photo_sha256) == 0) return false;
  const std::lock_guard lock(mutex_);
  return lookup_->FindVector(photo_sha256, dst);
}

std::optional<std::vector<uint8_t>> SqliteStore::Thumbnail(const Sha256Digest& photo_sha256) {
  const std::lock_guard lock(mutex_);
  return lookup_->FindThumbnail(photo_sha256);
}

std::shared_ptr<void> SqliteStore::ReadTogether() {
  // Before the lock is taken: without memory for it, what ends it is called at once.
  std::shared_ptr<void> reading(this, [](SqliteStore* self) {
    const std::lock_guard lock(self->mutex_);
    if (sqlite3_get_autocommit(self->db_) == 0) self->statements_->commit.Run();
  });
  const std::lock_guard lock(mutex_);
  statements_->begin.Run();  // if it fails, each read locks for itself
  return reading;
}

// One photo's vector or thumbnail, in the place of the one it may have.
int SqliteStore::PutContent(EntryIndex& index, const Sha256Digest& photo, std::span<const std::byte> bytes) {
  Statement& content = statements_->put_content;
  Statement& entry = statements_->put_entry;
  const uint32_t crc = index.Checksum(photo, bytes);
  const int64_t known = index.Find(photo);
  if (known != 0) return content.Bind(1, known).Bind(2, crc).Bind(3, bytes).Run();
  int code = content.BindNull(1).Bind(2, crc).Bind(3, bytes).Run();
  if (code != SQLITE_OK) return code;
  const int64_t id = sqlite3_last_insert_rowid(db_);
  code = entry.Bind(1, index.model()).Bind(2, id).Bind(3, photo).Run();
  if (code == SQLITE_OK) index.Add(photo, id);
  return code;
}

int SqliteStore::PutVector(const Record& record) {
  if (record.vector.empty()) return SQLITE_OK;
  COUPLET_CHECK(record.vector.size() == dim_);
  return PutContent(lookup_->vectors(), record.photo_sha256, std::as_bytes(record.vector));
}

int SqliteStore::PutThumbnail(const Record& record) {
  if (record.thumbnail.empty()) return SQLITE_OK;
  return PutContent(lookup_->thumbnails(), record.photo_sha256, std::as_bytes(record.thumbnail));
}

int SqliteStore::PutNote(const Record& record) {
  Statement& put_path = statements_->put_path;
  const NoteNumbers numbers = NumbersOf(record.stamp);
  const NotedPhoto photo = NotePhoto(record.path, record.photo_sha256, numbers);
  put_path.Bind(1, std::string_view(record.path)).Bind(2, std::span<const uint8_t>(photo));
  for (size_t i = 0; i < numbers.size(); ++i) put_path.Bind(static_cast<int>(3 + i), numbers[i]);
  return put_path.Run();
}

Status SqliteStore::Put(std::span<const Record> records) {
  const std::lock_guard lock(mutex_);
  if (read_only_) return Error(SQLITE_READONLY, "write");
  errno = 0;
  int code = Exec(kWriting);
  if (code == SQLITE_OK) code = statements_->begin_write.Run();
  // From here on nobody else adds any.
  if (code == SQLITE_OK) code = lookup_->vectors().Refresh();
  const bool has_thumbnail = std::ranges::any_of(records, [](const Record& record) { return !record.thumbnail.empty(); });
  if (code == SQLITE_OK && has_thumbnail) code = lookup_->thumbnails().Refresh();
  // Kind by kind, so that each has pages of its own: the next run reads the vectors alone, and reads half as much.
  for (const auto put : {&SqliteStore::PutVector, &SqliteStore::PutThumbnail, &SqliteStore::PutNote})
    for (size_t i = 0; i < records.size() && code == SQLITE_OK; ++i) code = (this->*put)(records[i]);
  if (code == SQLITE_OK) code = statements_->commit.Run();
  if (code == SQLITE_OK) return {};
  Status status = Error(code, "write");
  // Some errors have rolled back by themselves.
  if (sqlite3_get_autocommit(db_) == 0) statements_->rollback.Run();
  lookup_->vectors().Forget();
  lookup_->thumbnails().Forget();
  return status;
}

// By the file's first bytes alone, however damaged the rest is.
bool SaysItIsOurs(const std::string& path) {
  constexpr size_t kIdAt = 68;
  constexpr std::array<uint8_t, 4> kId = {kApplicationId >> 24, kApplicationId >> 16 & 255, kApplicationId >> 8 & 255, kApplicationId & 255};
  const auto file = MappedFile::Open(path, UINT64_MAX);
  if (!file.ok() || (*file)->bytes().size() < kIdAt + kId.size()) return false;
  return std::memcmp((*file)->bytes().data() + kIdAt, kId.data(), kId.size()) == 0;
}

}  // namespace

std::optional<FileStamp> StampFile(const std::string& path) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return std::nullopt;
  const auto ns = [](const timespec& t) { return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec; };
  return FileStamp{info.st_size, ns(info.st_mtim), ns(info.st_ctim), info.st_ino, ns(now)};
}

std::string BottleneckStore::PathIn(const std::string& dir) { return JoinPath(dir, "bottlenecks.sqlite"); }

Result<std::unique_ptr<BottleneckStore>> BottleneckStore::Open(const std::string& dir, const FeatureKey& key,
                                                               int dim, Integrity integrity, std::string* set_aside) {
  COUPLET_RETURN_IF_ERROR(MakeDirectories(dir));
  const std::string path = PathIn(dir);
  auto store = std::make_unique<SqliteStore>(path, dim);
  Status status = store->Init(key, integrity);
  if (status.ok()) return std::unique_ptr<BottleneckStore>(std::move(store));
  const bool is_damaged = store->is_damaged();
  store.reset();
  if (set_aside == nullptr || !is_damaged || !SaysItIsOurs(path)) return status;
  // A run that still has the file open is told by SQLite that it was moved, and writes no more into it.
  const std::string aside = path + ".damaged";
  if (rename(path.c_str(), aside.c_str()) != 0)
    return IoError(fmt::format("{}; it cannot be renamed to {}: {}", status.message(), aside, std::strerror(errno)));
  unlink((path + "-journal").c_str());
  *set_aside = aside;
  store = std::make_unique<SqliteStore>(path, dim);
  COUPLET_RETURN_IF_ERROR(store->Init(key, Integrity::kTouched));
  return std::unique_ptr<BottleneckStore>(std::move(store));
}

}  // namespace couplet
