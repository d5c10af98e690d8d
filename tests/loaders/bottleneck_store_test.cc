// SPDX-License-Identifier: Apache-2.0
#include "loaders/bottleneck_store.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <thread>

#include "loaders/files.h"
#include "tests/support/allocations.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

constexpr int kDim = 5;
constexpr int64_t kSecond = 1'000'000'000;

FeatureKey Key() {
  FeatureKey key;
  key.graph_sha256.fill(1);
  key.tensor = "pool:0";
  key.input_size = 128;
  key.mean = key.std = 127.5f;
  key.preprocessing = "p1";
  key.precision = "fp32";
  key.device = "cpu";
  return key;
}

std::unique_ptr<BottleneckStore> Open(const test::TempDir& dir, const FeatureKey& key = Key(),
                                      int dim = kDim) {
  auto store = BottleneckStore::Open(dir.path(), key, dim);
  REQUIRE_MESSAGE(store.ok(), store.status().message());
  return std::move(*store);
}

Sha256Digest HashOf(const std::string& text) {
  return Sha256(std::as_bytes(std::span(text)));
}

// A photo last changed an hour ago.
std::string MakePhoto(const test::TempDir& dir, const std::string& name,
                      const std::string& contents = "photo") {
  const std::string path = dir / name;
  REQUIRE(WriteFileAtomically(path, contents).ok());
  const timespec hour_ago = {time(nullptr) - 3600, 123456789};
  const timespec times[2] = {hour_ago, hour_ago};
  REQUIRE(utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
  return path;
}

std::vector<float> Vector(float first) {
  return {first, -0.0f, 1e-45f, 3.5f, -1e30f};
}

BottleneckStore::Record RecordOf(const std::string& path, const std::vector<float>& vector,
                                 const std::string& contents = "photo") {
  const auto stamp = StampFile(path);
  REQUIRE(stamp.has_value());
  return {path, *stamp, HashOf(contents), vector, {}};
}

void PutOne(BottleneckStore& store, const BottleneckStore::Record& record) {
  const Status status = store.Put({&record, 1});
  REQUIRE_MESSAGE(status.ok(), status.message());
}

BottleneckStore::Found FindOne(BottleneckStore& store, const std::string& path,
                               std::vector<float>* vector = nullptr) {
  std::vector<float> row(kDim, 77.0f);
  auto found = store.Find({&path, 1}, row);
  REQUIRE_MESSAGE(found.ok(), found.status().message());
  if (vector != nullptr) *vector = row;
  return found->at(0);
}

bool SameBits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// Straight into the file, past our code.
void Sql(const test::TempDir& dir, const std::string& sql) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open((dir / "bottlenecks.sqlite").c_str(), &db) == SQLITE_OK);
  const int code = sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr);
  CHECK_MESSAGE(code == SQLITE_OK, sqlite3_errmsg(db));
  sqlite3_close(db);
}

TEST_CASE("store: what was put is found, in this run and the next") {
  test::TempDir dir;
  const std::string photo = MakePhoto(dir, "a.jpg");
  const std::vector<float> vector = Vector(1);
  const std::vector<uint8_t> thumbnail = {0xff, 0xd8, 0, 1};
  {
    auto store = Open(dir);
    CHECK_FALSE(FindOne(*store, photo).known);
    auto record = RecordOf(photo, vector);
    record.thumbnail = thumbnail;
    PutOne(*store, record);
    CHECK(FindOne(*store, photo).has_vector);
  }
  auto store = Open(dir);
  std::vector<float> row;
  const auto found = FindOne(*store, photo, &row);
  CHECK(found.known);
  CHECK(found.has_vector);
  CHECK(found.photo_sha256 == HashOf("photo"));
  CHECK(SameBits(row, vector));
  std::vector<float> got(kDim);
  CHECK(store->Get(HashOf("photo"), got));
  CHECK(SameBits(got, vector));
  CHECK_FALSE(store->Get(HashOf("another"), got));
  CHECK(store->Thumbnail(HashOf("photo")) == thumbnail);
  CHECK_FALSE(store->Thumbnail(HashOf("another")).has_value());
  CHECK(store->damaged() == 0);
}

