// SPDX-License-Identifier: Apache-2.0
#include "loaders/event_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cfloat>
#include <chrono>
#include <cmath>
#include <cstring>
#include <system_error>

#include "loaders/files.h"
#include "loaders/hash.h"
#include "loaders/wire_append.h"

namespace couplet {

namespace {

constexpr std::string_view kFilePrefix = "events.out.tfevents.";
constexpr size_t kWriteBytes = 256 << 10;
constexpr uint64_t kMaxFileBytes = uint64_t{4} << 30;

// ---- Histograms
// ----------------------------------------------------------------------------------------------

// Finds a float's bucket by its sign, exponent and first four bits of mantissa. Two floats that share those
// differ by less than 17/16, limits by 11/10: so at most one limit lies among them, and one comparison
// settles it.
class BucketTable {
 public:
  BucketTable() {
    std::vector<double> positive;
    // TensorFlow's limits are what this very loop rounds to.
    for (double limit = 1.0e-12; limit < 1.0e20; limit *= 1.1) positive.push_back(limit);  // NOLINT(cert-flp30-c,clang-analyzer-security.FloatLoopCounter)
    positive.push_back(DBL_MAX);
    for (auto limit = positive.rbegin(); limit != positive.rend(); ++limit) limits_.push_back(-*limit);
    limits_.push_back(0.0);
    limits_.insert(limits_.end(), positive.begin(), positive.end());
    COUPLET_CHECK(limits_.size() == kBuckets);
    for (uint32_t cell = 0; cell < first_.size(); ++cell) {
      // The least of the cell's floats: of negative ones the largest bits.
      const bool negative = (cell >> 12) != 0;
      const float least = std::bit_cast<float>(cell << kLowBits | (negative ? (1u << kLowBits) - 1 : 0u));
      // Cells of infinities and NaN: anything within the table.
      const size_t bucket = std::isfinite(least) ? Search(least) : kBuckets - 1;
      first_[cell] = static_cast<uint16_t>(bucket);
    }
  }
  // Index of the first limit above `value`; kBuckets for an infinity.
  size_t Find(float value) const {
    const size_t bucket = first_[std::bit_cast<uint32_t>(value) >> kLowBits];
    return bucket + (value >= limits_[bucket]);
  }
  const std::vector<double>& limits() const { return limits_; }

  static constexpr size_t kBuckets = 1551;

 private:
  static constexpr int kLowBits = 19;
  size_t Search(double value) const {
    return static_cast<size_t>(std::upper_bound(limits_.begin(), limits_.end(), value) - limits_.begin());
  }
  std::vector<double> limits_;
  std::array<uint16_t, 1 << 13> first_;
};

const BucketTable& Buckets() {
  static const BucketTable table;
  return table;
}

// ---- Protobuf's wire format, written by hand: a histogram is two runs of doubles, and there are four a step
// -----

constexpr int kWireVarint = 0, kWireFixed64 = 1, kWireBytes = 2, kWireFixed32 = 5;

size_t VarintSize(uint64_t value) {
  return (std::bit_width(value | 1) + 6) / 7;
}

class Wire {
 public:
  explicit Wire(std::string* out) : out_(*out) {}
  void Varint(uint64_t value) { AppendVarint(value, &out_); }
  void Tag(int field, int wire) { out_.push_back(static_cast<char>(field << 3 | wire)); }
  void Length(int field, size_t bytes) {
    Tag(field, kWireBytes);
    Varint(bytes);
  }
  template <class T>
  void Raw(const T* values, size_t count) {
    static_assert(std::endian::native == std::endian::little);
    out_.append(reinterpret_cast<const char*>(values), count * sizeof(T));
  }
  void Bytes(int field, std::string_view bytes) {
    Length(field, bytes.size());
    out_.append(bytes);
  }
  void Double(int field, double value) {
    Tag(field, kWireFixed64);
    Raw(&value, 1);
  }
  void Float(int field, float value) {
    Tag(field, kWireFixed32);
    Raw(&value, 1);
  }

