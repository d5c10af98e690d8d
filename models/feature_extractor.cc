// SPDX-License-Identifier: Apache-2.0
#include "models/feature_extractor.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#include "loaders/files.h"
#include "loaders/image_cost.h"
#include "loaders/threads.h"
#include "models/byte_budget.h"

namespace couplet {
namespace {

using Clock = std::chrono::steady_clock;
using MakeSession = std::function<Result<std::shared_ptr<const Session>>(const SessionOptions&)>;

// A photo of 100 million pixels at the best quality takes some 100 MB.
constexpr uint64_t kMaxFileBytes = uint64_t{192} << 20;
// For files and for pixels being decoded. Each may be overdrawn by one photo alone, which the limits on
// pixels keep below half a gigabyte: so no run passes 1 GiB, whatever the number of threads.
constexpr size_t kFileBudget = size_t{128} << 20, kDecodeBudget = size_t{384} << 20;
// A worker that has seen a huge photo gives its memory back.
constexpr size_t kKeptBytes = size_t{16} << 20;
constexpr int kThumbnailSide = 96;

// What waits to be stored: workers wait when there is more; the calling thread is woken when there is enough.
constexpr size_t kMaxWaiting = 1024, kWorthWaking = 128;
constexpr size_t kTransactionPhotos = 512;
constexpr auto kTransactionTime = std::chrono::seconds(1);
constexpr auto kPollTime = std::chrono::milliseconds(100);

// A text file has as few as six digits, and TensorFlow may have written it.
constexpr float kTextTolerance = 1e-3f;

// A photo whose vector was not found by its path.
struct Job {
  size_t index;
  std::optional<Sha256Digest> noted;  // its hash, by a note that looks valid
};

struct Outcome {
  enum class Kind { kComputed, kCached, kFailed } kind = Kind::kFailed;
  size_t index = 0;
  std::string reason;  // kFailed
  std::string note;    // for the log
  bool mismatched = false, damaged = false;
  int jpeg_warnings = 0;
  // For the store; no stamp: nothing is to be put.
  std::optional<FileStamp> stamp;
  Sha256Digest photo_sha256{};
  std::vector<uint8_t> thumbnail;
};

template <class T>
void ShrinkIfHuge(std::vector<T>* buffer) {
  if (buffer->capacity() * sizeof(T) > kKeptBytes) std::vector<T>().swap(*buffer);
}

bool AllFinite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

// An error of ours about `path`, for those who print the path in front.
std::string WithoutPath(std::string message, const std::string& path) {
  for (const std::string& part : {" " + path, path + " "})
    if (const size_t at = message.find(part); at != std::string::npos) return message.erase(at, part.size());
  return message;
}

class Extraction {
 public:
  Extraction(const std::vector<Photo>& photos, int dim, const MakeSession& make_session,
             const ExtractOptions& options)
      : photos_(photos), dim_(static_cast<size_t>(dim)), make_session_(make_session), options_(options),
        threads_(options.threads > 0 ? options.threads : UsableThreads()) {
    result_.vectors.resize(photos.size() * dim_);
  }

  Result<ExtractResult> Run(const std::function<void(const ExtractProgress&)>& progress,
                            const std::function<bool()>& interrupted);

 private:
  // What one thread keeps.
  struct WorkerState {
    std::shared_ptr<const Session> session;
    std::unique_ptr<Session::Worker> worker;
    std::vector<uint8_t> bytes;
    Image image;
    std::vector<float> cached;  // the vector to compare with
  };

  bool text() const { return options_.format == ExtractOptions::Format::kText; }
  bool recompute() const { return options_.verify == ExtractOptions::Verify::kAll; }
  std::span<float> Row(size_t index) { return std::span(result_.vectors).subspan(index * dim_, dim_); }

  // Before the workers start.
  Status OpenStore();
  Status LookUp();
  Status StartWorkers(std::vector<std::thread>* workers);

  // On the workers.
  void Work();
  Outcome Process(const Job& job, WorkerState* state);
  Outcome ProcessWithText(const Job& job, WorkerState* state);
  Outcome ProcessWithStore(const Job& job, WorkerState* state);
  Status ReadPhoto(const std::string& path, WorkerState* state);
  bool Compute(WorkerState* state, Outcome* outcome);
  Status PrepareSession(WorkerState* state);
  void WriteText(const std::string& path, size_t index);
  void Stop(Status status);

  // On the calling thread.
  void Collect(const std::function<void(const ExtractProgress&)>& progress,
               const std::function<bool()>& interrupted);
  void Take(Outcome outcome);
  void Flush();
  ExtractProgress ProgressNow() const;

  const std::vector<Photo>& photos_;
  const size_t dim_;
  const MakeSession& make_session_;
  const ExtractOptions& options_;
  const int threads_;
  int workers_ = 1;  // photos at a time
  const Clock::time_point start_ = Clock::now();

