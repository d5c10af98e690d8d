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

namespace {

Status Told(cudaError_t error, const char* call, size_t bytes, const char* kind) {
  const Status status = ToStatus(error, call, __FILE__, __LINE__);
  if (status.ok()) return status;
  return Status(status.code(), fmt::format("{} MB of {} memory: {}", (bytes + (1u << 20) - 1) >> 20, kind, status.message()));
}

}  // namespace

Status DeviceMemory::Allocate(size_t bytes, void** data) { return Told(cudaMalloc(data, bytes), "cudaMalloc", bytes, "device"); }
void DeviceMemory::Free(void* data) { COUPLET_DEVICE_LOG(cudaFree(data)); }

Status PinnedMemory::Allocate(size_t bytes, void** data) {
  return Told(cudaHostAlloc(data, bytes, cudaHostAllocMapped), "cudaHostAlloc", bytes, "pinned");
}
void PinnedMemory::Free(void* data) { COUPLET_DEVICE_LOG(cudaFreeHost(data)); }

}  // namespace couplet::cuda
