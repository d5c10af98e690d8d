// The CUDA backend: streams, memory, copies, recordings; and the object's entry points.
// SPDX-License-Identifier: Apache-2.0
#include <cuda_fp16.h>
#include <fmt/format.h>
#include <nvtx3/nvToolsExt.h>

#include <algorithm>

#include "kernels/convert.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/head_device.h"
#include "runtime/cuda/head_trainer.h"
#include "runtime/cuda/pairs.h"
#include "runtime/cuda/prepare.h"
#include "runtime/cuda/resident_vectors.h"
#include "runtime/cuda/worker.h"
#include "runtime/cuda_loader.h"
#include "runtime/layer_check.h"

namespace couplet::cuda {
namespace {

// Numbers that one conversion takes through a worker's staging memory.
constexpr size_t kStagedNumbers = size_t{1} << 20;
// Packed bytes of a photo on its way in: 500 x 333 and some.
constexpr size_t kPhotoBytes = 600 << 10;
constexpr int kMostPhotos = kLargeGroup;

class GraphRecording final : public Recording {
 public:
  GraphRecording(GraphExec graph, cudaStream_t stream) : graph_(std::move(graph)), stream_(stream) {}
  Status replay() override {
    COUPLET_DEVICE_RETURN(cudaGraphLaunch(graph_.get(), stream_));
    return {};
  }

 private:
  GraphExec graph_;
  cudaStream_t stream_;
};

class EventTimer final : public Timer {
 public:
  explicit EventTimer(cudaStream_t stream) : stream_(stream) {}
  Status mark() override {
    COUPLET_ASSIGN_OR_RETURN(Event event, MakeTimedEvent());
    COUPLET_DEVICE_RETURN(cudaEventRecord(event.get(), stream_));
    events_.push_back(std::move(event));
    return {};
  }
  Result<std::vector<double>> intervals_ms() override {
    std::vector<double> intervals;
    if (!events_.empty()) COUPLET_DEVICE_RETURN(cudaEventSynchronize(events_.back().get()));
    for (size_t i = 1; i < events_.size(); ++i) {
      float ms = 0.0f;
      COUPLET_DEVICE_RETURN(cudaEventElapsedTime(&ms, events_[i - 1].get(), events_[i].get()));
      intervals.push_back(ms);
    }
    events_.clear();
    return intervals;
  }

 private:
  cudaStream_t stream_;
  std::vector<Event> events_;
};

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(std::unique_ptr<Device> device) : device_(std::move(device)) {}

  std::string_view kind() const override { return "cuda"; }
  std::string description() const override { return device_->description(); }
  Precision precision() const override { return device_->precision(); }
  std::string tuning() const override { return device_->tuning().Text(); }
  size_t element_bytes() const override { return device_->element_bytes(); }
  double floor_ms(double bytes, double multiply_adds) const override {
    return device_->floor_ms(bytes, multiply_adds);
  }
  void begin_range(const char* name) override { nvtxRangePushA(name); }
  void end_range() override { nvtxRangePop(); }

  Result<std::unique_ptr<PreparedOp>> prepare(const Layer& layer, std::span<const Shape> src,
                                              const PrepareOptions& options) override {
    COUPLET_RETURN_IF_ERROR(CheckLayer(layer, src));
    return PrepareLayer(*device_, layer, src, options);
  }
  Result<std::unique_ptr<PreparedOp>> prepare_pair(const Layer& first, const Layer& second,
                                                   std::span<const Shape> src, const PrepareOptions& first_options,
                                                   const PrepareOptions& second_options) override {
    COUPLET_RETURN_IF_ERROR(CheckLayer(first, src));
    Shape between = first.shape;
    between.n = second_options.max_batch;
    COUPLET_RETURN_IF_ERROR(CheckLayer(second, std::span(&between, 1)));
    return PreparePair(*device_, {first, first_options}, {second, second_options}, src);
  }
  bool writes_slice(const Layer& layer, int at, int stride) const override {
    return WritesSlice(*device_, layer, at, stride);
  }
  bool leaves_clip(const Layer& layer) const override { return LeavesClip(layer); }
  bool takes_clip(const Layer& layer, const Shape& src) const override { return TakesClip(layer, src); }
  int round_batch(int wanted) const override {
    const int group = GroupOf(wanted);
    return (wanted + group - 1) / group * group;
  }
  MemoryPlan plan_memory(const MemoryNeeds& needs) const override;