  std::unique_ptr<BottleneckStore> store_;  // null: text, or it cannot be used
  std::vector<Job> jobs_;
  std::atomic<size_t> next_job_{0};
  std::atomic<bool> stop_{false};
  ByteBudget file_budget_{kFileBudget}, decode_budget_{kDecodeBudget};

  std::mutex session_mutex_;
  bool session_made_ = false;
  std::shared_ptr<const Session> session_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable arrived_, room_;
  std::vector<Outcome> waiting_;
  size_t working_ = 0;  // workers that have not ended
  Status fatal_;
  std::string write_warning_;

  // The calling thread's own.
  ExtractResult result_;
  std::vector<std::pair<size_t, std::string>> notes_;
  std::vector<Outcome> unsaved_;
  bool store_writes_ = true;
  bool interrupted_ = false;
};

Status Extraction::OpenStore() {
  auto store = BottleneckStore::Open(options_.bottleneck_dir, options_.key, static_cast<int>(dim_));
  if (store.ok()) {
    store_ = std::move(*store);
    return {};
  }
  // Without a cache the run takes longer but is as good.
  if (store.status().code() != Code::kIo) return store.status();
  result_.store_warning = store.status().message();
  return {};
}

Status Extraction::LookUp() {
  if (text()) {
    for (size_t i = 0; i < photos_.size(); ++i) jobs_.push_back({i, std::nullopt});
    return {};
  }
  COUPLET_RETURN_IF_ERROR(OpenStore());
  std::vector<BottleneckStore::Found> found(photos_.size());
  if (store_ != nullptr) {
    std::vector<std::string> paths;
    for (const Photo& photo : photos_) paths.push_back(photo.path);
    auto answer = store_->Find(paths, result_.vectors);
    if (answer.ok()) {
      found = std::move(*answer);
    } else if (answer.status().code() == Code::kIo) {
      result_.store_warning = answer.status().message();
      store_.reset();
    } else {
      return answer.status();
    }
  }
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i].has_vector && options_.verify == ExtractOptions::Verify::kNo)
      ++result_.cached;
    else
      jobs_.push_back({i, found[i].known ? std::optional(found[i].photo_sha256) : std::nullopt});
  }
  return {};
}

void Extraction::Stop(Status status) {
  const std::lock_guard lock(mutex_);
  if (fatal_.ok()) fatal_ = std::move(status);
  stop_ = true;
}

Status Extraction::PrepareSession(WorkerState* state) {
  {
    const std::lock_guard lock(session_mutex_);
    if (!session_made_) {
      session_made_ = true;
      COUPLET_ASSIGN_OR_RETURN(session_, make_session_({.threads = threads_ / workers_, .prepare_threads = threads_}));
      if (session_->output_size() != static_cast<int64_t>(dim_))
        return Internal(
            fmt::format("the network gives {} values where {} are expected", session_->output_size(), dim_));
    }
    if (session_ == nullptr) return Internal("the network could not be prepared");  // another thread said why
    state->session = session_;
  }
  COUPLET_ASSIGN_OR_RETURN(state->worker, state->session->NewWorker());
  return {};
}

Status Extraction::ReadPhoto(const std::string& path, WorkerState* state) {
  ShrinkIfHuge(&state->bytes);
  const Status status = ReadFile(path, kMaxFileBytes, &state->bytes);
  return status.ok() ? status : Status(status.code(), WithoutPath(status.message(), path));
}

// From state->bytes to the photo's row and thumbnail. False: `outcome` says why not, or the run is over.
bool Extraction::Compute(WorkerState* state, Outcome* outcome) {
  const ByteBudget::Hold hold(decode_budget_, DecodeCostBytes(state->bytes, options_.decode));
  ShrinkIfHuge(&state->image.pixels);
  const auto fail = [&](std::string reason) {
    outcome->kind = Outcome::Kind::kFailed;
    outcome->reason = std::move(reason);
    ShrinkIfHuge(&state->image.pixels);
    return false;
  };
  if (const Status status = DecodeImage(state->bytes, options_.decode, &state->image); !status.ok())
    return fail(status.message());
  outcome->jpeg_warnings = state->image.warnings;
  Status status = state->session == nullptr ? PrepareSession(state) : Status();
  if (status.ok())
    status = state->session->Run(*state->worker, {state->image.pixels, {&state->image.entry, 1}},
                                 Row(outcome->index));
  if (!status.ok()) {
    const std::string reason = status.message();
    Stop(std::move(status));
    return fail(reason);
  }
  if (!AllFinite(Row(outcome->index))) return fail("the network's output for it is not finite");
  // For reports alone: one that cannot be made is not worth a word.
  if (store_ != nullptr && !MakeThumbnail(state->image, kThumbnailSide, &outcome->thumbnail).ok())
    outcome->thumbnail.clear();
  ShrinkIfHuge(&state->image.pixels);
  outcome->kind = Outcome::Kind::kComputed;
  return true;
}

