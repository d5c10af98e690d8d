// SPDX-License-Identifier: Apache-2.0
#include "models/distorted_batches.h"

#include <fmt/format.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "loaders/files.h"

namespace couplet {
namespace {

constexpr uint64_t kMaxPhotoBytes = uint64_t{1} << 30;

class Pool : public DistortedBatches {
 public:
  Pool(const std::vector<Photo>& photos, const Backbone& backbone, std::shared_ptr<const Session> session,
       const DistortedBatchesOptions& options)
      : photos_(photos), normalization_(backbone.normalization()), size_(backbone.input_size()),
        features_(static_cast<size_t>(backbone.features())), session_(std::move(session)), options_(options),
        kept_(photos.size()) {
    options_.decode.resize_rows = 0;
  }

  ~Pool() override {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
  }

  Status Start() {
    for (int i = 0; i < options_.threads; ++i) {
      COUPLET_ASSIGN_OR_RETURN(std::unique_ptr<Session::Worker> worker, session_->NewWorker());
      threads_.emplace_back([this, w = std::shared_ptr<Session::Worker>(std::move(worker))] { Work(*w); });
    }
    return {};
  }

  Status Make(int step, const HeadBatch& batch, std::span<float> vectors) override {
    std::unique_lock lock(mutex_);
    batch_ = &batch;
    vectors_ = vectors;
    step_ = step;
    next_ = 0;
    left_ = batch.rows.size();
    failure_ = {};
    changed_.notify_all();
    changed_.wait(lock, [this] { return left_ == 0; });
    batch_ = nullptr;
    return failure_;
  }

 private:
  void Work(Session::Worker& worker) {
    std::vector<float> pixels(static_cast<size_t>(size_) * static_cast<size_t>(size_) * 3);
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stop_ || (batch_ != nullptr && next_ < batch_->rows.size()); });
      if (stop_) return;
      const size_t i = next_++;
      const uint32_t row = batch_->rows[i];
      const std::span<float> dst = vectors_.subspan(i * features_, features_);
      const int step = step_;
      lock.unlock();
      Status status = MakeOne(row, static_cast<uint32_t>(i), static_cast<uint32_t>(step), worker, pixels, dst);
      lock.lock();
      if (!status.ok()) failure_ = std::move(status);
      if (--left_ == 0) changed_.notify_all();
    }
  }

  Status MakeOne(uint32_t row, uint32_t place, uint32_t step, Session::Worker& worker, std::span<float> pixels,
                 std::span<float> dst) {
    COUPLET_ASSIGN_OR_RETURN(const std::shared_ptr<const Image> image, Decoded(row));
    Distort(*image, options_.distortion, normalization_, size_, {options_.seed, place, step}, pixels.data());
    return session_->RunPixels(worker, pixels, dst);
  }

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
  const size_t features_;
  const std::shared_ptr<const Session> session_;
  DistortedBatchesOptions options_;

  std::mutex kept_mutex_;
  std::vector<std::shared_ptr<const Image>> kept_;  // by row
  size_t kept_bytes_ = 0;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  const HeadBatch* batch_ = nullptr;
  std::span<float> vectors_;
  int step_ = 0;
  size_t next_ = 0, left_ = 0;
  Status failure_;
  bool stop_ = false;

  std::vector<std::jthread> threads_;  // last: joined before the rest goes
};

}  // namespace

Result<std::unique_ptr<DistortedBatches>> DistortedBatches::Create(const std::vector<Photo>& photos,
                                                                   const Backbone& backbone, Backend& backend,
                                                                   const DistortedBatchesOptions& options) {
  COUPLET_ASSIGN_OR_RETURN(auto session, backbone.MakeSession(backend, {}));
  auto pool = std::make_unique<Pool>(photos, backbone, std::move(session), options);
  COUPLET_RETURN_IF_ERROR(pool->Start());
  return std::unique_ptr<DistortedBatches>(std::move(pool));
}

}  // namespace couplet