TEST_CASE("store: a transaction's vectors lie side by side, thumbnails behind them") {
  test::TempDir dir;
  const std::vector<float> vector = Vector(1);
  const std::vector<uint8_t> thumbnail = {0xff, 0xd8, 0, 1};
  std::vector<BottleneckStore::Record> records;
  for (const std::string name : {"a", "b", "c"}) {
    records.push_back(RecordOf(MakePhoto(dir, name, name), vector, name));
    records.back().thumbnail = thumbnail;
  }
  REQUIRE(Open(dir)->Put(records).ok());
  Sql(dir, "CREATE TEMP TABLE expected (same INTEGER CHECK (same));"
           "INSERT INTO expected SELECT group_concat(id) = '1,2,3' FROM entries WHERE model = 1;"
           "INSERT INTO expected SELECT group_concat(id) = '4,5,6' FROM entries WHERE model = 0");
}

TEST_CASE("store: photos not known, not there and known are told apart, rows of the others left alone") {
  test::TempDir dir;
  auto store = Open(dir);
  PutOne(*store, RecordOf(MakePhoto(dir, "b.jpg"), Vector(2)));
  MakePhoto(dir, "new.jpg");
  const std::vector<std::string> paths = {dir / "none.jpg", dir / "b.jpg", dir / "new.jpg"};
  std::vector<float> rows(3 * kDim, 77.0f);
  const auto found = store->Find(paths, rows);
  REQUIRE(found.ok());
  CHECK_FALSE((*found)[0].stamp.has_value());
  CHECK_FALSE((*found)[0].has_vector);
  CHECK((*found)[1].has_vector);
  CHECK((*found)[2].stamp.has_value());
  CHECK_FALSE((*found)[2].known);
  for (int i = 0; i < kDim; ++i) {
    CHECK(rows[i] == 77.0f);
    CHECK(rows[2 * kDim + i] == 77.0f);
  }
  CHECK(SameBits(std::span(rows).subspan(kDim, kDim), Vector(2)));
}

TEST_CASE("store: another model never gets this model's vectors") {
  test::TempDir dir;
  const std::string photo = MakePhoto(dir, "a.jpg");
  PutOne(*Open(dir), RecordOf(photo, Vector(1)));
  std::vector<FeatureKey> others(8, Key());
  others[0].graph_sha256[31] ^= 1;
  others[1].tensor = "pool:1";
  others[2].input_size = 127;
  others[3].mean = std::nextafter(127.5f, 0.0f);
  others[4].std = std::nextafter(127.5f, 0.0f);
  others[5].preprocessing = "p2";
  others[6].precision = "fp16";
  others[7].device = "cuda";
  for (const FeatureKey& key : others) {
    auto store = Open(dir, key);
    const auto found = FindOne(*store, photo);
    CHECK(found.known);  // the photo's hash does not depend on the model
    CHECK_FALSE(found.has_vector);
    std::vector<float> got(kDim);
    CHECK_FALSE(store->Get(HashOf("photo"), got));
  }
  std::vector<float> rows(4);
  const auto found = Open(dir, Key(), 4)->Find({&photo, 1}, rows);
  REQUIRE(found.ok());
  CHECK_FALSE(found->at(0).has_vector);
  CHECK(FindOne(*Open(dir), photo).has_vector);
}

TEST_CASE("store: a photo that changed in size, time or place is not trusted") {
  test::TempDir dir;
  auto store = Open(dir);
  const std::string photo = MakePhoto(dir, "a.jpg");
  const std::vector<float> vector = Vector(1);
  const auto record = RecordOf(photo, vector);
  const auto known_with = [&](auto change) {
    auto other = record;
    change(other.stamp);
    PutOne(*store, other);
    return FindOne(*store, photo).known;
  };
  CHECK(known_with([](FileStamp&) {}));
  CHECK_FALSE(known_with([](FileStamp& stamp) { stamp.size += 1; }));
  CHECK_FALSE(known_with([](FileStamp& stamp) { stamp.mtime_ns -= 1; }));
  CHECK_FALSE(known_with([](FileStamp& stamp) { stamp.ctime_ns -= 1; }));
  CHECK_FALSE(known_with([](FileStamp& stamp) { stamp.inode += 1; }));
  CHECK(known_with([](FileStamp&) {}));
  // And on the file itself: same size, same mtime, other bytes.
  MakePhoto(dir, "a.jpg", "phot0");
  CHECK_FALSE(FindOne(*store, photo).known);
}