Outcome Extraction::ProcessWithStore(const Job& job, WorkerState* state) {
  const Photo& photo = photos_[job.index];
  Outcome outcome;
  outcome.index = job.index;
  const std::optional<FileStamp> stamp = StampFile(photo.path);
  const ByteBudget::Hold hold(file_budget_, stamp.has_value() ? static_cast<size_t>(stamp->size) : 0);
  if (const Status status = ReadPhoto(photo.path, state); !status.ok()) {
    outcome.reason = status.message();
    return outcome;
  }
  outcome.photo_sha256 = Sha256(std::as_bytes(std::span(state->bytes)));
  if (options_.verify != ExtractOptions::Verify::kNo && job.noted.has_value() &&
      *job.noted != outcome.photo_sha256) {
    outcome.mismatched = true;
    outcome.note = photo.path + " has changed, though neither its size nor its times have";
  }
  std::span<float> old = Row(job.index);
  if (recompute()) {
    state->cached.resize(dim_);
    old = state->cached;
  }
  const bool has_old = store_ != nullptr && store_->Get(outcome.photo_sha256, old);
  if (has_old && !recompute()) {
    outcome.kind = Outcome::Kind::kCached;
    if (job.noted != outcome.photo_sha256) outcome.stamp = stamp;
    return outcome;
  }
  if (!Compute(state, &outcome)) return outcome;
  outcome.stamp = stamp;
  if (has_old && std::memcmp(old.data(), Row(job.index).data(), old.size_bytes()) != 0) {
    outcome.mismatched = true;
    outcome.note = photo.path + ": the cached bottleneck was not what the photo gives";
  }
  return outcome;
}

Outcome Extraction::ProcessWithText(const Job& job, WorkerState* state) {
  const Photo& photo = photos_[job.index];
  const std::string path =
      BottleneckTextPath(options_.bottleneck_dir, photo.folder, photo.file, options_.architecture);
  Outcome outcome;
  outcome.index = job.index;
  bool has_old = false;
  if (FileExists(path)) {
    const Status status = ReadBottleneckText(path, Row(job.index));
    has_old = status.ok();
    outcome.damaged = !has_old;
    if (!has_old) outcome.note = "Invalid float found, recreating bottleneck (" + status.message() + ")";
  }
  if (has_old && !recompute()) {
    outcome.kind = Outcome::Kind::kCached;
    return outcome;
  }
  if (has_old) state->cached.assign(Row(job.index).begin(), Row(job.index).end());
  const std::optional<FileStamp> stamp = StampFile(photo.path);
  const ByteBudget::Hold hold(file_budget_, stamp.has_value() ? static_cast<size_t>(stamp->size) : 0);
  if (const Status status = ReadPhoto(photo.path, state); !status.ok()) {
    outcome.reason = status.message();
    return outcome;
  }
  if (!Compute(state, &outcome)) return outcome;
  const std::span<const float> row = Row(job.index);
  for (size_t i = 0; has_old && i < dim_; ++i)
    outcome.mismatched |= !(std::fabs(state->cached[i] - row[i]) <= kTextTolerance);
  if (outcome.mismatched) outcome.note = path + " was not what the photo gives";
  if (!has_old || outcome.mismatched) WriteText(path, job.index);
  return outcome;
}

void Extraction::WriteText(const std::string& path, size_t index) {
  {
    const std::lock_guard lock(mutex_);
    if (!write_warning_.empty()) return;
  }
  Status status = MakeDirectories(JoinPath(options_.bottleneck_dir, photos_[index].folder));
  if (status.ok())
    status = WriteFileAtomically(path, FormatBottleneckText(Row(index)), Durability::kSurviveCrash);
  if (status.ok()) return;
  const std::lock_guard lock(mutex_);
  if (write_warning_.empty()) write_warning_ = status.message();
}

Outcome Extraction::Process(const Job& job, WorkerState* state) {
  try {
    return text() ? ProcessWithText(job, state) : ProcessWithStore(job, state);
  } catch (const std::bad_alloc&) {
    Outcome outcome;
    outcome.index = job.index;
    outcome.reason = "not enough memory";
    return outcome;
  }
}

void Extraction::Work() {
  WorkerState state;
  while (!stop_) {
    const size_t job = next_job_++;
    if (job >= jobs_.size()) break;
    Outcome outcome = Process(jobs_[job], &state);
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return waiting_.size() < kMaxWaiting; });
    waiting_.push_back(std::move(outcome));
    if (waiting_.size() >= kWorthWaking) arrived_.notify_one();
  }
  // The worker's memory goes before the calling thread may return.
  state = {};
  const std::lock_guard lock(mutex_);
  if (--working_ == 0) arrived_.notify_one();
}

