// The CUDA runtime's streams, events and graphs.
// SPDX-License-Identifier: Apache-2.0
#include "tests/support/standin/scheduler.h"
#include "tests/support/standin/state.h"

namespace couplet::standin {

namespace {

constexpr const char* kStream = "stream";
constexpr const char* kEvent = "event";
constexpr const char* kGraph = "graph";
constexpr const char* kGraphExec = "graph exec";

cudaError_t NewStream(cudaStream_t* handle, unsigned flags) {
  if (handle == nullptr || (flags & ~unsigned{cudaStreamNonBlocking}) != 0) return cudaErrorInvalidValue;
  Stream* stream = TheState().scheduler->NewStream((flags & cudaStreamNonBlocking) == 0);
  TheState().objects[stream] = kStream;
  *handle = stream;
  return cudaSuccess;
}

cudaError_t NewEvent(cudaEvent_t* handle, unsigned flags) {
  constexpr unsigned kKnown = cudaEventBlockingSync | cudaEventDisableTiming | cudaEventInterprocess;
  if (handle == nullptr || (flags & ~kKnown) != 0) return cudaErrorInvalidValue;
  Event* event = Create<Event>(kEvent);
  event->timing = (flags & cudaEventDisableTiming) == 0;
  *handle = event;
  return cudaSuccess;
}

Event* FindEvent(cudaEvent_t handle, const char* call) {
  return Alive(handle, kEvent, call) ? static_cast<Event*>(handle) : nullptr;
}

// Runs `body` on the living stream behind `handle`.
template <class Body>
cudaError_t OnStream(const char* call, cudaStream_t handle, Body&& body) {
  return Cuda(call, InCapture::kAllowed, [&] {
    Stream* stream = TheState().scheduler->Find(handle, call);
    return stream == nullptr ? cudaErrorInvalidResourceHandle : body(stream);
  });
}
template <class Body>
cudaError_t OnEvent(const char* call, cudaEvent_t handle, Body&& body) {
  return Cuda(call, InCapture::kAllowed, [&] {
    Event* event = FindEvent(handle, call);
    return event == nullptr ? cudaErrorInvalidResourceHandle : body(event);
  });
}

cudaError_t Elapsed(float* ms, const Event* from, const Event* to) {
  if (ms == nullptr) return cudaErrorInvalidValue;
  if (!from->timing || !to->timing || from->mark == nullptr || to->mark == nullptr)
    return cudaErrorInvalidResourceHandle;
  if (!from->mark->done || !to->mark->done) return cudaErrorNotReady;
  *ms = static_cast<float>(to->mark->time_ms - from->mark->time_ms);
  return cudaSuccess;
}

cudaError_t Instantiate(cudaGraphExec_t* handle, cudaGraph_t graph, unsigned long long flags,
                        const char* call) {
  if (handle == nullptr || flags > cudaGraphInstantiateFlagAutoFreeOnLaunch) return cudaErrorInvalidValue;
  if (!Alive(graph, kGraph, call)) return cudaErrorInvalidValue;
  GraphExec* exec = Create<GraphExec>(kGraphExec);
  exec->nodes = std::make_shared<const std::vector<Node>>(static_cast<Graph*>(graph)->nodes);
  *handle = exec;
  return cudaSuccess;
}

}  // namespace

}  // namespace couplet::standin

using namespace couplet::standin;  // NOLINT: the names below are C's

