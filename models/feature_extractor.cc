// SPDX-License-Identifier: Apache-2.0
#include "models/feature_extractor.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <system_error>

#include "loaders/files.h"
#include "models/extraction.h"

namespace couplet {
namespace {

// What waits to be collected: threads wait when there is more; the calling thread is woken when there is
// enough.
constexpr size_t kMaxWaiting = 1024, kWorthWaking = 128;
constexpr auto kPollTime = std::chrono::milliseconds(100);

// How many vectors a sample computes again.
size_t SampleSize(size_t photos) {
  constexpr size_t kAlways = 16, kOneIn = 64;
  return photos <= kAlways ? photos : kAlways + (photos - kAlways) / kOneIn;
}

}  // namespace

Status Extraction::OpenStore() {
  using Integrity = BottleneckStore::Integrity;
  const bool verify = options_.verify != ExtractOptions::Verify::kNo;
  std::string set_aside;
  auto store = BottleneckStore::Open(options_.bottleneck_dir, options_.key, static_cast<int>(dim_),
                                     verify ? Integrity::kWhole : Integrity::kTouched, verify ? &set_aside : nullptr);
  if (!set_aside.empty()) {
    ++collector_.result.damaged;
    collector_.result.notes.push_back(
        fmt::format("the bottleneck store was damaged; it lies in {}, and its vectors are computed again", set_aside));
  }
  if (store.ok()) {
    store_ = std::move(*store);
    return {};
  }
  // Without a cache the run takes longer but is as good.
  if (store.status().code() != Code::kIo) return store.status();
  collector_.result.store_warning = store.status().message();
  return {};
}

// Evenly over all photos, from a place of chance, so that runs together see more than one does.
void Extraction::ChooseRecomputed() {
  if (options_.verify == ExtractOptions::Verify::kNo || jobs_.empty()) return;
  const size_t chosen = options_.verify == ExtractOptions::Verify::kAll ? jobs_.size() : SampleSize(jobs_.size());
  const size_t first = std::random_device()() % jobs_.size();
  for (size_t i = 0; i < chosen; ++i) jobs_[(first + i * jobs_.size() / chosen) % jobs_.size()].recompute = true;
}

Status Extraction::LookUp() {
  if (text()) {
    for (size_t i = 0; i < photos_.size(); ++i) jobs_.push_back({i, std::nullopt});
    ChooseRecomputed();
    return {};
  }
  COUPLET_RETURN_IF_ERROR(OpenStore());
  std::vector<BottleneckStore::Found> found(photos_.size());
  if (store_ != nullptr) {
    std::vector<std::string> paths;
    paths.reserve(photos_.size());
    for (const Photo& photo : photos_) paths.push_back(photo.path);
    auto answer = store_->Find(paths, collector_.result.vectors, threads_);
    if (answer.ok()) {
      found = std::move(*answer);
    } else if (answer.status().code() == Code::kIo) {
      collector_.result.store_warning = answer.status().message();
      store_.reset();
    } else {
      return answer.status();
    }
  }
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i].has_vector && options_.verify == ExtractOptions::Verify::kNo) {
      ++collector_.result.cached;
      collector_.result.photo_sha256[i] = found[i].photo_sha256;
    } else {
      jobs_.push_back({i, found[i].known ? std::optional(found[i].photo_sha256) : std::nullopt});
    }
  }
  ChooseRecomputed();
  collector_.UseStore(store_.get());
  return {};
}

void Extraction::Stop(Status status) {
  const std::lock_guard lock(mutex_);
  if (fatal_.ok()) fatal_ = std::move(status);
  stop_ = true;
}

// Where all is to be computed. A device that has no room for it computes all the same; its trainer is handed them later.
Status Extraction::MakeResident() {
  if (!options_.keep_on_device || jobs_.size() != photos_.size()) return {};
  auto made = network_.backend->make_resident(photos_.size(), static_cast<int>(dim_), {});
  if (!made.ok()) return made.status().code() == Code::kOutOfMemory ? Status() : made.status();
  collector_.result.resident = std::move(*made);
  line_options_.kept = collector_.result.resident.get();
  return {};
}

