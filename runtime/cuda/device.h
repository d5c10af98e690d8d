// What all of the engine's parts share about the one device they run on: its properties, the libraries, what
// the user asked for, and what preparing needs. Thread-safe.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "runtime/backend.h"
#include "runtime/cuda/handles.h"
#include "runtime/cuda_loader.h"
#include "runtime/tuning.h"

namespace couplet::cuda {

// Dense convolutions and matrix products are done for whole groups of photos, and photo by photo by a session that is
// made for fewer than the small group: each call to a library then has one shape whatever the batch, so a photo's bits
// depend neither on its place in a batch nor on the batch's size, but for which group a session's memory holds. The
// large one fills a large GPU: on an H200 products of 256 photos take a third of the time of eight times 32.
inline constexpr int kSmallGroup = 32, kLargeGroup = 256;
inline int GroupOf(int max_batch) {
  return max_batch >= kLargeGroup ? kLargeGroup : max_batch >= kSmallGroup ? kSmallGroup : 1;
}

class Device {
 public:
  // The first device. `options` as the user gave them.
  static Result<std::unique_ptr<Device>> Open(const CudaOptions& options);

  const CudaOptions& options() const { return options_; }
  Precision precision() const { return precision_; }
  bool half() const { return precision_ == Precision::kFp16; }
  size_t element_bytes() const { return half() ? 2 : 4; }
  cudaDataType_t blas_type() const { return half() ? CUDA_R_16F : CUDA_R_32F; }
  cudnnDataType_t dnn_type() const { return half() ? CUDNN_DATA_HALF : CUDNN_DATA_FLOAT; }
  int capability() const { return capability_number_; }  // 75 for 7.5
  const std::string& description() const { return description_; }
  cublasLtHandle_t blas_lt() const { return blas_lt_.get(); }
  // The GPU has no memory of its own but the host's.
  bool integrated() const { return integrated_; }
  // Where the GPU finds host memory that is page-locked: nothing needs to be copied. Null for any other memory.
  const void* Mapped(const void* host) const;
  bool watch() const { return watch_; }  // IsWatched()
  // Held while a watched layer runs: another worker's would be told of its failure, too.
  std::mutex& watched() const { return watched_; }

  // Device memory within the user's limit. kOutOfMemory says how much was wanted and how much is free.
  Result<DeviceBuffer> Allocate(size_t bytes) const;
  // Bytes that can still be taken, within the user's limit; on a GPU that shares the host's memory also
  // within what the host has to give.
  Result<size_t> FreeBytes() const;
  // Of that what a plan may count on: seven tenths, because others come and fragments are lost, and no more than the user's
  // limit leaves.
  Result<size_t> Budget() const;
  // Device copies of host memory.
  Result<DeviceBuffer> Upload(const void* src, size_t bytes) const;
  Result<DeviceBuffer> UploadFloats(std::span<const float> values) const;
  // As activations are: halves where the precision is fp16.
  Result<DeviceBuffer> UploadElements(std::span<const float> values) const;
  // `count` elements, uniform in [-1, 1): what is timed works on them, as zeros make a GPU faster than it is.
  Result<DeviceBuffer> UploadNoise(size_t count) const;

  double floor_ms(double bytes, double multiply_adds) const;

  // For preparing: one thread at a time has the libraries' handles and a stream. Holds the lock while it
  // lives.
  struct Bench {
    std::unique_lock<std::mutex> lock;
    cudaStream_t stream;
  };
  Bench TakeBench() const;
  // cuDNN for the bench's stream. Made when it is first asked for: see Worker.
  Result<cudnnHandle_t> DnnOf(const Bench& bench) const;
  Tuning& tuning() const { return tuning_; }

 private:
  Device() = default;
  Status ReadProperties();
  Result<size_t> Available() const;  // FreeBytes() without the user's limit
  Result<size_t> Countable() const;  // shrinks by what is taken: the user's limit is held to it
  Result<size_t> WithinLimit(size_t bytes) const;
  Status TryKernel() const;

  CudaOptions options_;
  Precision precision_ = Precision::kFp32;
  std::string description_, capability_;  // "9.0"
  int capability_number_ = 0;
  bool watch_ = false, integrated_ = false;
  double bytes_per_ms_ = 0.0, multiply_adds_per_ms_ = 0.0;
  size_t countable_at_start_ = 0;
  LtHandle blas_lt_;
  Stream stream_;
  mutable DnnHandle dnn_;  // under mutex_
  mutable std::mutex mutex_, watched_;
  mutable Tuning tuning_;
};

// One line a fact, for people; never fails.
std::string DescribeDevices();

}  // namespace couplet::cuda