 private:
  std::string& out_;
};

size_t BytesSize(size_t bytes) {
  return 1 + VarintSize(bytes) + bytes;
}

// proto3 leaves a field out whose bits are zero.
bool IsWritten(double value) {
  return std::bit_cast<uint64_t>(value) != 0;
}

size_t HistogramSize(const HistogramValue& h) {
  size_t size = 0;
  for (const double value : {h.min, h.max, h.num, h.sum, h.sum_squares}) size += IsWritten(value) ? 9 : 0;
  for (const auto* run : {&h.bucket_limit, &h.bucket})
    if (!run->empty()) size += BytesSize(run->size() * sizeof(double));
  return size;
}

void WriteHistogram(Wire& wire, const HistogramValue& h) {
  int field = 1;
  for (const double value : {h.min, h.max, h.num, h.sum, h.sum_squares}) {
    if (IsWritten(value)) wire.Double(field, value);
    ++field;
  }
  for (const auto* run : {&h.bucket_limit, &h.bucket}) {
    if (!run->empty()) {
      wire.Length(field, run->size() * sizeof(double));
      wire.Raw(run->data(), run->size());
    }
    ++field;
  }
}

size_t ValueSize(const SummaryValue& value) {
  return BytesSize(value.tag.size()) +
         (value.histogram == nullptr ? 5 : BytesSize(HistogramSize(*value.histogram)));
}

// Fields of Event and Summary, by number.
constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kGraphDef = 4, kSummary = 5;
constexpr int kSummaryValue = 1, kTag = 1, kSimpleValue = 2, kHistogram = 5;

void WriteSummary(Wire& wire, std::span<const SummaryValue> values) {
  size_t size = 0;
  for (const SummaryValue& value : values) size += BytesSize(ValueSize(value));
  wire.Length(kSummary, size);
  for (const SummaryValue& value : values) {
    wire.Length(kSummaryValue, ValueSize(value));
    wire.Bytes(kTag, value.tag);
    if (value.histogram == nullptr) {
      wire.Float(kSimpleValue, value.scalar);
    } else {
      wire.Length(kHistogram, HistogramSize(*value.histogram));
      WriteHistogram(wire, *value.histogram);
    }
  }
}

// ---- Files
// -----------------------------------------------------------------------------------------------------

// TFRecord: length, its checksum, the data, its checksum.
constexpr size_t kHeaderBytes = 12, kFooterBytes = 4;

uint32_t Checksum(const char* data, size_t size) {
  return MaskedCrc32c(std::as_bytes(std::span<const char>(data, size)));
}

double Now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string HostName() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

Status WriteFailed(const std::string& path, int error) {
  return IoError(fmt::format("cannot write {}: {}", path, std::generic_category().message(error)));
}

class FileWriter final : public EventFileWriter {
 public:
  explicit FileWriter(std::string path) : path_(std::move(path)) {}
  ~FileWriter() override {
    if (fd_ < 0) return;
    (void)Flush();
    close(fd_);
  }
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  // A new file; 0 or errno.
  int Open() {
    fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return fd_ < 0 ? errno : 0;
  }
  Status AddVersion() {
    return Add(0, [](Wire& wire) { wire.Bytes(kFileVersion, "brain.Event:2"); });
  }
  Status AddGraph(std::string_view serialized_graphdef) override {
    return Add(0, [&](Wire& wire) { wire.Bytes(kGraphDef, serialized_graphdef); });
  }
  Status AddSummary(int64_t step, std::span<const SummaryValue> values) override {
    return Add(step, [&](Wire& wire) { WriteSummary(wire, values); });
  }

  Status Flush() override {
    for (size_t done = 0; failed_.ok() && done < pending_.size();) {
      const ssize_t wrote = write(fd_, pending_.data() + done, pending_.size() - done);
      if (wrote >= 0)
        done += static_cast<size_t>(wrote);
      else if (errno != EINTR)
        failed_ = WriteFailed(path_, errno);
    }
    pending_.clear();
    return failed_;
  }
  const std::string& path() const override { return path_; }

 private:
  template <class What>
  Status Add(int64_t step, const What& what) {
    const size_t start = pending_.size();
    pending_.append(kHeaderBytes, '\0');
    Wire wire(&pending_);
    wire.Double(kWallTime, Now());
    if (step != 0) {
      wire.Tag(kStep, kWireVarint);
      wire.Varint(static_cast<uint64_t>(step));
    }
    what(wire);
    const uint64_t size = pending_.size() - start - kHeaderBytes;
    char* header = pending_.data() + start;
    std::memcpy(header, &size, sizeof size);
    const uint32_t of_length = Checksum(header, sizeof size), of_data = Checksum(header + kHeaderBytes, size);
    std::memcpy(header + sizeof size, &of_length, sizeof of_length);
    wire.Raw(&of_data, 1);
    return pending_.size() >= kWriteBytes ? Flush() : failed_;
  }

