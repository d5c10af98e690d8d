// What happens to one photo, on a worker or one of the line's drivers.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "loaders/files.h"
#include "models/extraction.h"

namespace couplet {
namespace {

constexpr int kThumbnailSide = 96;

// A text file has as few as six digits, and TensorFlow may have written it.
constexpr float kTextTolerance = 1e-3f;

ExtractionOutcome OutOfMemoryFor(size_t index) {
  ExtractionOutcome outcome;
  outcome.index = index;
  outcome.reason = "not enough memory";
  return outcome;
}

bool AllFinite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

}  // namespace

Status Extraction::Decode(PhotoReader* reader) {
  const StageTimer timer(options_.profile, "decode");
  return reader->Decode();
}

// From the file's bytes to the photo's row and thumbnail.
std::optional<ExtractionOutcome> Extraction::Compute(const std::shared_ptr<Pending>& pending, WorkerState* state) {
  Outcome& outcome = pending->outcome;
  PhotoReader& reader = state->reader;
  const ByteBudget::Hold hold(budget_.decoding, reader.DecodeCost());
  reader.DropHuge();
  if (const Status status = Decode(&reader); !status.ok()) {
    outcome.reason = status.message();
    reader.DropHuge();
    return std::move(outcome);
  }
  const Image& image = reader.image();
  outcome.jpeg_warnings = image.warnings;
  // For reports alone: one that cannot be made is not worth a word.
  if (store_ != nullptr) {
    const StageTimer timer(options_.profile, "thumbnail");
    if (!MakeThumbnail(image, kThumbnailSide, &outcome.thumbnail).ok()) outcome.thumbnail.clear();
  }
  Status status = state->ready ? Status() : PrepareNetwork(state);
  if (status.ok() && state->worker == nullptr) {
    const StageTimer timer(options_.profile, "copy into the batch");
    const bool taken =
        line_->Add(image.pixels, image.entry, Row(outcome.index), [this, pending] { Deliver(Settle(pending.get())); },
                   static_cast<uint32_t>(outcome.index));
    reader.DropHuge();
    if (!taken) stop_ = true;  // the line says why when it is finished
    return std::nullopt;
  }
  if (status.ok()) status = session_->Add(*state->worker, {image.pixels, {&image.entry, 1}}, options_.profile);
  reader.DropHuge();
  if (status.ok()) {
    state->pending.push_back(pending);
    if (state->pending.size() == session_->photos_together()) FinishWaiting(state);
  } else {
    Stop(std::move(status));
  }
  return std::nullopt;
}

// What the network has left to do for the photos that wait, and their outcomes.
void Extraction::FinishWaiting(WorkerState* state) {
  if (state->pending.empty()) return;
  const auto rows = session_->Finish(*state->worker);
  if (!rows.ok()) Stop(rows.status());
  for (size_t i = 0; rows.ok() && i < state->pending.size(); ++i) {
    Pending& pending = *state->pending[i];
    std::ranges::copy(rows->subspan(i * dim_, dim_), Row(pending.outcome.index).begin());
    Deliver(Settle(&pending));
  }
  state->pending.clear();
}

// The row is filled: what is to be said and kept of it, within the memory there is.
ExtractionOutcome Extraction::Settle(Pending* pending) try {
  Outcome& outcome = pending->outcome;
  const std::span<const float> row = Row(outcome.index), old = pending->old;
  if (!AllFinite(row)) {
    outcome.reason = "the network's output for it is not finite";
    return std::move(outcome);
  }
  outcome.kind = Outcome::Kind::kComputed;
  if (!text()) {
    if (!old.empty() && std::memcmp(old.data(), row.data(), row.size_bytes()) != 0) {
      outcome.mismatched = true;
      outcome.note = photos_[outcome.index].path + ": the cached bottleneck was not what the photo gives";
    }
    return std::move(outcome);
  }
  for (size_t i = 0; i < old.size(); ++i)
    outcome.mismatched |= !(std::fabs(old[i] - row[i]) <= kTextTolerance);
  if (outcome.mismatched) outcome.note = pending->text_path + " was not what the photo gives";
  if (old.empty() || outcome.mismatched) WriteText(pending->text_path, outcome.index);
  return std::move(outcome);
} catch (const std::bad_alloc&) {
  return OutOfMemoryFor(pending->outcome.index);
}

std::optional<ExtractionOutcome> Extraction::ProcessWithStore(const Job& job, WorkerState* state) {
  const Photo& photo = photos_[job.index];
  auto pending = std::make_shared<Pending>();
  Outcome& outcome = pending->outcome;
  outcome.index = job.index;
  const std::optional<FileStamp> stamp = StampFile(photo.path);
  const ByteBudget::Hold hold(budget_.files, stamp.has_value() ? static_cast<size_t>(stamp->size) : 0);
  {
    const StageTimer timer(options_.profile, "read and hash");
    if (const Status status = state->reader.Read(photo.path); !status.ok()) {
      outcome.reason = status.message();
      return std::move(outcome);
    }
    outcome.photo_sha256 = Sha256(std::as_bytes(std::span(state->reader.bytes())));
  }
  if (options_.verify != ExtractOptions::Verify::kNo && job.noted.has_value() &&
      *job.noted != outcome.photo_sha256) {
    outcome.mismatched = true;
    outcome.note = photo.path + " has changed, though neither its size nor its times have";
  }
  std::span<float> old = Row(job.index);
  if (job.recompute) {
    pending->old.resize(dim_);
    old = pending->old;
  }
  const bool has_old = store_ != nullptr && store_->Get(outcome.photo_sha256, old);
  if (!has_old) pending->old.clear();
  if (has_old && !job.recompute) {
    outcome.kind = Outcome::Kind::kCached;
    if (job.noted != outcome.photo_sha256) outcome.stamp = stamp;
    return std::move(outcome);
  }
  outcome.stamp = stamp;
  return Compute(pending, state);
}

std::optional<ExtractionOutcome> Extraction::ProcessWithText(const Job& job, WorkerState* state) {
  const Photo& photo = photos_[job.index];
  auto pending = std::make_shared<Pending>();
  pending->text_path =
      BottleneckTextPath(options_.bottleneck_dir, photo.folder, photo.file, options_.architecture);
  Outcome& outcome = pending->outcome;
  outcome.index = job.index;
  bool has_old = false;
  if (FileExists(pending->text_path)) {
    const Status status = ReadBottleneckText(pending->text_path, Row(job.index));
    has_old = status.ok();
    outcome.damaged = !has_old;
    if (!has_old) outcome.note = "Invalid float found, recreating bottleneck (" + status.message() + ")";
  }
  if (has_old && !job.recompute) {
    outcome.kind = Outcome::Kind::kCached;
    return std::move(outcome);
  }
  if (has_old) pending->old.assign(Row(job.index).begin(), Row(job.index).end());
  const std::optional<FileStamp> stamp = StampFile(photo.path);
  const ByteBudget::Hold hold(budget_.files, stamp.has_value() ? static_cast<size_t>(stamp->size) : 0);
  if (const Status status = state->reader.Read(photo.path); !status.ok()) {
    outcome.reason = status.message();
    return std::move(outcome);
  }
  return Compute(pending, state);
}

void Extraction::WriteText(const std::string& path, size_t index) {
  {
    const std::lock_guard lock(mutex_);
    if (!write_warning_.empty()) return;
  }
  Status status = MakeDirectories(JoinPath(options_.bottleneck_dir, photos_[index].folder));
  if (status.ok())
    status = WriteFileAtomically(path, FormatBottleneckText(Row(index)), Durability::kMayBeOld);
  if (status.ok()) return;
  const std::lock_guard lock(mutex_);
  if (write_warning_.empty()) write_warning_ = status.message();
}

std::optional<ExtractionOutcome> Extraction::Process(const Job& job, WorkerState* state) {
  try {
    return text() ? ProcessWithText(job, state) : ProcessWithStore(job, state);
  } catch (const std::bad_alloc&) {
    return OutOfMemoryFor(job.index);
  }
}

}  // namespace couplet
