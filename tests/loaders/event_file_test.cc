// SPDX-License-Identifier: Apache-2.0
#include "loaders/event_file.h"

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "loaders/files.h"
#include "loaders/tensorflow.pb.h"
#include "kernels/philox.h"
#include "tests/support/test.h"

using namespace couplet;
namespace fs = std::filesystem;

namespace {

HistogramValue Histogram(const std::vector<float>& values) {
  HistogramValue out;
  MakeHistogram(values, &out);
  return out;
}

// TensorFlow's way, word by word: the limits, a search for every value, then the runs.
std::vector<double> NaiveLimits() {
  std::vector<double> limits;
  for (double v = 1.0e-12; v < 1.0e20; v *= 1.1) limits.insert(limits.begin(), -v), limits.push_back(v);
  limits.insert(limits.begin() + static_cast<std::ptrdiff_t>(limits.size() / 2), 0.0);
  limits.insert(limits.begin(), -DBL_MAX);
  limits.push_back(DBL_MAX);
  return limits;
}

HistogramValue NaiveHistogram(const std::vector<float>& values) {
  static const std::vector<double> limits = NaiveLimits();
  std::vector<double> counts(limits.size(), 0.0);
  HistogramValue out;
  out.min = DBL_MAX;
  out.max = -DBL_MAX;
  for (const double value : values) {
    counts[static_cast<size_t>(std::upper_bound(limits.begin(), limits.end(), value) - limits.begin())] +=
        1.0;
    out.min = std::min(out.min, value);
    out.max = std::max(out.max, value);
    out.num += 1;
    out.sum += value;
    out.sum_squares += value * value;
  }
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0)
      while (i + 1 < counts.size() && counts[i + 1] == 0) ++i;
    out.bucket_limit.push_back(limits[i]);
    out.bucket.push_back(counts[i]);
  }
  return out;
}

void CheckEqual(const HistogramValue& got, const HistogramValue& want) {
  CHECK(got.min == want.min);
  CHECK(got.max == want.max);
  CHECK(got.num == want.num);
  CHECK(got.sum == want.sum);
  CHECK(got.sum_squares == want.sum_squares);
  CHECK(got.bucket_limit == want.bucket_limit);
  CHECK(got.bucket == want.bucket);
}

std::vector<EventRecord> Records(const std::string& path) {
  auto records = ReadEventRecords(path);
  REQUIRE_MESSAGE(records.ok(), records.status().message());
  return *records;
}

tf::Event Parse(const EventRecord& record) {
  tf::Event event;
  REQUIRE(event.ParseFromString(record.payload));
  return event;
}

std::string WithoutTime(std::string payload) {
  REQUIRE(payload.size() >= 9);
  REQUIRE(payload[0] == '\x09');  // wall_time
  return payload.substr(9);
}

void Touch(const std::string& path) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path) << "x";
}

}  // namespace

TEST_CASE("events: every bucket limit, its neighbours and the extremes fall where a search puts them") {
  std::vector<float> values = {0.0f,    -0.0f,   FLT_MIN,  -FLT_MIN, 1e-45f,
                               -1e-45f, FLT_MAX, -FLT_MAX, 1e20f,    -1e20f};
  for (const double limit : HistogramLimits()) {
    if (std::abs(limit) > FLT_MAX) continue;
    const float at = static_cast<float>(limit);
    for (const float value : {at, std::nextafter(at, FLT_MAX), std::nextafter(at, -FLT_MAX)})
      values.push_back(value);
  }
  CHECK(values.size() > 4500);
  // One at a time as well: in a crowd two mistakes may cancel.
  for (const float value : values) {
    const HistogramValue got = Histogram({value}), want = NaiveHistogram({value});
    REQUIRE(got.bucket_limit == want.bucket_limit);
    REQUIRE(got.bucket == want.bucket);
  }
  CheckEqual(Histogram(values), NaiveHistogram(values));
}

TEST_CASE("events: histograms of many sizes of numbers, of one value and of none equal a search's") {
  std::vector<float> wide, narrow;
  for (uint32_t i = 0; i < 20000; ++i) {
    const Philox4 u = Philox(8, i, 0, 0);
    wide.push_back(std::ldexp(static_cast<float>(u.v[0]) - 0x1p31f, static_cast<int>(u.v[1] % 150) - 100));
    narrow.push_back(static_cast<float>(u.v[2]) * 0x1p-40f);
  }
  CheckEqual(Histogram(wide), NaiveHistogram(wide));
  CheckEqual(Histogram(narrow), NaiveHistogram(narrow));
  CheckEqual(Histogram({3.5f}), NaiveHistogram({3.5f}));
  CheckEqual(Histogram({}), NaiveHistogram({}));
  CHECK(NaiveHistogram(wide).bucket.size() > 500);
}