// With network_mutex_ held; once.
Status Extraction::MakeNetwork() {
  int64_t size = 0;
  if (network_.in_batches) {
    COUPLET_RETURN_IF_ERROR(MakeResident());
    COUPLET_ASSIGN_OR_RETURN(line_, BatchLine::Open(network_, line_options_, options_.profile));
    size = line_->output_size();
  } else {
    COUPLET_ASSIGN_OR_RETURN(
        session_, network_.make_split({.threads = threads_ / workers_, .prepare_threads = threads_, .each_by_itself = options_.profile != nullptr},
                                      options_.profile != nullptr));
    size = session_->output_size();
  }
  if (size == static_cast<int64_t>(dim_)) return {};
  return Internal(fmt::format("the network gives {} values where {} are expected", size, dim_));
}

Status Extraction::PrepareNetwork(WorkerState* state) {
  {
    const std::lock_guard lock(network_mutex_);
    if (!network_made_) {
      // Stays when there is not even memory to say so. Where there is none for this either, the next photo tries again.
      network_status_ = DeviceError("not enough memory for the network; end other programs or use a smaller one");
      network_made_ = true;
      network_status_ = MakeNetwork();
    }
    COUPLET_RETURN_IF_ERROR(network_status_);
  }
  if (session_ != nullptr) {
    COUPLET_ASSIGN_OR_RETURN(state->worker, session_->NewWorker());
    state->pending.reserve(session_->photos_together());
  }
  state->ready = true;
  return {};
}

void Extraction::Deliver(Outcome outcome) {
  std::unique_lock lock(mutex_);
  room_.wait(lock, [&] { return waiting_.size() < kMaxWaiting; });
  waiting_.push_back(std::move(outcome));
  if (waiting_.size() >= kWorthWaking) arrived_.notify_one();
}

void Extraction::Work() {
  {
    WorkerState state(options_.decode);
    while (!stop_) {
      const size_t job = next_job_++;
      if (job >= jobs_.size()) break;
      if (std::optional<Outcome> outcome = Process(jobs_[job], &state)) Deliver(std::move(*outcome));
    }
    FinishWaiting(&state);
    // The worker's memory goes before the calling thread may return.
  }
  EndWork();
}

// The last worker to end sees the line to its end.
void Extraction::EndWork() {
  std::unique_lock lock(mutex_);
  if (working_ == 1 && line_ != nullptr) {
    lock.unlock();
    if (stop_) line_->Stop();
    if (Status status = line_->Finish(); !status.ok()) Stop(std::move(status));
    lock.lock();
  }
  if (--working_ == 0) arrived_.notify_one();
}

Status Extraction::StartWorkers(std::vector<std::thread>* workers) {
  const size_t wanted = std::min(static_cast<size_t>(threads_), jobs_.size());
  workers_ = std::max(static_cast<int>(wanted), 1);
  workers->reserve(wanted);
  while (workers->size() < wanted) {
    // Locked, so that no worker that ends takes one that could not be started for one that works.
    const std::lock_guard lock(mutex_);
    ++working_;
    try {
      workers->emplace_back([this] { Work(); });
    } catch (const std::system_error& error) {
      --working_;
      if (!workers->empty()) return {};  // fewer will do
      return DeviceError(fmt::format("cannot start a thread: {}", error.what()));
    }
  }
  return {};
}