TEST_CASE("store: a note made within 2 s of the photo's own time is not trusted") {
  test::TempDir dir;
  auto store = Open(dir);
  const std::string photo = MakePhoto(dir, "a.jpg");
  const std::vector<float> vector = Vector(1);
  auto record = RecordOf(photo, vector);
  const auto known_after = [&](int64_t ns) {
    record.stamp.taken_ns = record.stamp.mtime_ns + ns;
    PutOne(*store, record);
    return FindOne(*store, photo).known;
  };
  CHECK_FALSE(known_after(0));
  CHECK_FALSE(known_after(2 * kSecond - 1));
  CHECK(known_after(2 * kSecond));
  CHECK_FALSE(known_after(-2 * kSecond + 1));
  CHECK(known_after(-2 * kSecond));
}

TEST_CASE("store: a renamed photo is found by its content, and its new name noted") {
  test::TempDir dir;
  PutOne(*Open(dir), RecordOf(MakePhoto(dir, "a.jpg"), Vector(1)));
  const std::string renamed = dir / "b.jpg";
  REQUIRE(rename((dir / "a.jpg").c_str(), renamed.c_str()) == 0);
  auto store = Open(dir);
  CHECK_FALSE(FindOne(*store, renamed).known);
  std::vector<float> got(kDim);
  CHECK(store->Get(HashOf("photo"), got));
  PutOne(*store, RecordOf(renamed, {}));
  CHECK(FindOne(*store, renamed, &got).has_vector);
  CHECK(SameBits(got, Vector(1)));
}

TEST_CASE("store: a damaged record is not given out, is counted, and can be put again") {
  test::TempDir dir;
  const std::string photo = MakePhoto(dir, "a.jpg"), other = MakePhoto(dir, "b.jpg", "other");
  const std::vector<uint8_t> thumbnail = {1, 2, 3};
  const auto put = [&] {
    const std::vector<float> vector = Vector(1);
    auto record = RecordOf(photo, vector);
    record.thumbnail = thumbnail;
    auto store = Open(dir);
    PutOne(*store, record);
    PutOne(*store, RecordOf(other, Vector(2), "other"));
  };
  const auto at = [](const std::string& photo_text) {
    return "id = (SELECT id FROM entries WHERE model = 1 AND photo = x'" + ToHex(HashOf(photo_text)) + "')";
  };
  for (const std::string& harm :
       {"UPDATE contents SET bytes = x'0000803f00000080010000000000604000000000' WHERE " + at("photo"),
        "UPDATE contents SET bytes = x'0000803f' WHERE " + at("photo"),
        "UPDATE contents SET bytes = zeroblob(20) WHERE " + at("photo"),
        "UPDATE contents SET crc = crc + 1 WHERE " + at("photo"), "DELETE FROM contents WHERE " + at("photo"),
        "UPDATE contents SET (crc, bytes) = (SELECT crc, bytes FROM contents WHERE " + at("other") + ") WHERE " + at("photo")}) {
    CAPTURE(harm);
    put();
    CHECK(FindOne(*Open(dir), photo).has_vector);
    Sql(dir, harm);
    auto store = Open(dir);
    const auto found = FindOne(*store, photo);
    CHECK(found.known);
    CHECK_FALSE(found.has_vector);
    CHECK(store->damaged() == 1);
    std::vector<float> got(kDim);
    CHECK_FALSE(store->Get(HashOf("photo"), got));
    CHECK(FindOne(*store, other).has_vector);
  }
  put();
  auto store = Open(dir);
  CHECK(FindOne(*store, photo).has_vector);
  Sql(dir, "UPDATE contents SET bytes = x'010204' WHERE id = (SELECT id FROM entries WHERE model = 0)");
  CHECK_FALSE(store->Thumbnail(HashOf("photo")).has_value());
  CHECK(store->damaged() == 1);
}

