// What one thread owns of the device: a stream, a cuDNN handle bound to it where a layer asks for one, and room for
// conversions.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/backend.h"
#include "runtime/cuda/handles.h"

namespace couplet::cuda {

class Worker final : public WorkerContext {
 public:
  Worker(Stream stream, DeviceBuffer staging) : stream_(std::move(stream)), staging_(std::move(staging)) {}
  cudaStream_t stream() const { return stream_.get(); }
  // Made when it is first asked for: a network of products and our own kernels starts without cuDNN.
  Result<cudnnHandle_t> dnn() {
    if (dnn_.get() == nullptr) {
      COUPLET_ASSIGN_OR_RETURN(dnn_, MakeDnnHandle(stream_.get()));
    }
    return dnn_.get();
  }
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