Status Extraction::StartWorkers(std::vector<std::thread>* workers) {
  const size_t wanted = std::min(static_cast<size_t>(threads_), jobs_.size());
  workers_ = std::max(static_cast<int>(wanted), 1);
  workers->reserve(wanted);
  while (workers->size() < wanted) {
    {
      const std::lock_guard lock(mutex_);
      ++working_;
    }
    try {
      workers->emplace_back([this] { Work(); });
    } catch (const std::system_error& error) {
      const std::lock_guard lock(mutex_);
      --working_;
      if (!workers->empty()) return {};  // fewer will do
      return DeviceError(fmt::format("cannot start a thread: {}", error.what()));
    }
  }
  return {};
}

void Extraction::Take(Outcome outcome) {
  result_.jpeg_warnings += outcome.jpeg_warnings;
  result_.mismatched += outcome.mismatched;
  result_.damaged += outcome.damaged;
  if (!outcome.note.empty()) notes_.emplace_back(outcome.index, std::move(outcome.note));
  switch (outcome.kind) {
    case Outcome::Kind::kComputed:
      ++result_.computed;
      break;
    case Outcome::Kind::kCached:
      ++result_.cached;
      break;
    case Outcome::Kind::kFailed:
      // It may hold half a computation, or what the cache had.
      std::fill_n(Row(outcome.index).begin(), dim_, 0.0f);
      result_.failed.push_back({outcome.index, std::move(outcome.reason)});
      return;
  }
  if (store_ != nullptr && store_writes_ && outcome.stamp.has_value()) unsaved_.push_back(std::move(outcome));
}

void Extraction::Flush() {
  if (unsaved_.empty()) return;
  std::vector<BottleneckStore::Record> records;
  records.reserve(unsaved_.size());
  for (const Outcome& outcome : unsaved_) {
    const bool is_new = outcome.kind == Outcome::Kind::kComputed;
    records.push_back({photos_[outcome.index].path, *outcome.stamp, outcome.photo_sha256,
                       is_new ? Row(outcome.index) : std::span<float>(), outcome.thumbnail});
  }
  if (const Status status = store_->Put(records); !status.ok()) {
    store_writes_ = false;
    result_.store_warning = status.message();
  }
  unsaved_.clear();
}

ExtractProgress Extraction::ProgressNow() const {
  return {result_.cached + result_.computed + result_.failed.size(), photos_.size(), result_.computed,
          result_.failed.size(), std::chrono::duration<double>(Clock::now() - start_).count()};
}

void Extraction::Collect(const std::function<void(const ExtractProgress&)>& progress,
                         const std::function<bool()>& interrupted) {
  Clock::time_point last_flush = start_, last_progress = start_;
  for (bool finished = false; !finished;) {
    std::vector<Outcome> arrived;
    {
      std::unique_lock lock(mutex_);
      arrived_.wait_for(lock, kPollTime, [&] { return waiting_.size() >= kWorthWaking || working_ == 0; });
      arrived.swap(waiting_);
      finished = working_ == 0;
    }
    room_.notify_all();
    for (Outcome& outcome : arrived) Take(std::move(outcome));
    if (!interrupted_ && !finished && interrupted()) interrupted_ = stop_ = true;
    const Clock::time_point now = Clock::now();
    if (finished || unsaved_.size() >= kTransactionPhotos || now - last_flush >= kTransactionTime) {
      Flush();
      last_flush = now;
    }
    if (!finished && now - last_progress >= kPollTime) {
      progress(ProgressNow());
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
                  fmt::format("interrupted after {} of {} photos", ProgressNow().done, photos_.size()));
  if (!write_warning_.empty()) result_.store_warning = write_warning_;
  if (store_ != nullptr) result_.damaged += static_cast<size_t>(store_->damaged());
  std::sort(result_.failed.begin(), result_.failed.end(),
            [](const FailedPhoto& a, const FailedPhoto& b) { return a.index < b.index; });
  std::sort(notes_.begin(), notes_.end());
  for (auto& [index, note] : notes_) result_.notes.push_back(std::move(note));
  progress(ProgressNow());
  return std::move(result_);
}

}  // namespace

Result<ExtractResult> ExtractFeatures(const std::vector<Photo>& photos, int dim,
                                      const MakeSession& make_session, const ExtractOptions& options,
                                      const std::function<void(const ExtractProgress&)>& progress,
                                      const std::function<bool()>& interrupted) {
  COUPLET_CHECK(dim > 0);
  return Extraction(photos, dim, make_session, options).Run(progress, interrupted);
}

}  // namespace couplet