void Extraction::Collect(const std::function<void(const ExtractProgress&)>& progress,
                         const std::function<bool()>& interrupted) {
  auto last_progress = std::chrono::steady_clock::now();
  for (bool finished = false; !finished;) {
    std::vector<Outcome> arrived;
    {
      std::unique_lock lock(mutex_);
      arrived_.wait_for(lock, kPollTime, [&] { return waiting_.size() >= kWorthWaking || working_ == 0; });
      arrived.swap(waiting_);
      finished = working_ == 0;
    }
    room_.notify_all();
    for (Outcome& outcome : arrived) collector_.Take(std::move(outcome));
    if (!interrupted_ && !finished && interrupted()) interrupted_ = stop_ = true;
    collector_.Flush(finished);
    const auto now = std::chrono::steady_clock::now();
    if (!finished && now - last_progress >= kPollTime) {
      progress(collector_.progress());
      last_progress = now;
    }
  }
}

Result<ExtractResult> Extraction::Run(const std::function<void(const ExtractProgress&)>& progress,
                                      const std::function<bool()>& interrupted) {
  COUPLET_RETURN_IF_ERROR(LookUp());
  std::vector<std::thread> workers;
  COUPLET_RETURN_IF_ERROR(StartWorkers(&workers));
  Collect(progress, interrupted);
  for (std::thread& worker : workers) worker.join();
  if (!fatal_.ok()) return fatal_;
  if (interrupted_)
    return Status(Code::kInterrupted,
                  fmt::format("interrupted after {} of {} photos{}", collector_.progress().done, photos_.size(),
                              store_ == nullptr && !text()
                                  ? ""
                                  : fmt::format("; their bottlenecks are kept in {}: run the command again to go on",
                                                options_.bottleneck_dir)));
  ExtractResult& result = collector_.result;
  if (!write_warning_.empty()) result.store_warning = write_warning_;
  if (store_ != nullptr) result.damaged += static_cast<size_t>(store_->damaged());
  if (line_ != nullptr) result.batch_warning = line_->warning();
  if (result.cached != 0) result.resident.reset();  // a photo that was known by its content
  progress(collector_.progress());
  collector_.UseStore(nullptr);
  result.store = std::move(store_);
  return std::move(collector_).Finish();
}

Result<ExtractResult> ExtractFeatures(const std::vector<Photo>& photos, int dim, const PhotoNetwork& network,
                                      const ExtractOptions& options,
                                      const std::function<void(const ExtractProgress&)>& progress,
                                      const std::function<bool()>& interrupted) {
  COUPLET_CHECK(dim > 0);
  return Extraction(photos, dim, network, options).Run(progress, interrupted);
}

Result<size_t> CountMissing(const std::vector<Photo>& photos, int dim, const ExtractOptions& options) {
  const bool verify = options.verify != ExtractOptions::Verify::kNo;
  if (options.verify == ExtractOptions::Verify::kAll) return photos.size();
  const size_t sample = verify ? SampleSize(photos.size()) : 0;
  if (options.format == ExtractOptions::Format::kText)
    return std::min(photos.size(), sample + static_cast<size_t>(std::count_if(photos.begin(), photos.end(), [&](const Photo& photo) {
      return !FileExists(
          BottleneckTextPath(options.bottleneck_dir, photo.folder, photo.file, options.architecture));
    })));
  auto store = BottleneckStore::Open(options.bottleneck_dir, options.key, dim);
  // Verifying begins a damaged one anew; what else there is to say of it, the run says.
  if (!store.ok() && (verify || store.status().code() == Code::kIo)) return photos.size();
  COUPLET_RETURN_IF_ERROR(store.status());
  std::vector<std::string> paths;
  paths.reserve(photos.size());
  for (const Photo& photo : photos) paths.push_back(photo.path);
  std::vector<float> vectors(photos.size() * static_cast<size_t>(dim));
  auto found = (*store)->Find(paths, vectors, ThreadsAskedFor(options.threads));
  if (!found.ok() && (verify || found.status().code() == Code::kIo)) return photos.size();
  COUPLET_RETURN_IF_ERROR(found.status());
  return std::min(photos.size(), sample + static_cast<size_t>(std::count_if(found->begin(), found->end(),
                                                                          [](const auto& one) { return !one.has_vector; })));
}

}  // namespace couplet
