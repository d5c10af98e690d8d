// SPDX-License-Identifier: Apache-2.0
#include "models/distorted_batches.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "loaders/files.h"
#include "loaders/threads.h"

namespace couplet {
namespace {

constexpr uint64_t kMaxPhotoBytes = uint64_t{1} << 30;
// Two of these as floats of 299 x 299 take 137 MB.
constexpr int kMaxDistortedBatch = 64;

// Photos distorted into floats, by row.
class Distorter {
 public:
  Distorter(const std::vector<Photo>& photos, const Backbone& backbone,
            const DistortedBatchesOptions& options)
      : photos_(photos),
        normalization_(backbone.normalization()),
        size_(backbone.input_size()),
        options_(options),
        kept_(photos.size()) {
    options_.decode.resize_rows = 0;
  }

  size_t floats() const { return static_cast<size_t>(size_) * static_cast<size_t>(size_) * 3; }

  // `pixels` has floats() of them. Thread-safe.
  Status Make(uint32_t row, uint32_t place, uint32_t step, float* pixels) {
    COUPLET_ASSIGN_OR_RETURN(const std::shared_ptr<const Image> image, Decoded(row));
    Distort(*image, options_.distortion, normalization_, size_, {options_.seed, place, step}, pixels);
    return {};
  }

 private:
  Result<std::shared_ptr<const Image>> Decoded(uint32_t row) {
    {
      std::lock_guard lock(kept_mutex_);
      if (kept_[row]) return kept_[row];
    }
    std::vector<uint8_t> file;
    COUPLET_RETURN_IF_ERROR(ReadFile(photos_[row].path, kMaxPhotoBytes, &file));
    auto image = std::make_shared<Image>();
    if (Status decoded = DecodeImage(file, options_.decode, image.get()); !decoded.ok())
      return BadInput(fmt::format("{}: {}", photos_[row].path, decoded.message()));
    std::shared_ptr<const Image> shared = std::move(image);
    std::lock_guard lock(kept_mutex_);
    if (!kept_[row] && kept_bytes_ + shared->pixels.size() <= options_.kept_bytes) {
      kept_bytes_ += shared->pixels.size();
      kept_[row] = shared;
    }
    return shared;
  }

  const std::vector<Photo>& photos_;
  const Normalization normalization_;
  const int size_;
  DistortedBatchesOptions options_;

  std::mutex kept_mutex_;
  std::vector<std::shared_ptr<const Image>> kept_;  // by row
  size_t kept_bytes_ = 0;
};

// Threads that do a numbered piece of work together: piece i of n, each on any thread.
class Crew {
 public:
  // work(thread, i)
  using Work = std::function<Status(int thread, size_t i)>;

  ~Crew() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
  }

  Status Start(int threads) {
    return StartThreads(threads, [this](int thread) { Loop(thread); }, &threads_);
  }
  // REQUIRES: nothing is being done.
  void Begin(size_t count, Work work) {
    std::lock_guard lock(mutex_);
    work_ = std::move(work);
    next_ = 0;
    count_ = left_ = count;
    failure_ = {};
    changed_.notify_all();
  }
  // Waits until every piece is done; the error of one that failed.
  Status End() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return left_ == 0; });
    return failure_;
  }

 private:
  void Loop(int thread) {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stop_ || next_ < count_; });
      if (stop_) return;
      const size_t i = next_++;
      lock.unlock();
      Status status = work_(thread, i);
      lock.lock();
      if (!status.ok()) failure_ = std::move(status);
      if (--left_ == 0) changed_.notify_all();
    }
  }

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  Work work_;
  size_t next_ = 0, count_ = 0, left_ = 0;
  Status failure_;
  bool stop_ = false;

  std::vector<std::jthread> threads_;  // last: joined before the rest goes
};

// A thread distorts a photo and runs it.
class SinglePhotos : public DistortedBatches {
 public:
  SinglePhotos(std::unique_ptr<Distorter> distorter, size_t features)
      : distorter_(std::move(distorter)), features_(features) {}

  Status Start(const PhotoNetwork& network, int threads) {
    COUPLET_ASSIGN_OR_RETURN(session_, network.make_session({}));
    for (int i = 0; i < threads; ++i) {
      COUPLET_ASSIGN_OR_RETURN(std::unique_ptr<Session::Worker> worker, session_->NewWorker());
      workers_.push_back({std::move(worker), std::vector<float>(distorter_->floats())});
    }
    return crew_.Start(threads);
  }

  Status Make(int step, const HeadBatch& batch, std::span<float> vectors) override {
    crew_.Begin(batch.rows.size(), [&, step](int thread, size_t i) -> Status {
      auto& [worker, pixels] = workers_[static_cast<size_t>(thread)];
      COUPLET_RETURN_IF_ERROR(distorter_->Make(batch.rows[i], static_cast<uint32_t>(i),
                                               static_cast<uint32_t>(step), pixels.data()));
      return session_->RunPixels(*worker, pixels, vectors.subspan(i * features_, features_));
    });
    return crew_.End();
  }

