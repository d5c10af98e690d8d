// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/handles.h"

#include <fmt/format.h>

namespace couplet::cuda {

Result<Stream> MakeStream() {
  cudaStream_t made = nullptr;
  COUPLET_DEVICE_RETURN(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking));
  return Stream(made);
}

Result<GraphExec> Capture(cudaStream_t stream, const std::function<Status()>& work) {
  cudaGraph_t captured = nullptr;
  Status queued;
  cudaError_t ended = cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
  if (ended == cudaSuccess) {
    queued = work();
    ended = cudaStreamEndCapture(stream, &captured);
  }
  const Graph graph(captured);
  cudaGraphExec_t made = nullptr;
  if (queued.ok() && ended == cudaSuccess) {
#if CUDART_VERSION >= 11040
    ended = cudaGraphInstantiateWithFlags(&made, graph.get(), 0);
#else
    ended = cudaGraphInstantiate(&made, graph.get(), nullptr, nullptr, 0);
#endif
  }
  if (IsSticky(ended)) return ToStatus(ended, "capturing a stream", __FILE__, __LINE__);
  static_cast<void>(cudaGetLastError());
  return GraphExec(made);
}

Result<Event> MakeEvent() {
  cudaEvent_t made = nullptr;
  COUPLET_DEVICE_RETURN(cudaEventCreateWithFlags(&made, cudaEventDisableTiming));
  return Event(made);
}

Result<Event> MakeTimedEvent() {
  cudaEvent_t made = nullptr;
  COUPLET_DEVICE_RETURN(cudaEventCreateWithFlags(&made, cudaEventDefault));
  return Event(made);
}

Result<DnnHandle> MakeDnnHandle(cudaStream_t stream) {
  cudnnHandle_t made = nullptr;
  COUPLET_DEVICE_RETURN(cudnnCreate(&made));
  DnnHandle handle(made);
  COUPLET_DEVICE_RETURN(cudnnSetStream(made, stream));
  return handle;
}

Result<TensorDescriptor> MakeTensorDescriptor() {
  cudnnTensorDescriptor_t made = nullptr;
  COUPLET_DEVICE_RETURN(cudnnCreateTensorDescriptor(&made));
  return TensorDescriptor(made);
}

Result<FilterDescriptor> MakeFilterDescriptor() {
  cudnnFilterDescriptor_t made = nullptr;
  COUPLET_DEVICE_RETURN(cudnnCreateFilterDescriptor(&made));
  return FilterDescriptor(made);
}

Result<ConvolutionDescriptor> MakeConvolutionDescriptor() {
  cudnnConvolutionDescriptor_t made = nullptr;
  COUPLET_DEVICE_RETURN(cudnnCreateConvolutionDescriptor(&made));
  return ConvolutionDescriptor(made);
}

Result<ActivationDescriptor> MakeActivationDescriptor() {
  cudnnActivationDescriptor_t made = nullptr;
  COUPLET_DEVICE_RETURN(cudnnCreateActivationDescriptor(&made));
  return ActivationDescriptor(made);
}

Result<BlasHandle> MakeBlasHandle(cudaStream_t stream) {
  cublasHandle_t made = nullptr;
  COUPLET_DEVICE_RETURN(cublasCreate(&made));
  BlasHandle handle(made);
  COUPLET_DEVICE_RETURN(cublasSetStream(made, stream));
  return handle;
}

Result<LtHandle> MakeLtHandle() {
  cublasLtHandle_t made = nullptr;
  COUPLET_DEVICE_RETURN(cublasLtCreate(&made));
  return LtHandle(made);
}

Result<DeviceBuffer> DeviceBuffer::Allocate(size_t bytes) {
  DeviceBuffer buffer;
  if (bytes == 0) return buffer;
  if (const Status status = ToStatus(cudaMalloc(&buffer.data_, bytes), "cudaMalloc", __FILE__, __LINE__);
      !status.ok())
    return Status(status.code(), fmt::format("{} MB of device memory: {}", (bytes + (1u << 20) - 1) >> 20,
                                             status.message()));
  buffer.bytes_ = bytes;
  return buffer;
}
DeviceBuffer::~DeviceBuffer() {
  if (data_ != nullptr) COUPLET_DEVICE_LOG(cudaFree(data_));
}

Result<PinnedBuffer> PinnedBuffer::Allocate(size_t bytes) {
  PinnedBuffer buffer;
  if (bytes == 0) return buffer;
  if (const Status status = ToStatus(cudaHostAlloc(&buffer.data_, bytes, cudaHostAllocMapped),
                                     "cudaHostAlloc", __FILE__, __LINE__);
      !status.ok())
    return Status(status.code(), fmt::format("{} MB of pinned memory: {}", (bytes + (1u << 20) - 1) >> 20,
                                             status.message()));
  buffer.bytes_ = bytes;
  return buffer;
}
PinnedBuffer::~PinnedBuffer() {
  if (data_ != nullptr) COUPLET_DEVICE_LOG(cudaFreeHost(data_));
}

}  // namespace couplet::cuda