cudaError_t cudaStreamCreate(cudaStream_t* handle) {
  return Cuda(__func__, InCapture::kForbidden, [&] { return NewStream(handle, 0); });
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* handle, unsigned flags) {
  return Cuda(__func__, InCapture::kForbidden, [&] { return NewStream(handle, flags); });
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* handle, unsigned flags, int) {
  return Cuda(__func__, InCapture::kForbidden, [&] { return NewStream(handle, flags); });
}
cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return CudaRelease("cudaStreamDestroy", [&] {
    if (handle == nullptr || !Alive(handle, kStream, "cudaStreamDestroy"))
      return cudaErrorInvalidResourceHandle;
    if (static_cast<Stream*>(handle)->capture != nullptr)
      TheState().Misuse("cudaStreamDestroy: the stream is being captured");
    TheState().objects.erase(handle);
    TheState().scheduler->DeleteStream(static_cast<Stream*>(handle));
    return cudaSuccess;
  });
}
cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return OnStream(__func__, handle, [](Stream* stream) { return TheState().scheduler->Finish(stream); });
}
cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return OnStream(__func__, handle, [](Stream* stream) { return TheState().scheduler->Query(stream); });
}
cudaError_t cudaDeviceSynchronize() {
  return Cuda(__func__, InCapture::kForbidden, [] { return TheState().scheduler->FinishAll(); });
}
cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event_handle, unsigned flags) {
  return OnStream(__func__, handle, [&](Stream* stream) {
    const Event* event = FindEvent(event_handle, "cudaStreamWaitEvent");
    if (event == nullptr || flags > cudaEventWaitExternal) return cudaErrorInvalidValue;
    return TheState().scheduler->WaitFor(stream, event);
  });
}
cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* data) {
  return OnStream(__func__, handle, [&](Stream* stream) {
    if (function == nullptr) return cudaErrorInvalidValue;
    return TheState().scheduler->Add(stream, "host function", [function, data] {
      InHostFunction() = true;
      function(data);
      InHostFunction() = false;
      return cudaSuccess;
    });
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* handle) {
  return Cuda(__func__, InCapture::kAllowed, [&] { return NewEvent(handle, 0); });
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* handle, unsigned flags) {
  return Cuda(__func__, InCapture::kAllowed, [&] { return NewEvent(handle, flags); });
}
cudaError_t cudaEventDestroy(cudaEvent_t handle) {
  return CudaRelease(__func__, [&] {
    if (!Destroy(static_cast<Event*>(handle), kEvent)) return cudaErrorInvalidResourceHandle;
    return cudaSuccess;
  });
}
cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream_handle) {
  return OnStream(__func__, stream_handle, [&](Stream* stream) {
    Event* event = FindEvent(handle, "cudaEventRecord");
    return event == nullptr ? cudaErrorInvalidResourceHandle : TheState().scheduler->Record(event, stream);
  });
}
cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  return OnEvent(__func__, handle, [](const Event* event) { return TheState().scheduler->Finish(event); });
}
cudaError_t cudaEventQuery(cudaEvent_t handle) {
  return OnEvent(__func__, handle, [](const Event* event) { return TheState().scheduler->Query(event); });
}
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t from, cudaEvent_t to) {
  return OnEvent(__func__, from, [&](const Event* first) {
    const Event* last = FindEvent(to, "cudaEventElapsedTime");
    return last == nullptr ? cudaErrorInvalidResourceHandle : Elapsed(ms, first, last);
  });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return OnStream(__func__, handle,
                  [&](Stream* stream) { return TheState().scheduler->BeginCapture(stream, mode); });
}
cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  // A capture ends even where the call is to fail, as it does on a broken one.
  return CudaRelease(__func__, [&] {
    Stream* stream = TheState().scheduler->Find(handle, "cudaStreamEndCapture");
    if (stream == nullptr || graph == nullptr) return cudaErrorInvalidValue;
    *graph = nullptr;
    Graph* made = nullptr;
    const cudaError_t error = TheState().scheduler->EndCapture(stream, &made);
    *graph = made;
    return error;
  });
}
cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return OnStream(__func__, handle, [&](const Stream* stream) {
    if (status == nullptr) return cudaErrorInvalidValue;
    *status = stream->capture == nullptr ? cudaStreamCaptureStatusNone
              : stream->capture->broken  ? cudaStreamCaptureStatusInvalidated
                                         : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long flags) {
  return Cuda("cudaGraphInstantiate", InCapture::kForbidden,
              [&] { return Instantiate(exec, graph, flags, "cudaGraphInstantiate"); });
}
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* exec, cudaGraph_t graph,
                                          unsigned long long flags) {
  return Cuda("cudaGraphInstantiateWithFlags", InCapture::kForbidden,
              [&] { return Instantiate(exec, graph, flags, "cudaGraphInstantiateWithFlags"); });
}
cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t handle) {
  return OnStream(__func__, handle, [&](Stream*) {
    return Alive(exec, kGraphExec, "cudaGraphUpload") ? cudaSuccess : cudaErrorInvalidValue;
  });
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t handle) {
  return OnStream(__func__, handle, [&](Stream* stream) {
    if (!Alive(exec, kGraphExec, "cudaGraphLaunch")) return cudaErrorInvalidValue;
    return TheState().scheduler->Launch(*static_cast<const GraphExec*>(exec), stream);
  });
}
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  return Cuda(__func__, InCapture::kAllowed, [&] {
    // Only the count is played.
    if (!Alive(graph, kGraph, "cudaGraphGetNodes") || count == nullptr || nodes != nullptr)
      return cudaErrorInvalidValue;
    *count = static_cast<const Graph*>(graph)->nodes.size();
    return cudaSuccess;
  });
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return CudaRelease(__func__, [&] {
    if (!Destroy(static_cast<Graph*>(graph), kGraph)) return cudaErrorInvalidValue;
    return cudaSuccess;
  });
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  return CudaRelease(__func__, [&] {
    if (!Destroy(static_cast<GraphExec*>(exec), kGraphExec)) return cudaErrorInvalidValue;
    return cudaSuccess;
  });
}