 private:
  const std::unique_ptr<Distorter> distorter_;
  const size_t features_;
  std::shared_ptr<const Session> session_;
  std::vector<std::pair<std::unique_ptr<Session::Worker>, std::vector<float>>> workers_;  // a thread's own
  Crew crew_;  // last: its threads end before what they use goes
};

// Threads distort; the calling thread runs one batch while they make the next.
class Batches : public DistortedBatches {
 public:
  Batches(std::unique_ptr<Distorter> distorter, size_t features, const PhotoNetwork& network)
      : distorter_(std::move(distorter)),
        features_(features),
        network_(network),
        asked_(static_cast<size_t>(std::min(network.max_batch, kMaxDistortedBatch))) {}

  Status Start(int threads) {
    COUPLET_RETURN_IF_ERROR(Equip());
    return crew_.Start(threads);
  }

  Status Make(int step, const HeadBatch& batch, std::span<float> vectors) override {
    const size_t rows = batch.rows.size(), chunk = asked_;
    const auto begin = [&](size_t first) {
      const size_t count = std::min(chunk, rows - first);
      std::vector<float>& buffer = pixels_[first / chunk % 2];
      buffer.resize(count * distorter_->floats());
      crew_.Begin(count, [this, &batch, first, step, pixels = buffer.data()](int, size_t i) {
        return distorter_->Make(batch.rows[first + i], static_cast<uint32_t>(first + i),
                                static_cast<uint32_t>(step), pixels + i * distorter_->floats());
      });
    };
    if (rows > 0) begin(0);
    for (size_t first = 0; first < rows; first += chunk) {
      COUPLET_RETURN_IF_ERROR(crew_.End());
      if (first + chunk < rows) begin(first + chunk);
      const size_t count = std::min(chunk, rows - first);
      if (Status status =
              Run(pixels_[first / chunk % 2], vectors.subspan(first * features_, count * features_));
          !status.ok()) {
        (void)crew_.End();  // it writes into what goes with this call
        return status;
      }
    }
    return {};
  }

 private:
  // In pieces, should the device's memory turn out to take fewer.
  Status Run(std::span<const float> pixels, std::span<float> vectors) {
    for (size_t at = 0; at < vectors.size() / features_;) {
      const size_t count = std::min(asked_, vectors.size() / features_ - at);
      const Status status = session_->RunPixels(
          *worker_, pixels.subspan(at * distorter_->floats(), count * distorter_->floats()),
          vectors.subspan(at * features_, count * features_));
      if (status.ok()) {
        at += count;
      } else {
        COUPLET_RETURN_IF_ERROR(Halve(status));
        COUPLET_RETURN_IF_ERROR(Equip());
      }
    }
    return {};
  }

  Status Halve(const Status& reason) {
    if (reason.code() != Code::kOutOfMemory || asked_ == 1) return reason;
    asked_ /= 2;
    worker_.reset();
    session_.reset();
    return {};
  }

  Status Equip() {
    for (;;) {
      auto session = network_.make_session({.max_batch = static_cast<int>(asked_)});
      if (session.ok()) {
        auto worker = (*session)->NewWorker();
        if (worker.ok()) {
          session_ = std::move(*session);
          worker_ = std::move(*worker);
          return {};
        }
        COUPLET_RETURN_IF_ERROR(Halve(worker.status()));
      } else {
        COUPLET_RETURN_IF_ERROR(Halve(session.status()));
      }
    }
  }

  const std::unique_ptr<Distorter> distorter_;
  const size_t features_;
  const PhotoNetwork network_;
  size_t asked_;
  std::shared_ptr<const Session> session_;
  std::unique_ptr<Session::Worker> worker_;
  std::vector<float> pixels_[2];  // [asked_, h, w, 3]
  Crew crew_;                     // last: its threads end before what they use goes
};

}  // namespace

Result<std::unique_ptr<DistortedBatches>> DistortedBatches::Create(const std::vector<Photo>& photos,
                                                                   const Backbone& backbone, Backend& backend,
                                                                   const DistortedBatchesOptions& options) {
  COUPLET_ASSIGN_OR_RETURN(const PhotoNetwork network, backbone.Network(backend));
  auto distorter = std::make_unique<Distorter>(photos, backbone, options);
  const size_t features = static_cast<size_t>(backbone.features());
  std::unique_ptr<DistortedBatches> made;
  if (network.in_batches) {
    auto batches = std::make_unique<Batches>(std::move(distorter), features, network);
    COUPLET_RETURN_IF_ERROR(batches->Start(options.threads));
    made = std::move(batches);
  } else {
    auto singles = std::make_unique<SinglePhotos>(std::move(distorter), features);
    COUPLET_RETURN_IF_ERROR(singles->Start(network, options.threads));
    made = std::move(singles);
  }
  made->memory_ = network.memory;
  return made;
}

}  // namespace couplet
