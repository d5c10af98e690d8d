// What one thread owns of the device: a stream, a cuDNN handle bound to it, and room for conversions.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/backend.h"
#include "runtime/cuda/handles.h"

namespace couplet::cuda {

class Worker final : public WorkerContext {
 public:
  Worker(Stream stream, DnnHandle dnn, DeviceBuffer staging)
      : stream_(std::move(stream)), dnn_(std::move(dnn)), staging_(std::move(staging)) {}
  cudaStream_t stream() const { return stream_.get(); }
  cudnnHandle_t dnn() const { return dnn_.get(); }
  // Floats on their way between host and half-precision activations; empty where activations are floats.
  const DeviceBuffer& staging() const { return staging_; }

 private:
  Stream stream_;  // destroyed last
  DnnHandle dnn_;
  DeviceBuffer staging_;
};

inline Worker& WorkerOf(WorkerContext& context) {
  return static_cast<Worker&>(context);
}

}  // namespace couplet::cuda