  Result<std::unique_ptr<WorkerContext>> make_worker(int) override {
    COUPLET_ASSIGN_OR_RETURN(Stream stream, MakeStream());
    DeviceBuffer staging;
    if (StagingBytes() != 0) {
      COUPLET_ASSIGN_OR_RETURN(staging, device_->Allocate(StagingBytes()));
    }
    return std::unique_ptr<WorkerContext>(
        std::make_unique<Worker>(std::move(stream), std::move(staging)));
  }

  Result<Buffer> allocate(size_t bytes) override {
    COUPLET_ASSIGN_OR_RETURN(DeviceBuffer buffer, device_->Allocate(std::max<size_t>(bytes, 1)));
    return Buffer(buffer.release(), bytes, [](void* data, size_t) { COUPLET_DEVICE_LOG(cudaFree(data)); });
  }
  Result<Buffer> allocate_pinned(size_t bytes) override {
    COUPLET_ASSIGN_OR_RETURN(PinnedBuffer buffer, PinnedBuffer::Allocate(std::max<size_t>(bytes, 1)));
    return Buffer(buffer.release(), bytes,
                  [](void* data, size_t) { COUPLET_DEVICE_LOG(cudaFreeHost(data)); });
  }
  Status copy_in(void* dst, const float* src, size_t count, WorkerContext& worker) override;
  Status copy_out(float* dst, const void* src, size_t count, WorkerContext& worker) override;
  Status wait(WorkerContext& worker) override;

  Result<std::unique_ptr<Recording>> record(WorkerContext& worker,
                                            const std::function<Status()>& work) override;
  Result<std::unique_ptr<Timer>> make_timer(WorkerContext& worker) override {
    return std::unique_ptr<Timer>(std::make_unique<EventTimer>(WorkerOf(worker).stream()));
  }
  Result<std::shared_ptr<ResidentVectors>> make_resident(size_t rows, int features,
                                                         std::span<const float> vectors) override {
    COUPLET_CHECK(vectors.empty() || vectors.size() == rows * static_cast<size_t>(features));
    DeviceBuffer memory;
    if (vectors.empty()) {
      COUPLET_ASSIGN_OR_RETURN(memory, device_->Allocate(rows * static_cast<size_t>(features) * sizeof(float)));
    } else {
      COUPLET_ASSIGN_OR_RETURN(memory, device_->UploadFloats(vectors));
    }
    return std::shared_ptr<ResidentVectors>(std::make_shared<DeviceVectors>(std::move(memory), rows, features));
  }
  Status keep_rows(ResidentVectors& vectors, std::span<const uint32_t> rows, const void* values,
                   WorkerContext& worker) override;
  Result<std::unique_ptr<HeadTrainer>> make_head_trainer(const HeadShape& shape) override {
    return MakeCudaHeadTrainer(*device_, shape);
  }
  int heads_together(const HeadShape& shape) const override { return FusesHeads(shape) ? kHeadStepsMaxHeads : 1; }

 private:
  // Of one worker's memory for conversions.
  size_t StagingBytes() const { return device_->half() ? kStagedNumbers * sizeof(float) : 0; }