TEST_CASE("events: a file is framed records of Event messages, the version first") {
  test::TempDir dir;
  auto writer = EventFileWriter::Create(dir / "logs/train");
  REQUIRE_MESSAGE(writer.ok(), writer.status().message());
  const std::string path = (*writer)->path();
  CHECK(path.starts_with(dir / "logs/train/events.out.tfevents."));
  CHECK(Records(path).size() == 1);  // TensorBoard sees the file at once
  const HistogramValue histogram = Histogram({-1.0f, 0.0f, 2.0f, 2.0f});
  const SummaryValue values[] = {{.tag = "a/b", .scalar = 0.0f, .histogram = nullptr},
                                 {.tag = "c", .scalar = 0.0f, .histogram = &histogram}};
  REQUIRE((*writer)->AddGraph("graph bytes").ok());
  REQUIRE((*writer)->AddSummary(0, values).ok());
  REQUIRE((*writer)->AddSummary(300, {values, 1}).ok());
  REQUIRE((*writer)->Flush().ok());
  const auto records = Records(path);
  REQUIRE(records.size() == 4);
  CHECK(Parse(records[0]).file_version() == "brain.Event:2");
  CHECK(Parse(records[0]).wall_time() > 1.6e9);
  CHECK(Parse(records[1]).graph_def() == "graph bytes");
  for (size_t i = 0; i < records.size(); ++i)  // the hand-written bytes are protobuf's own
    CHECK(Parse(records[i]).SerializeAsString() == records[i].payload);
  const tf::Event event = Parse(records[2]);
  CHECK(event.step() == 0);
  REQUIRE(event.summary().value_size() == 2);
  CHECK(event.summary().value(0).tag() == "a/b");
  CHECK(event.summary().value(0).value_case() == tf::Summary::Value::kSimpleValue);
  CHECK(event.summary().value(1).histo().num() == 4.0);
  CHECK(event.summary().value(1).histo().bucket_size() ==
        event.summary().value(1).histo().bucket_limit_size());
  CHECK(Parse(records[3]).step() == 300);
}

TEST_CASE("events: two files of one second do not overwrite each other") {
  test::TempDir dir;
  auto first = EventFileWriter::Create(dir.path());
  auto second = EventFileWriter::Create(dir.path());
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  CHECK((*first)->path() != (*second)->path());
  CHECK(Records((*first)->path()).size() == 1);
}

TEST_CASE("events: what TensorFlow wrote comes back byte for byte, and its limits are ours") {
  COUPLET_NEEDS_SHARED(shared);
  const auto golden = Records(shared + "/golden/events/events.out.tfevents.1545064248.1819e5dbd904");
  REQUIRE(golden.size() == 52);
  CHECK(Parse(golden[0]).file_version() == "brain.Event:2");
  test::TempDir dir;
  auto writer = EventFileWriter::Create(dir.path());
  REQUIRE(writer.ok());
  const auto& limits = HistogramLimits();
  for (size_t i = 1; i < golden.size(); ++i) {
    const tf::Event event = Parse(golden[i]);
    std::vector<HistogramValue> histograms(static_cast<size_t>(event.summary().value_size()));
    std::vector<SummaryValue> values;
    for (int v = 0; v < event.summary().value_size(); ++v) {
      const auto& value = event.summary().value(v);
      values.push_back({.tag = value.tag(), .scalar = value.simple_value(), .histogram = nullptr});
      if (!value.has_histo()) continue;
      const auto& h = value.histo();
      HistogramValue& out = histograms[static_cast<size_t>(v)];
      out = {.min = h.min(),
             .max = h.max(),
             .num = h.num(),
             .sum = h.sum(),
             .sum_squares = h.sum_squares(),
             .bucket_limit = {h.bucket_limit().begin(), h.bucket_limit().end()},
             .bucket = {h.bucket().begin(), h.bucket().end()}};
      values.back().histogram = &out;
      double num = 0.0;
      for (const double count : out.bucket) num += count;
      CHECK(num == h.num());
      for (const double limit : out.bucket_limit)
        CHECK(std::binary_search(limits.begin(), limits.end(), limit));
      for (size_t b = 1; b < out.bucket.size(); ++b)
        CHECK((out.bucket[b - 1] != 0.0 || out.bucket[b] != 0.0));
    }
    REQUIRE((*writer)->AddSummary(event.step(), values).ok());
  }
  REQUIRE((*writer)->Flush().ok());
  const auto ours = Records((*writer)->path());
  REQUIRE(ours.size() == golden.size());
  for (size_t i = 0; i < golden.size(); ++i)
    CHECK(WithoutTime(ours[i].payload) == WithoutTime(golden[i].payload));
}

