// One byte of a store changed, wherever it lies: what is given out is right or is not given out, and can be made again.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "loaders/bottleneck_store.h"
#include "loaders/files.h"
#include "tests/support/reliability.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

namespace fs = std::filesystem;
using Integrity = BottleneckStore::Integrity;

constexpr int kDim = 3, kPhotos = 3;

FeatureKey Key() {
  FeatureKey key;
  key.tensor = "pool:0";
  key.input_size = 128;
  key.precision = "fp32";
  key.device = "cpu";
  return key;
}

// A store of three photos, and its bytes.
struct Shelf {
  Shelf() {
    fs::create_directory(dir / "b");
    for (int i = 0; i < kPhotos; ++i) {
      paths.push_back(dir / ("p" + std::to_string(i) + ".jpg"));
      REQUIRE(WriteFileAtomically(paths.back(), "photo " + std::to_string(i)).ok());
      // Of an hour ago, so that its note is trusted.
      const timespec hour_ago = {time(nullptr) - 3600, 5};
      const timespec times[2] = {hour_ago, hour_ago};
      REQUIRE(utimensat(AT_FDCWD, paths.back().c_str(), times, 0) == 0);
    }
    auto store = BottleneckStore::Open(dir / "b", Key(), kDim);
    REQUIRE(store.ok());
    REQUIRE(Put(**store).ok());
    store->reset();
    bytes = test::FileContents(file());
  }
  std::string file() const { return dir / "b/bottlenecks.sqlite"; }
  std::vector<float> Vector(int i) const { return {0.5f + static_cast<float>(i), -1e-30f, 3}; }
  Sha256Digest Photo(int i) const {
    const std::string contents = "photo " + std::to_string(i);
    return Sha256(std::as_bytes(std::span(contents)));
  }
  // As a run that computed them all.
  Status Put(BottleneckStore& store) const {
    for (int i = 0; i < kPhotos; ++i) {
      const std::vector<float> vector = Vector(i);
      BottleneckStore::Record record{paths[static_cast<size_t>(i)], *StampFile(paths[static_cast<size_t>(i)]), Photo(i), vector, {}};
      if (Status status = store.Put({&record, 1}); !status.ok()) return status;
    }
    return {};
  }
  // How many vectors the store has; REQUIREs that each of them is the photo's.
  int Right(BottleneckStore& store) const {
    std::vector<float> rows(kPhotos * kDim, 77.0f);
    const auto found = store.Find(paths, rows);
    REQUIRE_MESSAGE(found.ok(), found.status().message());
    int right = 0;
    for (int i = 0; i < kPhotos; ++i) {
      std::vector<float> row(rows.begin() + i * kDim, rows.begin() + (i + 1) * kDim);
      bool has = (*found)[static_cast<size_t>(i)].has_vector;
      // By its content, where the note is lost: as a run does that reads the photo again.
      if (!has) has = store.Get(Photo(i), row);
      right += has;
      if (has) REQUIRE(std::memcmp(row.data(), Vector(i).data(), kDim * sizeof(float)) == 0);
    }
    return right;
  }
  void Write(size_t at, char byte) const {
    const int fd = open(file().c_str(), O_WRONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    REQUIRE(pwrite(fd, &byte, 1, static_cast<off_t>(at)) == 1);
    close(fd);
  }
  void Restore() const {
    for (const char* rest : {"-journal", ".damaged"}) fs::remove(file() + rest);
    std::ofstream(file(), std::ios::binary) << bytes;
  }
  test::TempDir dir;
  std::vector<std::string> paths;
  std::string bytes;
};

enum class Outcome { kHarmless, kComputedAgain, kSetAside, kRefused };

Outcome OpenAndMend(const Shelf& shelf) {
  std::string set_aside;
  auto store = BottleneckStore::Open(shelf.dir / "b", Key(), kDim, Integrity::kWhole, &set_aside);
  if (!store.ok()) {
    // The file no longer says that it is a store of ours.
    const std::string line = store.status().message();
    REQUIRE_MESSAGE(store.status().code() == Code::kBadInput, line);
    REQUIRE_MESSAGE(line.find(shelf.file()) != std::string::npos, line);
    REQUIRE_MESSAGE(line.find("--bottleneck_dir") != std::string::npos, line);
    return Outcome::kRefused;
  }
  if (set_aside.empty() && shelf.Right(**store) == kPhotos) return Outcome::kHarmless;
  const Status put = shelf.Put(**store);
  REQUIRE_MESSAGE(put.ok(), put.message());
  store->reset();
  auto again = BottleneckStore::Open(shelf.dir / "b", Key(), kDim, Integrity::kWhole);
  REQUIRE_MESSAGE(again.ok(), again.status().message());
  REQUIRE(shelf.Right(**again) == kPhotos);
  return set_aside.empty() ? Outcome::kComputedAgain : Outcome::kSetAside;
}

TEST_CASE("store: a byte changed anywhere is found and its vector made again, or changes nothing") {
  test::Count count("store-flips", 2000);
  const Shelf shelf;
  int outcomes[4] = {};
  // Of the empty space between rows some will do; of the rest the suite takes a part.
  const size_t step = test::Whole() ? 1 : 23;
  size_t used = 0;
  for (size_t at = 0; at < shelf.bytes.size(); ++at) {
    const bool empty = shelf.bytes[at] == 0;
    if (empty ? at % (997 * step) != 0 : used++ % step != 0) continue;
    CAPTURE(at);
    for (const int bit : {0, 7}) {
      shelf.Write(at, static_cast<char>(shelf.bytes[at] ^ 1 << bit));
      ++outcomes[static_cast<int>(OpenAndMend(shelf))];
      shelf.Restore();
      count.Done();
    }
  }
  count.Note("bits changed in a store of three photos: " + std::to_string(outcomes[0]) + " changed nothing, " +
             std::to_string(outcomes[1]) + " cost a vector made again, " + std::to_string(outcomes[2]) +
             " the store set aside, " + std::to_string(outcomes[3]) + " it was refused as none of ours");
  for (const int times : outcomes) CHECK(times > 0);
}

TEST_CASE("store: a note that belongs to another path is counted and not believed, one without a checksum is made again") {
  const Shelf shelf;
  const auto sql = [&](const std::string& text) {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(shelf.file().c_str(), &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, text.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(db);
  };
  const auto known = [&](int damaged) {
    auto store = BottleneckStore::Open(shelf.dir / "b", Key(), kDim);
    REQUIRE(store.ok());
    std::vector<float> rows(kPhotos * kDim);
    const auto found = (*store)->Find(shelf.paths, rows);
    REQUIRE(found.ok());
    CHECK((*store)->damaged() == damaged);
    int count = 0;
    for (const auto& one : *found) count += one.known;
    return count;
  };
  CHECK(known(0) == 3);
  const std::string first = "CAST('" + shelf.paths[0] + "' AS BLOB)", second = "CAST('" + shelf.paths[1] + "' AS BLOB)";
  // Whole in itself, and another photo's.
  sql("UPDATE paths SET photo = (SELECT photo FROM paths WHERE path = " + second + ") WHERE path = " + first);
  CHECK(known(1) == 2);
  // Times that would make a note be trusted that must not be.
  sql("UPDATE paths SET noted_ns = noted_ns + 10000000000 WHERE path = " + second);
  CHECK(known(2) == 1);
  // As notes were before they had checksums.
  sql("UPDATE paths SET photo = substr(photo, 1, 32)");
  CHECK(known(0) == 0);
}

TEST_CASE("store: a damaged store is set aside only when asked to, and only one of ours") {
  const Shelf shelf;
  std::string broken = shelf.bytes;
  broken[8192] = 0x55;  // the first byte of the second page: no kind of page
  std::ofstream(shelf.file(), std::ios::binary) << broken;
  CHECK_FALSE(BottleneckStore::Open(shelf.dir / "b", Key(), kDim, Integrity::kWhole).ok());
  CHECK(test::FileContents(shelf.file()) == broken);
  std::string set_aside;
  auto store = BottleneckStore::Open(shelf.dir / "b", Key(), kDim, Integrity::kWhole, &set_aside);
  REQUIRE_MESSAGE(store.ok(), store.status().message());
  CHECK(set_aside == shelf.file() + ".damaged");
  CHECK(test::FileContents(set_aside) == broken);
  CHECK(shelf.Right(**store) == 0);
  store->reset();
  std::ofstream(shelf.file(), std::ios::binary) << std::string(5000, 'x');
  set_aside.clear();
  CHECK_FALSE(BottleneckStore::Open(shelf.dir / "b", Key(), kDim, Integrity::kWhole, &set_aside).ok());
  CHECK(set_aside.empty());
  CHECK(test::FileContents(shelf.file()) == std::string(5000, 'x'));
}

}  // namespace
}  // namespace couplet