  std::unique_ptr<Device> device_;
};

MemoryPlan CudaBackend::plan_memory(const MemoryNeeds& needs) const {
  MemoryPlan plan;
  const Result<size_t> budget = device_->Budget();
  plan.budget = budget.ok() ? *budget : 0;
  plan.weights = needs.weights;
  // Where the GPU lives in the host's memory, page-locked memory is its own, and the vectors are there twice.
  if (device_->integrated()) plan.slots = needs.slots;
  plan.vectors = needs.vectors * (device_->integrated() ? 2 : 1);
  const size_t workers = static_cast<size_t>(std::max(needs.workers, 1));
  plan.batches = workers * (device_->options().workspace_bytes + StagingBytes());
  // The second needs.photo is for scratch: a padded source and a dense result.
  const size_t photo = workers * (2 * needs.photo + kPhotoBytes);
  const size_t photos = plan.total() < plan.budget ? (plan.budget - plan.total()) / photo : 0;
  plan.batch = static_cast<int>(std::clamp<size_t>(photos, 1, std::clamp<size_t>(needs.photos, 1, kMostPhotos)));
  plan.batch = plan.batch / GroupOf(plan.batch) * GroupOf(plan.batch);
  plan.batches += static_cast<size_t>(plan.batch) * photo;
  return plan;
}

Status CudaBackend::copy_in(void* dst, const float* src, size_t count, WorkerContext& context) {
  Worker& worker = WorkerOf(context);
  if (!device_->half()) {
    COUPLET_DEVICE_RETURN(
        cudaMemcpyAsync(dst, src, count * sizeof(float), cudaMemcpyHostToDevice, worker.stream()));
    return {};
  }
  auto* const staging = worker.staging().as<float>();
  for (size_t at = 0; at < count; at += kStagedNumbers) {
    const size_t part = std::min(kStagedNumbers, count - at);
    COUPLET_DEVICE_RETURN(
        cudaMemcpyAsync(staging, src + at, part * sizeof(float), cudaMemcpyHostToDevice, worker.stream()));
    COUPLET_DEVICE_RETURN(LaunchConvert({static_cast<int64_t>(part)}, staging, static_cast<__half*>(dst) + at,
                                        worker.stream()));
  }
  return {};
}

Status CudaBackend::copy_out(float* dst, const void* src, size_t count, WorkerContext& context) {
  Worker& worker = WorkerOf(context);
  if (!device_->half()) {
    COUPLET_DEVICE_RETURN(
        cudaMemcpyAsync(dst, src, count * sizeof(float), cudaMemcpyDeviceToHost, worker.stream()));
    return {};
  }
  auto* const staging = worker.staging().as<float>();
  for (size_t at = 0; at < count; at += kStagedNumbers) {
    const size_t part = std::min(kStagedNumbers, count - at);
    COUPLET_DEVICE_RETURN(LaunchConvert({static_cast<int64_t>(part)}, static_cast<const __half*>(src) + at,
                                        staging, worker.stream()));
    COUPLET_DEVICE_RETURN(
        cudaMemcpyAsync(dst + at, staging, part * sizeof(float), cudaMemcpyDeviceToHost, worker.stream()));
  }
  return {};
}

// Photos that were decoded one after the other mostly are neighbours: their rows go in one piece.
Status CudaBackend::keep_rows(ResidentVectors& vectors, std::span<const uint32_t> rows, const void* values,
                              WorkerContext& context) {
  const auto& kept = static_cast<const DeviceVectors&>(vectors);
  const size_t features = static_cast<size_t>(kept.features);
  const cudaStream_t stream = WorkerOf(context).stream();
  for (size_t first = 0, last; first < rows.size(); first = last) {
    for (last = first + 1; last < rows.size() && rows[last] == rows[last - 1] + 1;) ++last;
    COUPLET_CHECK(rows[last - 1] < kept.rows);
    const size_t at = first * features, count = (last - first) * features;
    float* const dst = kept.memory.as<float>() + rows[first] * features;
    if (device_->half())
      COUPLET_DEVICE_RETURN(
          LaunchConvert({static_cast<int64_t>(count)}, static_cast<const __half*>(values) + at, dst, stream));
    else
      COUPLET_DEVICE_RETURN(cudaMemcpyAsync(dst, static_cast<const float*>(values) + at, count * sizeof(float),
                                            cudaMemcpyDeviceToDevice, stream));
  }
  return {};
}

Status CudaBackend::wait(WorkerContext& context) {
  COUPLET_DEVICE_RETURN(cudaStreamSynchronize(WorkerOf(context).stream()));
  return {};
}

Result<std::unique_ptr<Recording>> CudaBackend::record(WorkerContext& context,
                                                       const std::function<Status()>& work) {
  if (device_->watch()) return std::unique_ptr<Recording>();
  const cudaStream_t stream = WorkerOf(context).stream();
  COUPLET_ASSIGN_OR_RETURN(GraphExec made, Capture(stream, work));
  if (made.get() == nullptr) return std::unique_ptr<Recording>();  // it runs call by call, as it did before
  return std::unique_ptr<Recording>(std::make_unique<GraphRecording>(std::move(made), stream));
}

Result<std::unique_ptr<Backend>> MakeBackend(const CudaOptions& options) {
  COUPLET_ASSIGN_OR_RETURN(std::unique_ptr<Device> device, Device::Open(options));
  return std::unique_ptr<Backend>(std::make_unique<CudaBackend>(std::move(device)));
}

}  // namespace
}  // namespace couplet::cuda

// The one name that runtime/cuda_loader.cc looks up.
extern "C" __attribute__((visibility("default"))) void couplet_cuda_entry_points(
    couplet::CudaEntryPoints* entries) {
  entries->version = couplet::kCudaInterface;
  entries->make_backend = couplet::cuda::MakeBackend;
  entries->describe_devices = couplet::cuda::DescribeDevices;
}
