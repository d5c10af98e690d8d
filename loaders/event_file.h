// TensorBoard event files (COMPATIBILITY section 5): TFRecord framing, scalars, histograms, the graph.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/status.h"

namespace couplet {

// TensorFlow's histogram: buckets +-1e-12 * 1.1^k up to 1e20, 0, +-DBL_MAX; empty runs collapsed.
struct HistogramValue {
  double min = 0, max = 0, num = 0, sum = 0, sum_squares = 0;
  std::vector<double> bucket_limit, bucket;
};
// REQUIRES: every value finite.
HistogramValue MakeHistogram(std::span<const float> values);

struct SummaryValue {
  std::string_view tag;
  float scalar = 0;                            // simple_value, when histogram is null
  const HistogramValue* histogram = nullptr;
};

class EventFileWriter {
 public:
  // Makes `<dir>/events.out.tfevents.<seconds>.<host>` and writes the file version event.
  static Result<std::unique_ptr<EventFileWriter>> Create(const std::string& dir);
  virtual ~EventFileWriter() = default;
  virtual Status AddGraph(std::string_view serialized_graphdef) = 0;
  virtual Status AddSummary(int64_t step, std::span<const SummaryValue> values) = 0;
  virtual Status Flush() = 0;
  virtual const std::string& path() const = 0;
};

// Removes what an earlier run left in <summaries_dir>/train and /validation: events.out.tfevents.* directly in them.
Status RemoveOldEvents(const std::string& summaries_dir);

// For tests and tools: every record of an event file, checksums verified. A torn tail ends the list without error.
struct EventRecord {
  std::string payload;  // serialised Event
};
Result<std::vector<EventRecord>> ReadEventRecords(const std::string& path);

}  // namespace couplet
