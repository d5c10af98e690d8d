// The last layer's memory on the device, and the passes over a batch that are queued there.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/head_steps.h"
#include "kernels/sgd_update.h"
#include "kernels/softmax_xent.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/handles.h"
#include "runtime/cuda/resident_vectors.h"
#include "runtime/head_trainer.h"

namespace couplet::cuda {

// Rows of the vectors and their labels, on the device.
struct DeviceBatch {
  const uint32_t* rows = nullptr;   // [n]
  const int32_t* labels = nullptr;  // [n]
  int n = 0;
};

class HeadDevice {
 public:
  // What it allocates counts towards the limit of `memory`, which outlives it.
  static Result<std::unique_ptr<HeadDevice>> Create(const Device& memory, const HeadShape& shape);

  // Passes read what is there from now on.
  void UseVectors(const DeviceVectors& vectors);
  // These three wait until the copy is made.
  Status SetVectors(std::span<const float> vectors);
  Status SetParams(const HeadParams& params);
  Status ReadParams(HeadParams* out) const;
  // Whose parameters these two and the passes below are about.
  void UseHead(int head);
  int head() const { return head_; }

  // Makes room for passes over n rows. What was captured before is void when it returns and made() has
  // changed.
  Status Reserve(int n);
  // How often the memory that passes use became another.
  int made() const { return made_; }

  // Queues the forward pass over at most the rows reserved: softmax and loss into `result`, slopes for
  // Update, logits and probabilities when `keep`. `previous`: kernels/softmax_xent.h.
  Status Forward(const DeviceBatch& batch, bool keep, const HeadResult* previous, HeadResult* result);
  // Queues the step down the slopes of that pass, unless `result` is not finite; kernels/sgd_update.h.
  Status Update(const DeviceBatch& batch, float learning_rate, HeadResult* result);

  // Whether steps on n rows take the one kernel a step (kernels/head_steps.h) and not the two above. Then
  // every step does, in a run or alone, so that both give the same bits.
  bool Fuses(int n) const;
  HeadStepsShape FusedShape() const { return {.features = shape_.features, .classes = shape_.classes}; }
  // Queues such a step: what Forward and Update do, but for logits and probabilities.
  Status FusedStep(const DeviceBatch& batch, float learning_rate, HeadResult* result);

  const Device& memory() const { return memory_; }
  const HeadShape& shape() const { return shape_; }
  cudaStream_t stream() const { return stream_.get(); }
  size_t count() const { return count_; }  // vectors
  const float* vectors() const { return in_use_; }
  float* weights(int head) const { return weights_.as<float>() + static_cast<size_t>(head) * Weights(); }
  float* biases(int head) const { return biases_.as<float>() + static_cast<size_t>(head) * Classes(); }
  const float* logits() const { return logits_.as<float>(); }  // [n, classes] of the last kept pass
  const float* probabilities() const { return probabilities_.as<float>(); }  // likewise

 private:
  HeadDevice(const Device& memory, const HeadShape& shape) : memory_(memory), shape_(shape) {}
  Status Init();
  void Use(const float* vectors, size_t count);
  Status CopyIn(void* dst, const void* src, size_t bytes);
  size_t Classes() const { return static_cast<size_t>(shape_.classes); }
  size_t Weights() const { return static_cast<size_t>(shape_.features) * Classes(); }  // of a head

  const Device& memory_;
  const HeadShape shape_;
  Stream stream_;
  DeviceBuffer workspace_;  // cuBLAS's; outlives the handle
  BlasHandle blas_;
  int head_ = 0;  // in use
  DeviceBuffer vectors_;
  DeviceBuffer weights_, biases_;  // [heads, features, classes], [heads, classes]
  const float* in_use_ = nullptr;  // vectors_, or others'
  size_t count_ = 0;
  // Of the batch at hand, for `reserved_` rows.
  int reserved_ = 0, made_ = 0;
  DeviceBuffer gathered_;                         // [n, features]
  DeviceBuffer products_;                         // [n, classes] logits without biases
  DeviceBuffer slopes_, logits_, probabilities_;  // [n, classes]
  DeviceBuffer pass_partials_;
  DeviceBuffer gradient_;  // [features, classes]
  DeviceBuffer next_, update_partials_;
  DeviceBuffer step_scratch_;
};

// Whether one kernel a step takes heads of that shape, where batches are not too large; with it several heads share a
// launch.
bool FusesHeads(const HeadShape& shape);

// Makes `buffer` hold at least `bytes`, within the device's limit; `made` counts when its memory is a new one.
Status Grow(const Device& device, DeviceBuffer* buffer, size_t bytes, int* made);
Status Grow(PinnedBuffer* buffer, size_t bytes);

inline BatchResult ToBatchResult(const HeadResult& result) {
  return {.mean_loss = result.mean_loss, .correct = result.correct, .finite = result.finite != 0};
}

}  // namespace couplet::cuda
