// TensorBoard event files (COMPATIBILITY section 5): TFRecord framing, scalars, histograms, the graph.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/status.h"

namespace couplet {

// TensorFlow's histogram (tensorflow/core/lib/histogram): bucket[i] counts the values in
// [bucket_limit[i - 1], bucket_limit[i]); limits are those of HistogramLimits(), an empty run is one.
struct HistogramValue {
  double min = 0, max = 0, num = 0, sum = 0, sum_squares = 0;
  std::vector<double> bucket_limit, bucket;
};
// 0, +-1e-12 * 1.1^k up to 1e20 (multiplied up in double), +-DBL_MAX; ascending.
const std::vector<double>& HistogramLimits();
// `out`'s memory is reused. Sums run in the order of `values`. REQUIRES: finite values, under 2^32.
void MakeHistogram(std::span<const float> values, HistogramValue* out);

struct SummaryValue {
  std::string_view tag;
  float scalar = 0;  // simple_value, when histogram is null
  const HistogramValue* histogram = nullptr;
};

// Not thread-safe. Records are gathered in memory and written 256 KiB at a time, or by Flush(); the
// destructor writes what is left. After a failed write every call fails with the same Status.
class EventFileWriter {
 public:
  // Makes `dir` and `<dir>/events.out.tfevents.<seconds>.<host>` (".1", ... behind it where that name is
  // taken) and writes the file version event. kIo names the path and the reason.
  static Result<std::unique_ptr<EventFileWriter>> Create(const std::string& dir);
  virtual ~EventFileWriter() = default;
  virtual Status AddGraph(std::string_view serialized_graphdef) = 0;
  virtual Status AddSummary(int64_t step, std::span<const SummaryValue> values) = 0;
  virtual Status Flush() = 0;
  virtual const std::string& path() const = 0;
};

// Removes what an earlier run left in <summaries_dir>/train and /validation: files events.out.tfevents.*
// directly in them. Everything else stays; folders that are not there are no error.
Status RemoveOldEvents(const std::string& summaries_dir);

// For tests and tools: every record of an event file, checksums verified. A torn tail ends the list without
// error; a checksum that does not fit is kBadInput naming the record's place.
struct EventRecord {
  std::string payload;  // serialised Event
};
Result<std::vector<EventRecord>> ReadEventRecords(const std::string& path);

}  // namespace couplet
