// SPDX-License-Identifier: Apache-2.0
#include "models/extraction_collector.h"

#include <algorithm>

namespace couplet {
namespace {

constexpr size_t kMostPhotos = 2048, kLeastPhotos = 128;
constexpr auto kTransactionTime = std::chrono::seconds(1);

}  // namespace

ExtractionCollector::ExtractionCollector(const std::vector<Photo>& photos, size_t dim) : photos_(photos), dim_(dim) {
  result.vectors.resize(photos.size() * dim);
  result.photo_sha256.resize(photos.size());
}

void ExtractionCollector::Take(ExtractionOutcome outcome) {
  using Kind = ExtractionOutcome::Kind;
  result.jpeg_warnings += outcome.jpeg_warnings;
  result.mismatched += outcome.mismatched;
  result.damaged += outcome.damaged;
  if (!outcome.note.empty()) notes_.emplace_back(outcome.index, std::move(outcome.note));
  switch (outcome.kind) {
    case Kind::kComputed:
      ++result.computed;
      break;
    case Kind::kCached:
      ++result.cached;
      break;
    case Kind::kFailed:
      // It may hold half a computation, or what the cache had.
      std::fill_n(Row(outcome.index).begin(), dim_, 0.0f);
      result.failed.push_back({outcome.index, std::move(outcome.reason)});
      return;
  }
  result.photo_sha256[outcome.index] = outcome.photo_sha256;
  if (store_ != nullptr && outcome.stamp.has_value()) unsaved_.push_back(std::move(outcome));
}

void ExtractionCollector::Flush(bool all) {
  const Clock::time_point now = Clock::now();
  // At most half of what is to come, so that the last ones, for which no thread has photos left, are short.
  const size_t left = photos_.size() - progress().done;
  if (!all && unsaved_.size() < std::clamp(left / 2, kLeastPhotos, kMostPhotos) && now - last_flush_ < kTransactionTime) return;
  last_flush_ = now;
  if (unsaved_.empty()) return;
  std::vector<BottleneckStore::Record> records;
  records.reserve(unsaved_.size());
  for (const ExtractionOutcome& outcome : unsaved_) {
    const bool is_new = outcome.kind == ExtractionOutcome::Kind::kComputed;
    records.push_back({photos_[outcome.index].path, *outcome.stamp, outcome.photo_sha256,
                       is_new ? Row(outcome.index) : std::span<float>(), outcome.thumbnail});
  }
  if (const Status status = store_->Put(records); !status.ok()) {
    store_ = nullptr;
    result.store_warning = status.message();
  }
  unsaved_.clear();
}

ExtractProgress ExtractionCollector::progress() const {
  return {result.cached + result.computed + result.failed.size(), photos_.size(), result.computed,
          result.failed.size(), std::chrono::duration<double>(Clock::now() - start_).count()};
}

ExtractResult ExtractionCollector::Finish() && {
  std::sort(result.failed.begin(), result.failed.end(),
            [](const FailedPhoto& a, const FailedPhoto& b) { return a.index < b.index; });
  std::sort(notes_.begin(), notes_.end());
  for (auto& [index, note] : notes_) result.notes.push_back(std::move(note));
  return std::move(result);
}

}  // namespace couplet
