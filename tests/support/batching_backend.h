// The CPU engine behind a face that takes batches, with as much memory as a test gives it: what a device's
// road through the models can be walked with where there is no device.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "runtime/backend.h"

namespace couplet::test {

class BatchingBackend final : public Backend {
 public:
  explicit BatchingBackend(int batch) : batch_(batch), cpu_(MakeCpuBackend()) {}

  std::string_view kind() const override { return "cuda"; }
  std::string description() const override { return "the CPU in batches"; }
  MemoryPlan plan_memory(const MemoryNeeds& needs) const override {
    return {.batch = static_cast<int>(std::min<size_t>(static_cast<size_t>(batch_), needs.photos))};
  }
  Result<std::unique_ptr<PreparedOp>> prepare(const Layer& layer, std::span<const Shape> src,
                                              const PrepareOptions& options) override {
    largest_prepared = std::max(largest_prepared.load(), options.max_batch);
    smallest_prepared = std::min(smallest_prepared.load(), options.max_batch);
    if (options.max_batch > prepares_up_to)
      return OutOfMemory("no memory for " + std::to_string(options.max_batch));
    return cpu_->prepare(layer, src, options);
  }
  Result<std::unique_ptr<WorkerContext>> make_worker(int threads) override {
    return cpu_->make_worker(threads);
  }
  Result<Buffer> allocate(size_t bytes) override { return cpu_->allocate(bytes); }
  Result<Buffer> allocate_pinned(size_t bytes) override { return cpu_->allocate_pinned(bytes); }
  Status copy_in(void* dst, const float* src, size_t count, WorkerContext& worker) override {
    return cpu_->copy_in(dst, src, count, worker);
  }
  Status copy_out(float* dst, const void* src, size_t count, WorkerContext& worker) override {
    if (++runs > lost_after_runs) return Lost();
    return cpu_->copy_out(dst, src, count, worker);
  }
  Status wait(WorkerContext& worker) override { return cpu_->wait(worker); }
  Result<std::unique_ptr<Timer>> make_timer(WorkerContext& worker) override {
    return cpu_->make_timer(worker);
  }
  double floor_ms(double, double multiply_adds) const override { return multiply_adds * 1e-9; }
  Result<std::unique_ptr<HeadTrainer>> make_head_trainer(const HeadShape& shape) override {
    return cpu_->make_head_trainer(shape);
  }

  int prepares_up_to = 1 << 20, lost_after_runs = 1 << 20;
  bool two_are_told = false;  // that it is lost: two drivers at once, of which the later one names a layer
  std::atomic<int> largest_prepared{0}, smallest_prepared{1 << 20}, runs{0};

 private:
  Status Lost() {
    if (!two_are_told) return DeviceError("the device is gone");
    const bool later = told_++ == 1;
    both_.arrive_and_wait();
    if (!later) return DeviceError("the device is gone");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return DeviceError("layer 'last': the device is gone");
  }

  std::atomic<int> told_{0};
  std::barrier<> both_{2};
  const int batch_;
  const std::unique_ptr<Backend> cpu_;
};

}  // namespace couplet::test
