// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/head_trainer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/cuda/head_device.h"
#include "runtime/cuda/head_runner.h"

namespace couplet::cuda {

namespace {

class CudaHeadTrainer final : public HeadTrainer {
 public:
  explicit CudaHeadTrainer(std::unique_ptr<HeadDevice> device)
      : device_(std::move(device)), runner_(device_.get()) {}

  Status set_vectors(std::span<const float> vectors) override { return device_->SetVectors(vectors); }
  Status use_resident(const ResidentVectors& vectors) override {
    device_->UseVectors(static_cast<const DeviceVectors&>(vectors));
    return {};
  }
  void use_head(int head) override { device_->UseHead(head); }
  Status set_params(const HeadParams& params) override { return device_->SetParams(params); }
  Status read_params(HeadParams* out) const override { return device_->ReadParams(out); }
  StepRunner* runner() override { return &runner_; }

  Result<BatchResult> step(std::span<const uint32_t> rows, std::span<const int32_t> labels,
                           float learning_rate, const BatchOutputs& outputs) override {
    COUPLET_ASSIGN_OR_RETURN(const DeviceBatch batch, Stage(rows, labels));
    HeadResult* const result = result_.as<HeadResult>();
    const bool fuses = device_->Fuses(batch.n);
    if (!fuses || Kept(outputs))
      COUPLET_RETURN_IF_ERROR(device_->Forward(batch, Kept(outputs), nullptr, result));
    COUPLET_RETURN_IF_ERROR(fuses ? device_->FusedStep(batch, learning_rate, result)
                                  : device_->Update(batch, learning_rate, result));
    return Fetch(batch, outputs);
  }

  Result<BatchResult> evaluate(std::span<const uint32_t> rows, std::span<const int32_t> labels,
                               const BatchOutputs& outputs) override {
    COUPLET_CHECK(labels.size() == rows.size());
    BatchResult total;
    for (size_t at = 0; at < rows.size(); at += kEvaluateRows) {
      const size_t n = std::min(size_t{kEvaluateRows}, rows.size() - at);
      BatchOutputs part = outputs;
      const size_t skipped = at * static_cast<size_t>(device_->shape().classes);
      if (part.logits != nullptr) part.logits += skipped;
      if (part.probabilities != nullptr) part.probabilities += skipped;
      COUPLET_ASSIGN_OR_RETURN(const DeviceBatch batch, Stage(rows.subspan(at, n), labels.subspan(at, n)));
      COUPLET_RETURN_IF_ERROR(device_->Forward(batch, Kept(part), nullptr, result_.as<HeadResult>()));
      COUPLET_ASSIGN_OR_RETURN(const BatchResult result, Fetch(batch, part));
      AddPart(result, n, rows.size(), &total);
    }
    return total;
  }

 private:
  static bool Kept(const BatchOutputs& outputs) {
    return outputs.logits != nullptr || outputs.probabilities != nullptr;
  }

  // Copies a batch to the device. What was staged before has been used: every pass ends with Fetch.
  Result<DeviceBatch> Stage(std::span<const uint32_t> rows, std::span<const int32_t> labels) {
    const size_t n = rows.size(), bytes = n * sizeof(uint32_t);
    COUPLET_CHECK(n > 0 && labels.size() == n);
    for (const uint32_t row : rows) COUPLET_CHECK(row < device_->count());
    for (const int32_t label : labels) COUPLET_CHECK(label >= 0 && label < device_->shape().classes);
    COUPLET_RETURN_IF_ERROR(device_->Reserve(static_cast<int>(n)));
    int made = 0;  // nothing captured uses these
    COUPLET_RETURN_IF_ERROR(Grow(&staging_, 2 * bytes));
    COUPLET_RETURN_IF_ERROR(Grow(device_->memory(), &batch_, 2 * bytes, &made));
    COUPLET_RETURN_IF_ERROR(Grow(device_->memory(), &result_, sizeof(HeadResult), &made));
    std::memcpy(staging_.as<std::byte>(), rows.data(), bytes);
    std::memcpy(staging_.as<std::byte>() + bytes, labels.data(), bytes);
    COUPLET_DEVICE_RETURN(cudaMemcpyAsync(batch_.data(), staging_.data(), 2 * bytes, cudaMemcpyHostToDevice,
                                          device_->stream()));
    return DeviceBatch{
        .rows = batch_.as<uint32_t>(), .labels = batch_.as<int32_t>() + n, .n = static_cast<int>(n)};
  }

  // Waits for the pass and copies out what it told.
  Result<BatchResult> Fetch(const DeviceBatch& batch, const BatchOutputs& outputs) {
    const size_t floats = static_cast<size_t>(batch.n) * static_cast<size_t>(device_->shape().classes);
    const size_t bytes = floats * sizeof(float);
    COUPLET_RETURN_IF_ERROR(Grow(&fetched_, sizeof(HeadResult) + 2 * bytes));
    HeadResult* const result = fetched_.as<HeadResult>();
    float* const logits = reinterpret_cast<float*>(result + 1);
    float* const probabilities = logits + floats;
    COUPLET_RETURN_IF_ERROR(Queue(result, result_.data(), sizeof(HeadResult)));
    if (outputs.logits != nullptr) COUPLET_RETURN_IF_ERROR(Queue(logits, device_->logits(), bytes));
    if (outputs.probabilities != nullptr)
      COUPLET_RETURN_IF_ERROR(Queue(probabilities, device_->probabilities(), bytes));
    COUPLET_DEVICE_RETURN(cudaStreamSynchronize(device_->stream()));
    if (outputs.logits != nullptr) std::memcpy(outputs.logits, logits, bytes);
    if (outputs.probabilities != nullptr) std::memcpy(outputs.probabilities, probabilities, bytes);
    return ToBatchResult(*result);
  }

  Status Queue(void* dst, const void* src, size_t bytes) {
    COUPLET_DEVICE_RETURN(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToHost, device_->stream()));
    return {};
  }

  const std::unique_ptr<HeadDevice> device_;
  HeadRunner runner_;
  PinnedBuffer staging_, fetched_;
  DeviceBuffer batch_;   // rows, then labels
  DeviceBuffer result_;  // a HeadResult
};

}  // namespace

Result<std::unique_ptr<HeadTrainer>> MakeCudaHeadTrainer(const Device& memory, const HeadShape& shape) {
  COUPLET_CHECK(shape.features >= 1 && shape.classes >= 1 && shape.heads >= 1);
  COUPLET_ASSIGN_OR_RETURN(std::unique_ptr<HeadDevice> device, HeadDevice::Create(memory, shape));
  return std::unique_ptr<HeadTrainer>(new CudaHeadTrainer(std::move(device)));
}

}  // namespace couplet::cuda
