// Move-only owners of what the CUDA libraries hand out. Each factory returns the owner or the Status of the
// call that failed; each destructor lets go and logs what goes wrong.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cublasLt.h>
#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include <cstddef>
#include <functional>
#include <utility>

#include "runtime/cuda/check.h"
#include "runtime/status.h"

namespace couplet::cuda {

// Owns a T (a pointer type, null = nothing) that Release lets go of.
template <class T, void (*Release)(T)>
class Owned {
 public:
  Owned() = default;
  explicit Owned(T held) : held_(held) {}
  Owned(Owned&& other) noexcept : held_(std::exchange(other.held_, T{})) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(held_, other.held_);
    return *this;
  }
  ~Owned() {
    if (held_ != T{}) Release(held_);
  }
  T get() const { return held_; }
  explicit operator bool() const { return held_ != T{}; }

 private:
  T held_{};
};

inline void Release(cudaStream_t held) {
  COUPLET_DEVICE_LOG(cudaStreamDestroy(held));
}
inline void Release(cudaEvent_t held) {
  COUPLET_DEVICE_LOG(cudaEventDestroy(held));
}
inline void Release(cudaGraph_t held) {
  COUPLET_DEVICE_LOG(cudaGraphDestroy(held));
}
inline void Release(cudaGraphExec_t held) {
  COUPLET_DEVICE_LOG(cudaGraphExecDestroy(held));
}
inline void Release(cudnnHandle_t held) {
  COUPLET_DEVICE_LOG(cudnnDestroy(held));
}
inline void Release(cudnnTensorDescriptor_t held) {
  COUPLET_DEVICE_LOG(cudnnDestroyTensorDescriptor(held));
}
inline void Release(cudnnFilterDescriptor_t held) {
  COUPLET_DEVICE_LOG(cudnnDestroyFilterDescriptor(held));
}
inline void Release(cudnnConvolutionDescriptor_t held) {
  COUPLET_DEVICE_LOG(cudnnDestroyConvolutionDescriptor(held));
}
inline void Release(cudnnActivationDescriptor_t held) {
  COUPLET_DEVICE_LOG(cudnnDestroyActivationDescriptor(held));
}
inline void ReleaseBlas(cublasHandle_t held) {
  COUPLET_DEVICE_LOG(cublasDestroy(held));
}
inline void Release(cublasLtHandle_t held) {
  COUPLET_DEVICE_LOG(cublasLtDestroy(held));
}
inline void Release(cublasLtMatmulDesc_t held) {
  COUPLET_DEVICE_LOG(cublasLtMatmulDescDestroy(held));
}
inline void Release(cublasLtMatrixLayout_t held) {
  COUPLET_DEVICE_LOG(cublasLtMatrixLayoutDestroy(held));
}
inline void Release(cublasLtMatmulPreference_t held) {
  COUPLET_DEVICE_LOG(cublasLtMatmulPreferenceDestroy(held));
}

using Stream = Owned<cudaStream_t, Release>;
using Event = Owned<cudaEvent_t, Release>;
using Graph = Owned<cudaGraph_t, Release>;
using GraphExec = Owned<cudaGraphExec_t, Release>;
using DnnHandle = Owned<cudnnHandle_t, Release>;
using TensorDescriptor = Owned<cudnnTensorDescriptor_t, Release>;
using FilterDescriptor = Owned<cudnnFilterDescriptor_t, Release>;
using ConvolutionDescriptor = Owned<cudnnConvolutionDescriptor_t, Release>;
using ActivationDescriptor = Owned<cudnnActivationDescriptor_t, Release>;
using BlasHandle = Owned<cublasHandle_t, ReleaseBlas>;
using LtHandle = Owned<cublasLtHandle_t, Release>;
using MatmulDesc = Owned<cublasLtMatmulDesc_t, Release>;
using MatrixLayout = Owned<cublasLtMatrixLayout_t, Release>;
using MatmulPreference = Owned<cublasLtMatmulPreference_t, Release>;

Result<Stream> MakeStream();  // does not wait for the legacy default stream
// What `work` queues on the stream, as a graph that can be launched; null where something in there cannot be captured:
// nothing has been done then. An error where the device is lost.
Result<GraphExec> Capture(cudaStream_t stream, const std::function<Status()>& work);
Result<Event> MakeEvent();    // for order only, no time
Result<Event> MakeTimedEvent();
Result<DnnHandle> MakeDnnHandle(cudaStream_t stream);
Result<TensorDescriptor> MakeTensorDescriptor();
Result<FilterDescriptor> MakeFilterDescriptor();
Result<ConvolutionDescriptor> MakeConvolutionDescriptor();
Result<ActivationDescriptor> MakeActivationDescriptor();
Result<BlasHandle> MakeBlasHandle(cudaStream_t stream);
Result<LtHandle> MakeLtHandle();

// Memory of a kind; null and 0 bytes when empty.
template <class Kind>
class CudaBuffer {
 public:
  CudaBuffer() = default;
  CudaBuffer(CudaBuffer&& other) noexcept { *this = std::move(other); }
  CudaBuffer& operator=(CudaBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~CudaBuffer() {
    if (data_ != nullptr) Kind::Free(data_);
  }
  // The error's code is kOutOfMemory when it does not fit.
  static Result<CudaBuffer> Allocate(size_t bytes) {
    CudaBuffer buffer;
    if (bytes != 0) COUPLET_RETURN_IF_ERROR(Kind::Allocate(bytes, &buffer.data_));
    buffer.bytes_ = bytes;
    return buffer;
  }
  void* data() const { return data_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  size_t bytes() const { return bytes_; }
  // The memory is the caller's from now on.
  void* release() {
    bytes_ = 0;
    return std::exchange(data_, nullptr);
  }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

struct DeviceMemory {
  static Status Allocate(size_t bytes, void** data);
  static void Free(void* data);
};
using DeviceBuffer = CudaBuffer<DeviceMemory>;

// Page-locked, on the host.
struct PinnedMemory {
  static Status Allocate(size_t bytes, void** data);
  static void Free(void* data);
};
using PinnedBuffer = CudaBuffer<PinnedMemory>;

}  // namespace couplet::cuda
