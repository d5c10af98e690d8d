// The calling thread's part of an extraction: counts outcomes, writes them to the store in few transactions,
// and puts the result together.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "models/extraction_outcome.h"
#include "models/feature_extractor.h"

namespace couplet {

// One thread at a time; the rows of `result.vectors` are written by others, each before its outcome is taken.
class ExtractionCollector {
 public:
  ExtractionCollector(const std::vector<Photo>& photos, size_t dim);

  std::span<float> Row(size_t index) { return std::span(result.vectors).subspan(index * dim_, dim_); }
  // What is taken from now on goes to `store`; null: nowhere.
  void UseStore(BottleneckStore* store) { store_ = store; }

  void Take(ExtractionOutcome outcome);
  // Writes to the store what is due, or all of it. A store that refuses is a warning, and not asked again.
  void Flush(bool all);
  ExtractProgress progress() const;
  // Sorts what came in any order.
  ExtractResult Finish() &&;

  ExtractResult result;

 private:
  using Clock = std::chrono::steady_clock;
  const std::vector<Photo>& photos_;
  const size_t dim_;
  BottleneckStore* store_ = nullptr;
  std::vector<std::pair<size_t, std::string>> notes_;
  std::vector<ExtractionOutcome> unsaved_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point last_flush_ = start_;
};

}  // namespace couplet
