// SPDX-License-Identifier: Apache-2.0
#include "models/feature_extractor.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <tuple>

#include "loaders/files.h"
#include "tests/support/extraction_bed.h"

namespace couplet {
namespace {

using test::Bed;
using test::Bmp;
using test::kDim;
using test::MakeOld;
using test::SameBits;

TEST_CASE("extract: the same vectors whatever the number of threads [threads]") {
  Bed bed(150);
  bed.backend.sleep_us = 300;
  const auto one = [&](int threads) {
    std::filesystem::remove_all(bed.options.bottleneck_dir);
    bed.options.threads = threads;
    return bed.Run();
  };
  const ExtractResult first = one(1);
  CHECK(first.computed == 150);
  CHECK(first.cached == 0);
  CHECK(first.failed.empty());
  for (size_t i = 0; i < 150; ++i) {
    REQUIRE(first.vectors[i * kDim] == static_cast<float>(100 + i % 100));
    REQUIRE(first.vectors[i * kDim + 4] == static_cast<float>(1 + i % 7));
  }
  for (const int threads : {2, 7}) {
    bed.backend.workers = 0;
    CHECK(SameBits(one(threads).vectors, first.vectors));
    // A thread that starts after the last photo was taken makes none.
    CHECK(bed.backend.workers >= 1);
    CHECK(bed.backend.workers <= threads);
    CHECK(bed.sessions == 1);
  }
  bed.options.threads = 2;
  bed.progress.clear();
  const ExtractResult warm = bed.Run();
  CHECK(SameBits(warm.vectors, first.vectors));
  CHECK(warm.cached == 150);
  CHECK(warm.computed == 0);
  CHECK(bed.sessions == 0);
  REQUIRE_FALSE(bed.progress.empty());
  CHECK(bed.progress.back().done == 150);
  CHECK(bed.progress.back().total == 150);
}

TEST_CASE("extract: one photo gets all threads when there are fewer photos than threads [threads]") {
  for (const auto& [photos, threads, each] : {std::tuple{1, 4, 4}, {2, 4, 2}, {3, 4, 1}, {4, 4, 1}, {9, 4, 1}}) {
    Bed bed(photos);
    bed.options.threads = threads;
    CHECK(bed.Run().computed == static_cast<size_t>(photos));
    CHECK(bed.run_threads == each);
    CHECK(bed.backend.workers <= std::min(photos, threads));
  }
}

TEST_CASE("extract: photos that cannot be read are named with the reason, the others computed [threads]") {
  Bed bed(6);
  bed.Add("garbage.jpg", "this is text");
  bed.Add("empty.jpg", "");
  bed.Add("gone.jpg", "x");
  unlink(bed.photos.back().path.c_str());
  bed.Add("nan.bmp", Bmp(2, 2, 13, 1));
  bed.Add("cut.bmp", Bmp(20, 20, 1, 1).substr(0, 300));
  bed.photos.push_back({bed.dir / "photos", "a", "folder"});
  const ExtractResult result = bed.Run();
  CHECK(result.computed == 6);
  REQUIRE(result.failed.size() == 6);
  const char* reasons[] = {
      "found text", "found an empty file",    "cannot open: No such file or directory", "is not finite",
      "",           "is a folder, not a file"};
  for (size_t i = 0; i < 6; ++i) {
    const FailedPhoto& failed = result.failed[i];
    CAPTURE(failed.reason);
    CHECK(failed.index == 6 + i);
    CHECK(failed.reason.find(reasons[i]) != std::string::npos);
    CHECK_FALSE(failed.reason.empty());
    CHECK(failed.reason.find(bed.dir.path()) == std::string::npos);
    for (int d = 0; d < kDim; ++d) CHECK(result.vectors[failed.index * kDim + d] == 0.0f);
  }
  CHECK(bed.progress.back().done == 12);
  CHECK(bed.progress.back().failed == 6);
  // Nothing of them is in the cache, and they fail again.
  const ExtractResult again = bed.Run();
  CHECK(again.cached == 6);
  CHECK(again.failed.size() == 6);
}

TEST_CASE("extract: a renamed folder costs reading, a changed photo its own computation") {
  Bed bed(9);
  const ExtractResult first = bed.Run();
  REQUIRE(rename((bed.dir / "photos/a").c_str(), (bed.dir / "photos/b").c_str()) == 0);
  for (Photo& photo : bed.photos) photo.path = bed.dir / ("photos/b/" + photo.file);
  const ExtractResult renamed = bed.Run();
  CHECK(renamed.cached == 9);
  CHECK(bed.sessions == 0);
  CHECK(SameBits(renamed.vectors, first.vectors));

  // Same size, same mtime.
  const std::string path = bed.photos[3].path;
  REQUIRE(WriteFileAtomically(path, Bmp(4, 5, 200, 3)).ok());
  MakeOld(path);
  const ExtractResult changed = bed.Run();
  CHECK(changed.cached == 8);
  CHECK(changed.computed == 1);
  CHECK(changed.vectors[3 * kDim] == 200.0f);
  CHECK(bed.Run().cached == 9);
}

TEST_CASE("extract: a photo twice in the list gives the same vector twice") {
  Bed bed(1);
  bed.Add("again.bmp", Bmp(1, 2, 100, 0));
  bed.photos.push_back(bed.photos[0]);
  for (int run = 0; run < 2; ++run) {
    const ExtractResult result = bed.Run();
    CHECK(result.vectors[0] == 100.0f);
    for (int copy = 1; copy < 3; ++copy)
      CHECK(std::memcmp(result.vectors.data(), result.vectors.data() + copy * kDim, kDim * sizeof(float)) ==
            0);
  }
  CHECK(bed.sessions == 0);
}

TEST_CASE("extract: damaged records are computed again and counted") {
  Bed bed(5);
  const ExtractResult first = bed.Run();
  bed.Sql("UPDATE contents SET bytes = zeroblob(20) WHERE id = (SELECT id FROM entries WHERE model = 1 ORDER BY id LIMIT 1 OFFSET 1)");
  const ExtractResult second = bed.Run();
  CHECK(second.cached == 4);
  CHECK(second.computed == 1);
  CHECK(second.damaged >= 1);
  CHECK(SameBits(second.vectors, first.vectors));
  const ExtractResult third = bed.Run();
  CHECK(third.cached == 5);
  CHECK(third.damaged == 0);
}

TEST_CASE("extract: verifying finds a wrong note and a wrong vector") {
  Bed bed(6);
  const ExtractResult first = bed.Run();
  bed.options.verify = ExtractOptions::Verify::kHashes;
  const ExtractResult clean = bed.Run();
  CHECK(clean.computed == 6);  // so few photos are their own sample
  CHECK(clean.mismatched == 0);
  CHECK(clean.notes.empty());

  const auto hash_of = [&](size_t photo) {
    std::vector<uint8_t> bytes;
    REQUIRE(ReadFile(bed.photos[photo].path, 1 << 20, &bytes).ok());
    return Sha256(std::as_bytes(std::span(bytes)));
  };
  const auto put = [&](size_t photo, const Sha256Digest& hash, std::span<const float> vector) {
    auto store = BottleneckStore::Open(bed.options.bottleneck_dir, bed.options.key, kDim);
    REQUIRE(store.ok());
    const BottleneckStore::Record record{bed.photos[photo].path, *StampFile(bed.photos[photo].path), hash, vector, {}};
    REQUIRE((*store)->Put({&record, 1}).ok());
  };
  // A note that is whole and wrong.
  put(2, hash_of(3), {});
  bed.options.verify = ExtractOptions::Verify::kNo;
  CHECK_FALSE(SameBits(bed.Run().vectors, first.vectors));  // that is what verifying is for
  bed.options.verify = ExtractOptions::Verify::kHashes;
  const ExtractResult found = bed.Run();
  CHECK(found.mismatched == 1);
  REQUIRE(found.notes.size() == 1);
  CHECK(found.notes[0].find(bed.photos[2].path) == 0);
  CHECK(SameBits(found.vectors, first.vectors));
  CHECK(bed.Run().mismatched == 0);

  // A vector that is whole and wrong.
  const std::vector<float> wrong(kDim, 0.5f);
  for (const auto verify : {ExtractOptions::Verify::kHashes, ExtractOptions::Verify::kAll}) {
    put(4, hash_of(4), wrong);
    bed.options.verify = ExtractOptions::Verify::kNo;
    CHECK_FALSE(SameBits(bed.Run().vectors, first.vectors));
    bed.options.verify = verify;
    const ExtractResult all = bed.Run();
    CHECK(all.computed == 6);
    CHECK(all.mismatched == 1);
    CHECK(SameBits(all.vectors, first.vectors));
    CHECK(bed.Run().mismatched == 0);
  }
}

TEST_CASE("extract: verifying computes a sample of the vectors again, or all of them") {
  Bed bed(100);
  const ExtractResult first = bed.Run();
  // Every vector is wrong, and by its checksum whole.
  {
    auto store = BottleneckStore::Open(bed.options.bottleneck_dir, bed.options.key, kDim);
    REQUIRE(store.ok());
    const std::vector<float> wrong(kDim, 0.5f);
    for (const Photo& photo : bed.photos) {
      const std::string bytes = test::FileContents(photo.path);
      const BottleneckStore::Record record{photo.path, *StampFile(photo.path), Sha256(std::as_bytes(std::span(bytes))), wrong, {}};
      REQUIRE((*store)->Put({&record, 1}).ok());
    }
  }
  bed.options.verify = ExtractOptions::Verify::kHashes;
  CHECK(*CountMissing(bed.photos, kDim, bed.options) == 17);
  const ExtractResult sample = bed.Run();
  CHECK(sample.computed == 17);
  CHECK(sample.mismatched == 17);
  bed.options.verify = ExtractOptions::Verify::kAll;
  const ExtractResult all = bed.Run();
  CHECK(all.computed == 100);
  CHECK(all.mismatched == 83);
  CHECK(SameBits(all.vectors, first.vectors));
}

TEST_CASE("extract: verifying sets a damaged store aside and computes its vectors again") {
  Bed bed(4);
  const ExtractResult first = bed.Run();
  const std::string file = bed.options.bottleneck_dir + "/bottlenecks.sqlite";
  std::string bytes = test::FileContents(file);
  bytes[8192] = 0x55;
  REQUIRE(WriteFileAtomically(file, bytes).ok());
  bed.options.verify = ExtractOptions::Verify::kHashes;
  CHECK(*CountMissing(bed.photos, kDim, bed.options) == 4);
  const ExtractResult mended = bed.Run();
  CHECK(mended.computed == 4);
  CHECK(mended.damaged == 1);
  REQUIRE(mended.notes.size() == 1);
  CHECK(mended.notes[0].find(file + ".damaged") != std::string::npos);
  CHECK(SameBits(mended.vectors, first.vectors));
  bed.options.verify = ExtractOptions::Verify::kNo;
  CHECK(bed.Run().cached == 4);
}

TEST_CASE("extract: what was computed before an interruption is kept [threads]") {
  Bed bed(400);
  bed.backend.sleep_us = 4000;
  bed.interrupt_at = 2;
  const auto result = bed.TryRun();
  REQUIRE_FALSE(result.ok());
  CHECK(result.status().code() == Code::kInterrupted);
  bed.backend.sleep_us = 0;
  const ExtractResult rest = bed.Run();
  CHECK(rest.cached > 0);
  CHECK(rest.computed > 0);
  CHECK(rest.cached + rest.computed == 400);
  std::filesystem::remove_all(bed.options.bottleneck_dir);
  CHECK(SameBits(bed.Run().vectors, rest.vectors));
}

TEST_CASE("extract: a cache that cannot be made or filled is a warning") {
  Bed bed(5);
  const ExtractResult good = bed.Run();
  bed.options.bottleneck_dir = "/proc";
  const ExtractResult without = bed.Run();
  CHECK(SameBits(without.vectors, good.vectors));
  CHECK(without.store_warning.find("/proc/bottlenecks.sqlite") != std::string::npos);

  bed.options.bottleneck_dir = bed.dir / "full";
  REQUIRE(MakeDirectories(bed.options.bottleneck_dir).ok());
  for (const auto format : {ExtractOptions::Format::kSqlite, ExtractOptions::Format::kText}) {
    bed.options.format = format;
    if (format == ExtractOptions::Format::kSqlite)
      REQUIRE(BottleneckStore::Open(bed.options.bottleneck_dir, bed.options.key, kDim).ok());
    rlimit old{};
    getrlimit(RLIMIT_FSIZE, &old);
    rlimit small = old;
    small.rlim_cur = 5;
    const auto old_handler = signal(SIGXFSZ, SIG_IGN);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    const auto full = bed.TryRun();
    REQUIRE(setrlimit(RLIMIT_FSIZE, &old) == 0);
    signal(SIGXFSZ, old_handler);
    REQUIRE(full.ok());
    CHECK(SameBits(full->vectors, good.vectors));
    CHECK(full->store_warning.find("cannot write " + bed.options.bottleneck_dir) == 0);
    CHECK(full->computed == 5);
  }
}

TEST_CASE("extract: a cache that is not ours stops the run") {
  Bed bed(2);
  REQUIRE(MakeDirectories(bed.options.bottleneck_dir).ok());
  REQUIRE(WriteFileAtomically(bed.options.bottleneck_dir + "/bottlenecks.sqlite", "notes of mine").ok());
  const auto result = bed.TryRun();
  CHECK(result.status().code() == Code::kBadInput);
  CHECK(bed.sessions == 0);
}

TEST_CASE("extract: what makes the network unusable stops the run once [threads]") {
  Bed bed(40);
  bed.options.threads = 4;
  bed.Add("gone.bmp", Bmp(2, 2, 14, 1));
  const auto result = bed.TryRun();
  CHECK(result.status().code() == Code::kDevice);
  CHECK(result.status().message() == "the device is gone");

  std::atomic<int> calls{0};
  std::filesystem::remove_all(bed.options.bottleneck_dir);
  PhotoNetwork network = bed.Network();
  network.make_session = [&](const SessionOptions&) -> Result<std::shared_ptr<const Session>> {
    ++calls;
    return BadInput("node x: no such op");
  };
  network.make_split = [&](const SessionOptions&, bool) -> Result<std::shared_ptr<const SplitSession>> {
    ++calls;
    return BadInput("node x: no such op");
  };
  for (const int batch : {1, 8}) {
    calls = 0;
    network.in_batches = batch > 1;
    network.max_batch = batch;
    const auto refused = ExtractFeatures(
        bed.photos, kDim, network, bed.options, [](const ExtractProgress&) {}, [] { return false; });
    CHECK(refused.status().message() == "node x: no such op");
    CHECK(calls == 1);
  }
}

TEST_CASE("extract: photos share a last layer of many weights; what waits for others is not lost [threads]") {
  for (const int threads : {1, 3}) {
    CAPTURE(threads);
    Bed apart(50), shared(50);
    shared.last_layer = true;
    for (Bed* bed : {&apart, &shared}) {
      bed->options.threads = threads;
      bed->Add("garbage.jpg", "this is text");
      bed->Add("nan.bmp", Bmp(2, 2, 13, 1));
    }
    const ExtractResult want = apart.Run(), got = shared.Run();
    CHECK(SameBits(got.vectors, want.vectors));
    CHECK(got.computed == 50);
    CHECK(got.failed.size() == 2);
    // 51 photos got as far: sixes, and what each thread had left in the end.
    CHECK(shared.backend.last_batches.count(6) >= (51 - 5 * static_cast<size_t>(threads)) / 6);
    CHECK(std::accumulate(shared.backend.last_batches.begin(), shared.backend.last_batches.end(), 0) == 51);
    CHECK(shared.Run().cached == 50);
  }

  // An interrupted run keeps what it had begun.
  Bed bed(400);
  bed.last_layer = true;
  bed.backend.sleep_us = 3000;
  bed.interrupt_at = 2;
  REQUIRE(bed.TryRun().status().code() == Code::kInterrupted);
  const int begun = std::accumulate(bed.backend.last_batches.begin(), bed.backend.last_batches.end(), 0);
  REQUIRE(begun > 0);
  REQUIRE(begun < 400);
  CHECK(bed.Run().cached == static_cast<size_t>(begun));

  Bed failing(20);
  failing.last_layer = failing.backend.last_fails = true;
  CHECK(failing.TryRun().status().message() == "the last layer failed");
}

TEST_CASE("extract: text files as retrain.py lays them out [threads]") {
  Bed bed(8);
  bed.options.format = ExtractOptions::Format::kText;
  const ExtractResult first = bed.Run();
  CHECK(first.computed == 8);
  const std::string path = bed.dir / "cache/a/3.bmp_fake_1.txt";
  std::vector<float> row(kDim);
  REQUIRE(ReadBottleneckText(path, row).ok());
  CHECK(std::memcmp(row.data(), first.vectors.data() + 3 * kDim, sizeof(float) * kDim) == 0);
  CHECK_FALSE(FileExists(bed.dir / "cache/bottlenecks.sqlite"));
  const ExtractResult warm = bed.Run();
  CHECK(warm.cached == 8);
  CHECK(bed.sessions == 0);
  CHECK(SameBits(warm.vectors, first.vectors));

  for (const char* bad : {"1,2,x,4,5", "1,2,3,4", "", "1,2,3,4,inf"}) {
    REQUIRE(WriteFileAtomically(path, bad).ok());
    const ExtractResult again = bed.Run();
    CHECK(again.computed == 1);
    CHECK(again.damaged == 1);
    REQUIRE(again.notes.size() == 1);
    CHECK(again.notes[0].find("Invalid float found, recreating bottleneck (" + path) == 0);
    CHECK(SameBits(again.vectors, first.vectors));
  }
  // As in the original a file that reads is believed, until verifying is asked for.
  REQUIRE(WriteFileAtomically(path, "1,2,3,4,5").ok());
  CHECK(bed.Run().vectors[3 * kDim + 1] == 2.0f);
  bed.options.verify = ExtractOptions::Verify::kAll;
  const ExtractResult verified = bed.Run();
  CHECK(verified.mismatched == 1);
  CHECK(SameBits(verified.vectors, first.vectors));
  CHECK(bed.Run().mismatched == 0);
}

TEST_CASE("extract: thumbnails come with the vectors") {
  Bed bed(1);
  bed.Run();
  auto store = BottleneckStore::Open(bed.options.bottleneck_dir, bed.options.key, kDim);
  REQUIRE(store.ok());
  std::vector<uint8_t> bytes;
  REQUIRE(ReadFile(bed.photos[0].path, 1 << 20, &bytes).ok());
  const auto jpeg = (*store)->Thumbnail(Sha256(std::as_bytes(std::span(bytes))));
  REQUIRE(jpeg.has_value());
  Image image;
  CHECK(DecodeImage(*jpeg, {}, &image).ok());
}

TEST_CASE("extract: no photos, no work") {
  Bed bed(0);
  const ExtractResult result = bed.Run();
  CHECK(result.vectors.empty());
  CHECK(bed.sessions == 0);
}

}  // namespace
}  // namespace couplet