void CheckRefused(const test::TempDir& dir, Code code, const std::string& part) {
  const auto store = BottleneckStore::Open(dir.path(), Key(), kDim);
  REQUIRE_FALSE(store.ok());
  const std::string message = store.status().message();
  CAPTURE(message);
  CHECK(store.status().code() == code);
  CHECK(message.find(dir / "bottlenecks.sqlite") != std::string::npos);
  CHECK(message.find(part) != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
}

TEST_CASE("store: several threads read many vectors, count what is damaged, and one reads what the others cannot [threads]") {
  test::TempDir dir;
  const size_t count = 1700;
  MakePhoto(dir, "a.jpg");
  std::vector<std::string> paths;  // of one file
  std::vector<std::vector<float>> vectors;
  std::vector<BottleneckStore::Record> records;
  for (size_t i = 0; i < count; ++i) {
    std::string path = dir.path();
    for (size_t bits = i; bits != 0; bits >>= 1) path += (bits & 1) != 0 ? "/./" : "//";
    paths.push_back(path + "/a.jpg");
    vectors.push_back(Vector(static_cast<float>(i)));
  }
  for (size_t i = 0; i < count; ++i) records.push_back(RecordOf(paths[i], vectors[i], "photo" + std::to_string(i)));
  auto store = Open(dir);
  REQUIRE(store->Put(records).ok());
  // How many are found; each of them right.
  const auto find = [&](int threads) {
    std::vector<float> rows(count * kDim, 77.0f);
    const auto found = store->Find(paths, rows, threads);
    REQUIRE_MESSAGE(found.ok(), found.status().message());
    size_t right = 0;
    for (size_t i = 0; i < count; ++i) {
      const bool same = SameBits(std::span(rows).subspan(i * kDim, kDim), vectors[i]);
      CHECK_EQ((*found)[i].has_vector, same);
      right += same;
    }
    return right;
  };
  CHECK(find(1) == count);
  CHECK(find(3) == count);
  Sql(dir, "UPDATE contents SET bytes = zeroblob(20) WHERE id IN (700, 1650)");
  store = Open(dir);
  CHECK(find(3) == count - 2);
  CHECK(store->damaged() == 2);
  // No other connection finds the file.
  REQUIRE(rename((dir / "bottlenecks.sqlite").c_str(), (dir / "elsewhere").c_str()) == 0);
  CHECK(find(3) == count - 2);
}

TEST_CASE("store: a file that is not ours is refused and left as it is") {
  test::TempDir dir;
  const std::string file = dir / "bottlenecks.sqlite";
  std::vector<uint8_t> before, after;
  for (const std::string& garbage : {std::string("x"), std::string(100'000, 'g'), std::string(5000, '\0')}) {
    REQUIRE(WriteFileAtomically(file, garbage).ok());
    CheckRefused(dir, Code::kBadInput, "no SQLite file; move it away");
    REQUIRE(ReadFile(file, 1 << 20, &after).ok());
    CHECK(std::string(after.begin(), after.end()) == garbage);
  }
  REQUIRE(WriteFileAtomically(file, "").ok());
  Sql(dir, "CREATE TABLE t (x); INSERT INTO t VALUES (1);");
  REQUIRE(ReadFile(file, 1 << 20, &before).ok());
  CheckRefused(dir, Code::kBadInput, "another program's SQLite file");
  REQUIRE(ReadFile(file, 1 << 20, &after).ok());
  CHECK(before == after);
}

TEST_CASE("store: another layout, a cut file and a lost table are refused with a way out") {
  test::TempDir dir;
  const std::string file = dir / "bottlenecks.sqlite";
  const std::string photo = MakePhoto(dir, "a.jpg");
  PutOne(*Open(dir), RecordOf(photo, Vector(1)));
  std::vector<uint8_t> good;
  REQUIRE(ReadFile(file, 1 << 24, &good).ok());
  const std::string_view whole(reinterpret_cast<const char*>(good.data()), good.size());

  Sql(dir, "PRAGMA user_version = 3");
  CheckRefused(dir, Code::kBadInput, "another version of Couplet (layout 3, here 2); delete it");
  for (const size_t size : {good.size() - 1, good.size() / 2, size_t{9'000}, size_t{1000}}) {
    CAPTURE(size);
    REQUIRE(WriteFileAtomically(file, whole.substr(0, size)).ok());
    CheckRefused(dir, Code::kBadInput, "delete it");
  }
  REQUIRE(WriteFileAtomically(file, whole).ok());
  Sql(dir, "DROP TABLE paths");
  CheckRefused(dir, Code::kBadInput, "is damaged");
  // The empty file that a full disk may leave is as good as none.
  REQUIRE(WriteFileAtomically(file, "").ok());
  CHECK_FALSE(FindOne(*Open(dir), photo).known);
}

// As the first stores were, with two photos and a thumbnail.
void MakeLayout1(const test::TempDir& dir) {
  PutOne(*Open(dir), RecordOf(MakePhoto(dir, "a.jpg"), Vector(1)));
  auto record = RecordOf(MakePhoto(dir, "b.jpg", "other"), {}, "other");
  const std::vector<float> vector = Vector(2);
  const std::vector<uint8_t> thumbnail = {1, 2, 3};
  record.vector = vector;
  record.thumbnail = thumbnail;
  PutOne(*Open(dir), record);
  Sql(dir, R"(
CREATE TABLE vectors (
  id INTEGER PRIMARY KEY, model INTEGER NOT NULL, photo BLOB NOT NULL, crc INTEGER NOT NULL,
  vector BLOB NOT NULL, UNIQUE (model, photo));
CREATE TABLE thumbnails (
  id INTEGER PRIMARY KEY, photo BLOB NOT NULL UNIQUE, crc INTEGER NOT NULL, jpeg BLOB NOT NULL);
INSERT INTO vectors SELECT id, model, photo, crc, bytes FROM entries JOIN contents USING (id) WHERE model != 0;
INSERT INTO thumbnails SELECT 1, photo, crc, bytes FROM entries JOIN contents USING (id) WHERE model = 0;
DROP TABLE entries;
DROP TABLE contents;
PRAGMA user_version = 1;)");
}

TEST_CASE("store: one of the first layout is brought up to date, and keeps all it has") {
  test::TempDir dir;
  MakeLayout1(dir);
  for (int round = 0; round < 2; ++round) {
    auto store = Open(dir);
    std::vector<float> row;
    CHECK(FindOne(*store, dir / "a.jpg", &row).has_vector);
    CHECK(SameBits(row, Vector(1)));
    CHECK(FindOne(*store, dir / "b.jpg", &row).has_vector);
    CHECK(SameBits(row, Vector(2)));
    CHECK(store->Thumbnail(HashOf("other")) == std::vector<uint8_t>{1, 2, 3});
    CHECK_FALSE(store->Thumbnail(HashOf("photo")).has_value());
    CHECK(store->damaged() == 0);
  }
  PutOne(*Open(dir), RecordOf(MakePhoto(dir, "c.jpg", "third"), Vector(3), "third"));
  CHECK(FindOne(*Open(dir), dir / "c.jpg").has_vector);
}

TEST_CASE("store: what two runs put side by side is there once, and each finds the other's") {
  test::TempDir dir;
  const std::string a = MakePhoto(dir, "a.jpg"), b = MakePhoto(dir, "b.jpg", "other");
  auto one = Open(dir), two = Open(dir);
  PutOne(*one, RecordOf(a, Vector(1)));
  PutOne(*one, RecordOf(a, Vector(1)));
  PutOne(*two, RecordOf(a, Vector(1)));
  PutOne(*two, RecordOf(b, Vector(2), "other"));
  CHECK(FindOne(*one, b).has_vector);
  CHECK(FindOne(*two, a).has_vector);
  Sql(dir, "CREATE TABLE t (n CHECK (n = 2)); INSERT INTO t SELECT count(*) FROM entries; INSERT INTO t SELECT count(*) FROM contents;");
}

TEST_CASE("store: a folder that cannot be made or written is said") {
  test::TempDir dir;
  REQUIRE(WriteFileAtomically(dir / "file", "").ok());
  const auto under_file = BottleneckStore::Open(dir / "file/x", Key(), kDim);
  CHECK(under_file.status().code() == Code::kIo);
  CHECK(under_file.status().message().find(dir / "file/x") != std::string::npos);
  const auto in_proc = BottleneckStore::Open("/proc", Key(), kDim);
  CHECK(in_proc.status().code() == Code::kIo);
  CHECK(in_proc.status().message().find("cannot make /proc/bottlenecks.sqlite") != std::string::npos);
}

TEST_CASE("store: a store that can only be read is read") {
  test::TempDir dir;
  const std::string photo = MakePhoto(dir, "a.jpg");
  PutOne(*Open(dir), RecordOf(photo, Vector(1)));
  REQUIRE(chmod(dir.path().c_str(), 0555) == 0);
  const bool is_root = geteuid() == 0;
  if (is_root) REQUIRE(seteuid(65534) == 0);
  const bool tried = eaccess(photo.c_str(), R_OK) == 0;
  Status put, other;
  bool found = false;
  if (tried) {
    auto store = BottleneckStore::Open(dir.path(), Key(), kDim);
    if (store.ok()) {
      found = FindOne(**store, photo).has_vector;
      const std::vector<float> vector = Vector(2);
      const auto record = RecordOf(photo, vector);
      put = (*store)->Put({&record, 1});
    }
    FeatureKey other_key = Key();
    other_key.device = "cuda";
    other = BottleneckStore::Open(dir.path(), other_key, kDim).status();
  }
  if (is_root) REQUIRE(seteuid(0) == 0);
  REQUIRE(chmod(dir.path().c_str(), 0755) == 0);
  if (!tried) COUPLET_SKIP("the build folder cannot be reached without root's rights");
  CHECK(found);
  CHECK(put.code() == Code::kIo);
  CHECK(put.message().find(dir / "bottlenecks.sqlite") != std::string::npos);
  CHECK_MESSAGE(other.ok(), other.message());
}

TEST_CASE(
    "store: a full disk fails the Put, keeps what was there, and the store goes on when there is room") {
  test::TempDir dir;
  const std::string photo = MakePhoto(dir, "a.jpg");
  auto store = Open(dir);
  PutOne(*store, RecordOf(photo, Vector(1)));
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  rlimit small = old;
  struct stat info;
  REQUIRE(stat((dir / "bottlenecks.sqlite").c_str(), &info) == 0);
  small.rlim_cur = static_cast<rlim_t>(info.st_size) + 1000;
  const auto old_handler = signal(SIGXFSZ, SIG_IGN);
  const std::vector<uint8_t> big(1 << 20, 3);
  const std::vector<float> vector = Vector(2);
  auto record = RecordOf(photo, vector);
  record.thumbnail = big;
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const Status full = store->Put({&record, 1});
  REQUIRE(setrlimit(RLIMIT_FSIZE, &old) == 0);
  signal(SIGXFSZ, old_handler);
  CHECK(full.code() == Code::kIo);
  CAPTURE(full.message());
  CHECK(full.message().find("cannot write " + (dir / "bottlenecks.sqlite") + ": File too large") == 0);
  std::vector<float> row;
  CHECK(FindOne(*store, photo, &row).has_vector);
  CHECK(SameBits(row, Vector(1)));
  PutOne(*store, record);
  CHECK(FindOne(*store, photo, &row).has_vector);
  CHECK(SameBits(row, Vector(2)));
  CHECK(store->Thumbnail(HashOf("photo")) == big);
}

TEST_CASE("store: the second run waits while the first one writes [threads]") {
  test::TempDir dir;
  const std::string photo = MakePhoto(dir, "a.jpg");
  auto store = Open(dir);
  sqlite3* other = nullptr;
  REQUIRE(sqlite3_open((dir / "bottlenecks.sqlite").c_str(), &other) == SQLITE_OK);
  REQUIRE(sqlite3_exec(other, "BEGIN EXCLUSIVE", nullptr, nullptr, nullptr) == SQLITE_OK);
  std::thread first([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    sqlite3_exec(other, "COMMIT", nullptr, nullptr, nullptr);
  });
  PutOne(*store, RecordOf(photo, Vector(1)));
  first.join();
  sqlite3_close(other);
  CHECK(FindOne(*store, photo).has_vector);
}

TEST_CASE("store: what is read together is one transaction") {
  test::TempDir dir;
  const std::string photo = MakePhoto(dir, "a.jpg");
  auto store = Open(dir);
  const std::vector<float> vector = Vector(1);
  const std::vector<uint8_t> thumbnail = {0xff, 0xd8, 0, 1};
  auto record = RecordOf(photo, vector);
  record.thumbnail = thumbnail;
  PutOne(*store, record);
  sqlite3* other = nullptr;
  REQUIRE(sqlite3_open((dir / "bottlenecks.sqlite").c_str(), &other) == SQLITE_OK);
  const auto lock_out = [&] { return sqlite3_exec(other, "BEGIN EXCLUSIVE; COMMIT", nullptr, nullptr, nullptr); };
  auto reading = store->ReadTogether();
  for (int i = 0; i < 2; ++i) {
    CHECK(store->Thumbnail(HashOf("photo")) == thumbnail);
    CHECK(lock_out() == SQLITE_BUSY);
  }
  reading.reset();
  CHECK(lock_out() == SQLITE_OK);
  if (test::CanCountAllocations()) {
    bool refused = false;
    try {
      const test::NoMemory none;
      reading = store->ReadTogether();
    } catch (const std::bad_alloc&) {
      refused = true;
    }
    CHECK(refused);
    CHECK(lock_out() == SQLITE_OK);
  }
  sqlite3_close(other);
  PutOne(*store, record);
}

TEST_CASE("store: runs that open, write and read one new store at once all succeed [threads]") {
  test::TempDir dir;
  constexpr int kRuns = 4, kPuts = 10;
  std::vector<std::string> photos;
  for (int i = 0; i < kRuns * kPuts; ++i) {
    photos.push_back(dir / (std::to_string(i) + ".jpg"));
    MakePhoto(dir, std::to_string(i) + ".jpg", std::to_string(i));
  }
  std::vector<std::string> errors(kRuns);
  std::vector<std::thread> runs;
  for (int run = 0; run < kRuns; ++run)
    runs.emplace_back([&, run] {
      auto store = BottleneckStore::Open(dir.path(), Key(), kDim);
      if (!store.ok()) {
        errors[run] = store.status().message();
        return;
      }
      for (int i = run * kPuts; i < (run + 1) * kPuts; ++i) {
        const std::vector<float> vector = Vector(static_cast<float>(i));
        const BottleneckStore::Record record{
            photos[i], *StampFile(photos[i]), HashOf(std::to_string(i)), vector, {}};
        if (const Status put = (*store)->Put({&record, 1}); !put.ok()) errors[run] = put.message();
        std::vector<float> rows(photos.size() * kDim);
        if (const auto found = (*store)->Find(photos, rows); !found.ok())
          errors[run] = found.status().message();
      }
    });
  for (std::thread& run : runs) run.join();
  for (const std::string& error : errors) CHECK(error == "");
  std::vector<float> rows(photos.size() * kDim);
  const auto found = Open(dir)->Find(photos, rows);
  REQUIRE(found.ok());
  for (size_t i = 0; i < photos.size(); ++i) {
    REQUIRE((*found)[i].has_vector);
    CHECK(rows[i * kDim] == static_cast<float>(i));
  }
}

TEST_CASE("store: a run killed while it writes leaves whole transactions") {
  test::TempDir dir;
  const std::string a = MakePhoto(dir, "a.jpg", "a"), b = MakePhoto(dir, "b.jpg", "b");
  PutOne(*Open(dir), RecordOf(a, Vector(0), "a"));
  for (int round = 0; round < 5; ++round) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      auto store = BottleneckStore::Open(dir.path(), Key(), kDim);
      for (float i = 1; store.ok(); ++i) {
        const std::vector<float> vector = Vector(i);
        const BottleneckStore::Record pair[] = {{a, *StampFile(a), HashOf("a"), vector, {}},
                                                {b, *StampFile(b), HashOf("b"), vector, {}}};
        if (!(*store)->Put(pair).ok()) break;
      }
      _exit(1);
    }
    usleep(30'000 + 7'000 * round);
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    auto store = Open(dir);
    std::vector<float> of_a, of_b;
    CHECK(FindOne(*store, a, &of_a).has_vector);
    if (FindOne(*store, b, &of_b).has_vector) CHECK(of_a[0] == of_b[0]);
    CHECK(store->damaged() == 0);
  }
}

}  // namespace
}  // namespace couplet