TEST_CASE("events: a torn tail ends the list, a changed byte is an error that names the place") {
  test::TempDir dir;
  auto writer = EventFileWriter::Create(dir.path());
  REQUIRE(writer.ok());
  const SummaryValue value{.tag = "t", .scalar = 1.0f, .histogram = nullptr};
  REQUIRE((*writer)->AddSummary(1, {&value, 1}).ok());
  REQUIRE((*writer)->Flush().ok());
  std::vector<uint8_t> bytes;
  REQUIRE(ReadFile((*writer)->path(), 1 << 20, &bytes).ok());
  const std::string whole(bytes.begin(), bytes.end()), path = dir / "copy";
  for (size_t size = 0; size <= whole.size(); ++size) {
    std::ofstream(path, std::ios::binary) << whole.substr(0, size);
    CHECK(Records(path).size() == (size == whole.size() ? 2u : size >= 40 ? 1u : 0u));
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    std::ofstream(path, std::ios::binary) << changed;
    const auto records = ReadEventRecords(path);
    REQUIRE_FALSE(records.ok());
    CHECK(records.status().code() == Code::kBadInput);
    CHECK(records.status().message().find(at < 40 ? "at byte 0 " : "at byte 40 ") != std::string::npos);
  }
  CHECK(ReadEventRecords(dir / "none").status().code() == Code::kIo);
}

TEST_CASE("events: only event files of train and validation are removed") {
  test::TempDir dir;
  for (const char* name :
       {"train/events.out.tfevents.1.host", "validation/events.out.tfevents.2.host", "train/notes.txt",
        "events.out.tfevents.3.host", "other/events.out.tfevents.4.host",
        "train/sub/events.out.tfevents.5.host", "train/events.out.tfevents.dir/x"})
    Touch(dir / name);
  REQUIRE(RemoveOldEvents(dir.path()).ok());
  std::vector<std::string> left;
  for (const auto& entry : fs::recursive_directory_iterator(dir.path()))
    if (entry.is_regular_file()) left.push_back(fs::relative(entry.path(), dir.path()).string());
  std::sort(left.begin(), left.end());
  CHECK(left == std::vector<std::string>{"events.out.tfevents.3.host", "other/events.out.tfevents.4.host",
                                         "train/events.out.tfevents.dir/x", "train/notes.txt",
                                         "train/sub/events.out.tfevents.5.host"});
  CHECK(RemoveOldEvents(dir / "none").ok());
}

TEST_CASE("events: a place that cannot be written is one line with the path") {
  test::TempDir dir;
  Touch(dir / "file");
  const auto writer = EventFileWriter::Create(dir / "file/train");
  REQUIRE_FALSE(writer.ok());
  CHECK(writer.status().code() == Code::kIo);
  CHECK(writer.status().message().find(dir / "file") != std::string::npos);
}

TEST_CASE("events: a full disk is one line with the path, and stays the answer") {
  test::TempDir dir;
  auto writer = EventFileWriter::Create(dir.path());
  REQUIRE(writer.ok());
  rlimit before;
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 1000, .rlim_max = before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const Status added = (*writer)->AddGraph(std::string(2000, 'g'));
  const Status flushed = (*writer)->Flush();
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  signal(SIGXFSZ, handler);
  CHECK(added.ok());  // still in memory
  CHECK(flushed.code() == Code::kIo);
  CHECK(flushed.message() == "cannot write " + (*writer)->path() + ": File too large");
  CHECK((*writer)->AddGraph("more").message() == flushed.message());
  CHECK(Records((*writer)->path()).size() == 1);
}
