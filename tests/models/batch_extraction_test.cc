// Photos to vectors on a device that takes batches; the device is one of tests/support.
// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <thread>

#include "loaders/files.h"
#include "models/batch_line.h"
#include "tests/support/extraction_bed.h"

namespace couplet {
namespace {

using test::Bed;
using test::Bmp;
using test::kDim;
using test::SameBits;

// The vectors as single photos give them; the cache is empty again.
ZeroedVector OneByOne(Bed* bed) {
  const int batch = std::exchange(bed->max_batch, 1);
  const ZeroedVector vectors = bed->Run().vectors;
  bed->max_batch = batch;
  std::filesystem::remove_all(bed->options.bottleneck_dir);
  bed->backend.batches.clear();
  bed->backend.workers = 0;
  bed->progress.clear();
  return vectors;
}

TEST_CASE("batches: the same vectors as one by one, whatever the threads and the batch [threads]") {
  Bed bed(150);
  const ZeroedVector expected = OneByOne(&bed);
  bed.backend.sleep_us = 200;
  for (const int threads : {1, 3})
    for (const int batch : {2, 7, 64, 1000}) {
      CAPTURE(threads);
      CAPTURE(batch);
      bed.options.threads = threads;
      bed.max_batch = batch;
      bed.backend.batches.clear();
      bed.backend.workers = 0;
      std::filesystem::remove_all(bed.options.bottleneck_dir);
      const ExtractResult result = bed.Run();
      CHECK(SameBits(result.vectors, expected));
      CHECK(result.computed == 150);
      CHECK(result.batch_warning == "");
      CHECK(bed.sessions == 1);
      // Full ones and one with the rest.
      const auto& sizes = bed.backend.batches;
      CHECK(std::accumulate(sizes.begin(), sizes.end(), 0) == 150);
      CHECK(sizes.size() == static_cast<size_t>((150 + batch - 1) / batch));
      CHECK(*sizes.rbegin() == std::min(batch, 150));
      CHECK(bed.backend.workers <= 2);
      CHECK(bed.backend.live_workers == 0);
    }
  // What was stored is what was computed.
  const ExtractResult warm = bed.Run();
  CHECK(warm.cached == 150);
  CHECK(SameBits(warm.vectors, expected));
  CHECK(bed.sessions == 0);
}

TEST_CASE(
    "batches: a device with memory for single photos runs them on its two drivers, however many threads "
    "[threads]") {
  Bed bed(30);
  bed.options.threads = 6;
  const ZeroedVector expected = OneByOne(&bed);
  bed.in_batches = true;
  CHECK(SameBits(bed.Run().vectors, expected));
  CHECK(bed.backend.batches.count(1) == 30);
  CHECK(bed.backend.workers <= 2);
  std::filesystem::remove_all(bed.options.bottleneck_dir);
  bed.backend.runs_up_to = 0;
  CHECK(bed.TryRun().status().code() == Code::kOutOfMemory);
}

TEST_CASE("batches: a device that rounds a batch up gets the batch it likes") {
  Bed bed(20);
  const ZeroedVector expected = OneByOne(&bed);
  bed.max_batch = 6;
  bed.backend.batch_step = 8;
  bed.backend.no_pinned = true;  // which is no reason to give up
  CHECK(SameBits(bed.Run().vectors, expected));
  CHECK(bed.backend.batches == std::multiset<int>{4, 8, 8});
}

TEST_CASE("batches: bad photos are named, their neighbours are computed [threads]") {
  Bed bed(5);
  bed.Add("garbage.jpg", "this is text");
  bed.Add("nan.bmp", Bmp(2, 2, 13, 1));
  for (int i = 0; i < 5; ++i) bed.Add("more" + std::to_string(i) + ".bmp", Bmp(3, 2, 90 + i, i));
  const ZeroedVector expected = OneByOne(&bed);
  bed.max_batch = 11;
  const ExtractResult result = bed.Run();
  CHECK(result.computed == 10);
  REQUIRE(result.failed.size() == 2);
  CHECK(result.failed[0].index == 5);
  CHECK(result.failed[0].reason.find("found text") != std::string::npos);
  CHECK(result.failed[1].index == 6);
  CHECK(result.failed[1].reason.find("is not finite") != std::string::npos);
  for (int d = 0; d < 2 * kDim; ++d) CHECK(result.vectors[5 * kDim + d] == 0.0f);
  CHECK(SameBits(result.vectors, expected));
  CHECK(bed.Run().cached == 10);
}

TEST_CASE("batches: text files and verifying work as one by one [threads]") {
  Bed bed(12);
  const ZeroedVector expected = OneByOne(&bed);
  bed.max_batch = 5;
  bed.options.format = ExtractOptions::Format::kText;
  CHECK(SameBits(bed.Run().vectors, expected));
  CHECK(bed.Run().cached == 12);
  REQUIRE(WriteFileAtomically(bed.dir / "cache/a/3.bmp_fake_1.txt", "1,2,3,4,5").ok());
  bed.options.verify = ExtractOptions::Verify::kAll;
  const ExtractResult text = bed.Run();
  CHECK(text.mismatched == 1);
  CHECK(text.computed == 12);
  REQUIRE(text.notes.size() == 1);
  CHECK(text.notes[0].find("3.bmp_fake_1.txt") != std::string::npos);
  CHECK(SameBits(text.vectors, expected));

  bed.options.format = ExtractOptions::Format::kSqlite;
  bed.options.verify = ExtractOptions::Verify::kNo;
  CHECK(bed.Run().computed == 12);
  bed.options.verify = ExtractOptions::Verify::kAll;
  const ExtractResult all = bed.Run();
  CHECK(all.computed == 12);
  CHECK(all.mismatched == 0);
}

TEST_CASE("batches: too many photos for the memory are halved, said once, to the same vectors [threads]") {
  Bed bed(100);
  const ZeroedVector expected = OneByOne(&bed);
  bed.max_batch = 64;
  const auto run = [&] {
    std::filesystem::remove_all(bed.options.bottleneck_dir);
    bed.backend.batches.clear();
    const ExtractResult result = bed.Run();
    CHECK(SameBits(result.vectors, expected));
    CHECK(result.computed == 100);
    CHECK(bed.backend.live_workers == 0);
    return result.batch_warning;
  };
  SUBCASE("when the network is made") {
    bed.backend.prepares_up_to = 20;
    CHECK(run() ==
          "64 photos at a time were too many for the device (no memory for a session); went on with 16");
    CHECK(*bed.backend.batches.rbegin() == 16);
  }
  SUBCASE("when it is run, with batches packed before") {
    bed.options.threads = 3;
    for (const int fits : {20, 1}) {
      bed.backend.runs_up_to = fits;
      CHECK(run() == "64 photos at a time were too many for the device (no memory for a run); went on with " +
                         std::string(fits == 20 ? "16" : "1"));
    }
  }
  SUBCASE("one driver where there is no memory for two") {
    bed.backend.workers_up_to = 1;
    CHECK(run() == "");
    CHECK(*bed.backend.batches.rbegin() == 64);
    bed.backend.runs_up_to = 5;
    CHECK(run().find("went on with 4") != std::string::npos);
  }
  SUBCASE("a device that rounds up still comes down") {
    bed.backend.batch_step = 8;
    bed.backend.prepares_up_to = 8;
    CHECK(run().find("went on with 8") != std::string::npos);
  }
}

TEST_CASE("batches: a device that has no memory for one photo ends the run and says so [threads]") {
  Bed bed(30);
  bed.max_batch = 8;
  SUBCASE("session") {
    bed.backend.prepares_up_to = 0;
  }
  SUBCASE("run") {
    bed.backend.runs_up_to = 0;
  }
  SUBCASE("worker") {
    bed.backend.workers_up_to = 0;
  }
  const auto result = bed.TryRun();
  REQUIRE_FALSE(result.ok());
  CHECK(result.status().code() == Code::kOutOfMemory);
  CHECK(result.status().exit_code() == 3);
  CHECK(result.status().message().find("no ") == 0);
  CHECK(bed.backend.live_workers == 0);
}

TEST_CASE(
    "batches: a device that fails ends the run with its error; what was computed before is kept [threads]") {
  Bed bed(200);
  bed.Add("gone.bmp", Bmp(2, 2, 14, 1));
  for (int i = 0; i < 20; ++i) bed.Add("after" + std::to_string(i) + ".bmp", Bmp(2, 2, 15, i));
  bed.max_batch = 16;
  const auto result = bed.TryRun();
  CHECK(result.status().code() == Code::kDevice);
  CHECK(result.status().message() == "the device is gone");
  bed.photos.resize(200);
  CHECK(bed.Run().cached >= 100);
}

TEST_CASE("batches: an interruption keeps what was computed and waits for nothing else [threads]") {
  Bed bed(600);
  bed.max_batch = 16;
  bed.backend.sleep_us = 4000;
  bed.interrupt_at = 2;
  const auto result = bed.TryRun();
  REQUIRE_FALSE(result.ok());
  CHECK(result.status().code() == Code::kInterrupted);
  CHECK(bed.backend.live_workers == 0);
  bed.backend.sleep_us = 0;
  const ExtractResult rest = bed.Run();
  CHECK(rest.cached > 0);
  CHECK(rest.computed > 0);
  CHECK(rest.cached + rest.computed == 600);
  const ZeroedVector vectors = rest.vectors;
  std::filesystem::remove_all(bed.options.bottleneck_dir);
  CHECK(SameBits(OneByOne(&bed), vectors));
}

// A line of small slots and the vectors that come out of it.
struct Line {
  explicit Line(Bed* bed, BatchLineOptions options) {
    auto opened = BatchLine::Open(bed->Network(), options, nullptr);
    REQUIRE(opened.ok());
    line = std::move(*opened);
  }
  // A photo of `width` x 1 pixels, all bytes `value`.
  bool Add(int width, uint8_t value, std::span<float> dst) {
    const std::vector<uint8_t> pixels(static_cast<size_t>(width) * 3, value);
    ImageEntry entry;
    entry.width = width;
    entry.height = 1;
    return line->Add(pixels, entry, dst, [this] { ++done; });
  }
  std::unique_ptr<BatchLine> line;
  std::atomic<int> done{0};
};

void CheckVector(std::span<const float> vector, int width, int value) {
  CHECK(vector[0] == static_cast<float>(value));
  CHECK(vector[3] == static_cast<float>(value * width * 3));
  CHECK(vector[4] == static_cast<float>(width));
}

TEST_CASE("batches: slots are bounded by bytes; a photo larger than a slot travels alone [threads]") {
  Bed bed(0);
  bed.max_batch = 100;
  Line line(&bed, {.drivers = 2, .slots = 2, .slot_bytes = 1000});
  const int widths[] = {100, 100, 100, 333, 1000, 1, 334, 200, 150};  // 3 bytes a pixel
  std::vector<float> vectors(std::size(widths) * kDim, NAN);
  for (size_t i = 0; i < std::size(widths); ++i)
    CHECK(line.Add(widths[i], static_cast<uint8_t>(20 + i), std::span(vectors).subspan(i * kDim, kDim)));
  CHECK(line.line->Finish().ok());
  CHECK(line.done == static_cast<int>(std::size(widths)));
  for (size_t i = 0; i < std::size(widths); ++i)
    CheckVector(std::span(vectors).subspan(i * kDim, kDim), widths[i], static_cast<int>(20 + i));
  // Three of 304 bytes fit into 1000; 333 needs a slot of its own; 1000 and 334 are too large for any; 1
  // waits for 200 (16 + 600), 150 has 450.
  CHECK(bed.backend.batches == std::multiset<int>{1, 1, 1, 1, 2, 3});
}

TEST_CASE("batches: who waits for results gets them before a slot is full [threads]") {
  Bed bed(0);
  bed.max_batch = 100;
  Line line(&bed, {.drivers = 1, .slots = 2, .slot_bytes = 1000});
  std::vector<float> vector(kDim, NAN);
  REQUIRE(line.Add(2, 50, vector));
  line.line->Hurry(+1);
  for (int i = 0; i < 2000 && line.done == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(line.done == 1);
  line.line->Hurry(-1);
  line.line->Stop();
  CheckVector(vector, 2, 50);
}

TEST_CASE("batches: a line that stops or fails takes nothing more and lets everybody go [threads]") {
  Bed bed(0);
  bed.max_batch = 4;
  SUBCASE("stopped while threads wait for room, and with a large photo on its way") {
    bed.backend.sleep_us = 20'000;
    Line line(&bed, {.drivers = 1, .slots = 1, .slot_bytes = 1000});
    std::vector<std::jthread> threads;
    std::vector<float> vectors(kDim * 64);
    for (size_t t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        for (size_t i = 0; i < 16; ++i)
          if (!line.Add(t == 0 ? 1000 : 3, 77, std::span(vectors).subspan((t * 16 + i) * kDim, kDim))) return;
      });
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    line.line->Stop();
    threads.clear();
    CHECK(line.done < 64);
    CHECK(line.line->stopped());
    CHECK_FALSE(line.Add(1, 1, std::span(vectors).first(kDim)));
  }
  SUBCASE("failed") {
    Line line(&bed, {.drivers = 2, .slots = 2, .slot_bytes = 1000});
    std::vector<float> vector(kDim);
    while (line.Add(3, 14, vector)) {
    }
    const Status status = line.line->Finish();
    CHECK(status.message() == "the device is gone");
    CHECK(line.done == 0);
  }
}

}  // namespace
}  // namespace couplet