  const std::string path_;
  int fd_ = -1;
  std::string pending_;
  Status failed_;
};

}  // namespace

const std::vector<double>& HistogramLimits() {
  return Buckets().limits();
}

void MakeHistogram(std::span<const float> values, HistogramValue* out) {
  const BucketTable& table = Buckets();
  const std::vector<double>& limits = table.limits();
  // Two sets of counters, so that neighbours in one bucket do not wait for each other; one more for an
  // infinity.
  std::array<std::array<uint32_t, BucketTable::kBuckets + 1>, 2> counts{};
  float least = FLT_MAX, most = -FLT_MAX;
  double sum = 0.0, sum_squares = 0.0;
  const auto take = [&](float value) {
    least = std::min(least, value);
    most = std::max(most, value);
    sum += value;
    sum_squares += double{value} * value;
  };
  // The buckets of four are looked up before the first of them is counted, so that no look-up waits for a counter. What is left
  // is the sums' own chains.
  size_t at = 0;
  for (; at + 4 <= values.size(); at += 4) {
    const float* four = values.data() + at;
    const size_t a = table.Find(four[0]), b = table.Find(four[1]), c = table.Find(four[2]), d = table.Find(four[3]);
    ++counts[0][a];
    ++counts[1][b];
    ++counts[0][c];
    ++counts[1][d];
    for (size_t j = 0; j < 4; ++j) take(four[j]);
  }
  for (; at < values.size(); ++at) {
    ++counts[0][table.Find(values[at])];
    take(values[at]);
  }
  COUPLET_CHECK(std::isfinite(sum) && std::isfinite(sum_squares));
  const bool empty = values.empty();
  out->min = empty ? DBL_MAX : least;
  out->max = empty ? -DBL_MAX : most;
  out->num = static_cast<double>(values.size());
  out->sum = sum;
  out->sum_squares = sum_squares;
  out->bucket_limit.clear();
  out->bucket.clear();
  const auto add = [&](size_t bucket, double count) {
    out->bucket_limit.push_back(limits[bucket]);
    out->bucket.push_back(count);
  };
  // A run of empty buckets becomes one, with the run's last limit.
  size_t next = 0;  // after the last one that is written
  if (!empty) {
    const auto count = [&](size_t bucket) { return counts[0][bucket] + counts[1][bucket]; };
    const size_t last = table.Find(most);
    for (size_t bucket = table.Find(least); bucket <= last; ++bucket) {
      while (count(bucket) == 0) ++bucket;  // the last one is not empty
      if (bucket > next) add(bucket - 1, 0.0);
      add(bucket, count(bucket));
      next = bucket + 1;
    }
  }
  if (next < BucketTable::kBuckets) add(BucketTable::kBuckets - 1, 0.0);
}

Result<std::unique_ptr<EventFileWriter>> EventFileWriter::Create(const std::string& dir) {
  COUPLET_RETURN_IF_ERROR(MakeDirectories(dir));
  const std::string name =
      fmt::format("{}{:010d}.{}", kFilePrefix, static_cast<int64_t>(std::floor(Now())), HostName());
  for (int attempt = 0;; ++attempt) {
    // First what holds the file open: there may be no memory for it.
    auto writer = std::make_unique<FileWriter>(JoinPath(dir, attempt == 0 ? name : fmt::format("{}.{}", name, attempt)));
    const int error = writer->Open();
    if (error == EEXIST) continue;
    if (error != 0) return WriteFailed(writer->path(), error);
    COUPLET_RETURN_IF_ERROR(writer->AddVersion());
    COUPLET_RETURN_IF_ERROR(writer->Flush());
    return std::unique_ptr<EventFileWriter>(std::move(writer));
  }
}

Status RemoveOldEvents(const std::string& summaries_dir) {
  for (const char* part : {"train", "validation"}) {
    const std::string dir = JoinPath(summaries_dir, part);
    if (!IsDirectory(dir)) continue;
    COUPLET_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(dir));
    for (const std::string& name : names) {
      const std::string path = JoinPath(dir, name);
      if (!name.starts_with(kFilePrefix) || IsDirectory(path)) continue;
      if (unlink(path.c_str()) != 0 && errno != ENOENT)
        return IoError(fmt::format("cannot remove {}: {}", path, std::generic_category().message(errno)));
    }
  }
  return {};
}

Result<std::vector<EventRecord>> ReadEventRecords(const std::string& path) {
  std::vector<uint8_t> file;
  COUPLET_RETURN_IF_ERROR(ReadFile(path, kMaxFileBytes, &file));
  const char* bytes = reinterpret_cast<const char*>(file.data());
  const auto load32 = [&](size_t at) {
    uint32_t value;
    std::memcpy(&value, bytes + at, sizeof value);
    return value;
  };
  std::vector<EventRecord> records;
  for (size_t at = 0; file.size() - at >= kHeaderBytes + kFooterBytes;) {
    uint64_t size;
    std::memcpy(&size, bytes + at, sizeof size);
    if (Checksum(bytes + at, sizeof size) != load32(at + sizeof size))
      return BadInput(
          fmt::format("{}: the length of the record at byte {} does not fit its checksum", path, at));
    const char* data = bytes + at + kHeaderBytes;
    if (size > file.size() - at - kHeaderBytes - kFooterBytes) break;
    if (Checksum(data, size) != load32(at + kHeaderBytes + size))
      return BadInput(fmt::format("{}: the record at byte {} does not fit its checksum", path, at));
    records.push_back({std::string(data, size)});
    at += kHeaderBytes + size + kFooterBytes;
  }
  return records;
}

}  // namespace couplet
