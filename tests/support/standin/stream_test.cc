// SPDX-License-Identifier: Apache-2.0
#include "tests/support/standin/scheduler.h"
#include "tests/support/standin/testing.h"

using namespace couplet::standin;

namespace {

const char* const kOrders[] = {"eager", "late", "1", "2", "3", "4", "5", "6", "7", "8"};

struct Streams {
  cudaStream_t a = nullptr, b = nullptr;
  cudaEvent_t event = nullptr;
  explicit Streams(unsigned flags = cudaStreamNonBlocking) {
    REQUIRE(cudaStreamCreateWithFlags(&a, flags) == cudaSuccess);
    REQUIRE(cudaStreamCreateWithFlags(&b, flags) == cudaSuccess);
    REQUIRE(cudaEventCreate(&event) == cudaSuccess);
  }
  ~Streams() {
    CHECK(cudaStreamDestroy(a) == cudaSuccess);
    CHECK(cudaStreamDestroy(b) == cudaSuccess);
    CHECK(cudaEventDestroy(event) == cudaSuccess);
  }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;
};

// x: 1, then 2 from stream a; y: x's copy by stream b, after an event or not. Returns y.
float CopyAcross(const char* order, bool with_event, unsigned flags = cudaStreamNonBlocking) {
  const Floats x(1), y(1), one(1, true), two(1, true);
  one.data()[0] = 1, two.data()[0] = 2;
  CHECK(cudaMemcpy(x.data(), one.data(), 4, cudaMemcpyDefault) == cudaSuccess);
  const Streams s(flags);
  couplet_standin_order(order);
  CHECK(cudaMemcpyAsync(x.data(), two.data(), 4, cudaMemcpyDefault, s.a) == cudaSuccess);
  if (with_event) {
    CHECK(cudaEventRecord(s.event, s.a) == cudaSuccess);
    CHECK(cudaStreamWaitEvent(s.b, s.event, 0) == cudaSuccess);
  }
  CHECK(cudaMemcpyAsync(y.data(), x.data(), 4, cudaMemcpyDefault, s.b) == cudaSuccess);
  CHECK(cudaStreamSynchronize(s.b) == cudaSuccess);
  return y.Read()[0];
}

}  // namespace

TEST_CASE("standin: with an event every order gives the same, without one the late order shows it") {
  const FreshDevice fresh;
  for (const char* order : kOrders) {
    CAPTURE(order);
    CHECK(CopyAcross(order, true) == 2);
  }
  CHECK(CopyAcross("eager", false) == 2);
  CHECK(CopyAcross("late", false) == 1);
  int wrong = 0;
  for (const char* order : kOrders) wrong += CopyAcross(order, false) == 1 ? 1 : 0;
  CHECK(wrong >= 3);
}

TEST_CASE("standin: an event waits for its last record, and for nothing before its first") {
  const FreshDevice fresh;
  for (const char* order : kOrders) {
    const Streams s;
    const Floats x(1);
    couplet_standin_order(order);
    CHECK(cudaStreamWaitEvent(s.b, s.event, 0) == cudaSuccess);
    CHECK(cudaEventRecord(s.event, s.a) == cudaSuccess);
    CHECK(cudaMemsetAsync(x.data(), 0, 4, s.a) == cudaSuccess);
    CHECK(cudaEventRecord(s.event, s.a) == cudaSuccess);
    CHECK(cudaEventSynchronize(s.event) == cudaSuccess);
    CHECK(x.Read()[0] == 0);
  }
}

TEST_CASE("standin: blocking streams and the default stream wait for each other, others do not") {
  const FreshDevice fresh;
  const Streams blocking(cudaStreamDefault), free;
  const Floats x(1), one(1, true), two(1, true);
  one.data()[0] = 1, two.data()[0] = 2;
  couplet_standin_order("late");
  CHECK(cudaMemcpyAsync(x.data(), two.data(), 4, cudaMemcpyDefault, blocking.a) == cudaSuccess);
  CHECK(x.Read()[0] == 2);  // cudaMemcpy is on the default stream
  CHECK(cudaMemcpyAsync(x.data(), one.data(), 4, cudaMemcpyDefault, free.a) == cudaSuccess);
  CHECK(x.Read()[0] == 2);
  CHECK(cudaStreamSynchronize(free.a) == cudaSuccess);
  CHECK(x.Read()[0] == 1);
}

TEST_CASE("standin: pinned memory is read when the copy runs, other memory when it is asked for") {
  const FreshDevice fresh;
  const Streams s;
  const Floats x(1), pinned(1, true);
  couplet_standin_order("late");
  pinned.data()[0] = 1;
  CHECK(cudaMemcpyAsync(x.data(), pinned.data(), 4, cudaMemcpyDefault, s.a) == cudaSuccess);
  pinned.data()[0] = 2;  // too early
  CHECK(cudaStreamSynchronize(s.a) == cudaSuccess);
  CHECK(x.Read()[0] == 2);
  float pageable = 3;
  CHECK(cudaMemcpyAsync(x.data(), &pageable, 4, cudaMemcpyHostToDevice, s.a) == cudaSuccess);
  pageable = 4;
  CHECK(cudaStreamSynchronize(s.a) == cudaSuccess);
  CHECK(x.Read()[0] == 3);
  CHECK(cudaMemcpyAsync(&pageable, x.data(), 4, cudaMemcpyDeviceToHost, s.a) == cudaSuccess);
  CHECK(pageable == 3);  // such a copy is over when the call returns
}

TEST_CASE("standin: polling ends, and times pass") {
  const FreshDevice fresh;
  const Streams s;
  const Floats x(1);
  cudaEvent_t end = nullptr;
  REQUIRE(cudaEventCreate(&end) == cudaSuccess);
  couplet_standin_order("late");
  CHECK(cudaEventRecord(s.event, s.a) == cudaSuccess);
  CHECK(cudaMemsetAsync(x.data(), 0, 4, s.a) == cudaSuccess);
  CHECK(cudaEventRecord(end, s.a) == cudaSuccess);
  float ms = -1;
  CHECK(cudaEventElapsedTime(&ms, s.event, end) == cudaErrorNotReady);
  int polls = 0;
  while (cudaEventQuery(end) == cudaErrorNotReady) ++polls;
  CHECK(polls >= 1);
  CHECK(cudaStreamQuery(s.a) == cudaSuccess);
  CHECK(cudaEventElapsedTime(&ms, s.event, end) == cudaSuccess);
  CHECK(ms > 0);
  CHECK(cudaEventDestroy(end) == cudaSuccess);
}

TEST_CASE("standin: a captured graph with a fork runs in any order its edges allow, as often as launched") {
  const FreshDevice fresh;
  for (const char* order : kOrders) {
    CAPTURE(order);
    const Streams s;
    const Floats x(1), y(1), z(2), one(1, true);
    one.data()[0] = 1;
    couplet_standin_order(order);
    REQUIRE(cudaStreamBeginCapture(s.a, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
    CHECK(cudaMemcpyAsync(x.data(), one.data(), 4, cudaMemcpyDefault, s.a) == cudaSuccess);
    CHECK(cudaEventRecord(s.event, s.a) == cudaSuccess);
    CHECK(cudaStreamWaitEvent(s.b, s.event, 0) == cudaSuccess);
    CHECK(cudaMemcpyAsync(y.data(), x.data(), 4, cudaMemcpyDefault, s.b) == cudaSuccess);
    CHECK(cudaMemcpyAsync(z.data(), x.data(), 4, cudaMemcpyDefault, s.a) == cudaSuccess);
    CHECK(cudaEventRecord(s.event, s.b) == cudaSuccess);
    CHECK(cudaStreamWaitEvent(s.a, s.event, 0) == cudaSuccess);
    CHECK(cudaMemcpyAsync(z.data() + 1, y.data(), 4, cudaMemcpyDefault, s.a) == cudaSuccess);
    cudaGraph_t graph = nullptr;
    REQUIRE(cudaStreamEndCapture(s.a, &graph) == cudaSuccess);
    CHECK(couplet_standin_calls("run") == 0);  // captured, not run
    size_t nodes = 0;
    CHECK(cudaGraphGetNodes(graph, nullptr, &nodes) == cudaSuccess);
    CHECK(nodes == 4);
    cudaGraphExec_t exec = nullptr;
    REQUIRE(cudaGraphInstantiateWithFlags(&exec, graph, 0) == cudaSuccess);
    CHECK(cudaGraphDestroy(graph) == cudaSuccess);
    for (const float value : {1.0f, 5.0f}) {
      one.data()[0] = value;
      CHECK(cudaGraphLaunch(exec, s.b) == cudaSuccess);
      CHECK(cudaStreamSynchronize(s.b) == cudaSuccess);
      CHECK(z.Read() == std::vector<float>{value, value});
    }
    CHECK(cudaGraphExecDestroy(exec) == cudaSuccess);
    couplet_standin_reset();
    couplet_standin_set("quiet", "1");
  }
}

TEST_CASE("standin: what may not be done while a stream is captured breaks the capture") {
  const FreshDevice fresh;
  const Streams s;
  const Floats x(1);
  void* data = nullptr;
  cudaGraph_t graph = nullptr;
  const auto begin = [&](cudaStreamCaptureMode mode) {
    REQUIRE(cudaStreamBeginCapture(s.a, mode) == cudaSuccess);
  };
  begin(cudaStreamCaptureModeGlobal);
  CHECK(cudaMalloc(&data, 4) == cudaErrorStreamCaptureUnsupported);
  CHECK(cudaMemsetAsync(x.data(), 0, 4, s.a) == cudaErrorStreamCaptureInvalidated);
  CHECK(cudaStreamEndCapture(s.a, &graph) == cudaErrorStreamCaptureInvalidated);
  CHECK(graph == nullptr);
  begin(cudaStreamCaptureModeRelaxed);
  CHECK(cudaMalloc(&data, 4) == cudaSuccess);
  CHECK(cudaStreamEndCapture(s.a, &graph) == cudaSuccess);
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  CHECK(cudaFree(data) == cudaSuccess);
  begin(cudaStreamCaptureModeThreadLocal);
  CHECK(cudaStreamSynchronize(s.a) == cudaErrorStreamCaptureUnsupported);
  CHECK(cudaStreamEndCapture(s.a, &graph) == cudaErrorStreamCaptureInvalidated);
  begin(cudaStreamCaptureModeThreadLocal);
  float pageable = 0;
  CHECK(cudaMemcpyAsync(x.data(), &pageable, 4, cudaMemcpyHostToDevice, s.a) ==
        cudaErrorStreamCaptureUnsupported);
  CHECK_HAS(FreshDevice::Mistakes(), "pageable memory in a captured stream");
  CHECK(cudaStreamEndCapture(s.a, &graph) == cudaErrorStreamCaptureInvalidated);
  // A fork that is never joined.
  begin(cudaStreamCaptureModeThreadLocal);
  CHECK(cudaEventRecord(s.event, s.a) == cudaSuccess);
  CHECK(cudaStreamWaitEvent(s.b, s.event, 0) == cudaSuccess);
  CHECK(cudaMemsetAsync(x.data(), 0, 4, s.b) == cudaSuccess);
  CHECK(cudaStreamEndCapture(s.a, &graph) == cudaErrorStreamCaptureUnjoined);
  // Work from outside that the capture waits for.
  CHECK(cudaEventRecord(s.event, s.b) == cudaSuccess);
  begin(cudaStreamCaptureModeThreadLocal);
  CHECK(cudaStreamWaitEvent(s.a, s.event, 0) == cudaErrorStreamCaptureIsolation);
  CHECK(cudaStreamEndCapture(s.a, &graph) == cudaErrorStreamCaptureInvalidated);
}

TEST_CASE("standin: handles that are not alive are seen, and host functions may not call back") {
  const FreshDevice fresh;
  cudaStream_t stream = nullptr;
  cudaEvent_t event = nullptr;
  REQUIRE(cudaStreamCreate(&stream) == cudaSuccess);
  REQUIRE(cudaEventCreate(&event) == cudaSuccess);
  cudaError_t inside = cudaSuccess;
  CHECK(cudaLaunchHostFunc(
            stream, [](void* out) { *static_cast<cudaError_t*>(out) = cudaDeviceSynchronize(); }, &inside) ==
        cudaSuccess);
  CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
  CHECK(inside == cudaErrorNotPermitted);
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
  CHECK(cudaStreamSynchronize(stream) == cudaErrorInvalidResourceHandle);
  CHECK_HAS(FreshDevice::Mistakes(), "cudaStreamSynchronize: a stream that is not alive");
  REQUIRE(cudaStreamCreate(&stream) == cudaSuccess);
  REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed) == cudaSuccess);
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
  CHECK_HAS(FreshDevice::Mistakes(), "cudaStreamDestroy: the stream is being captured");
  CHECK(cudaEventDestroy(event) == cudaSuccess);
  CHECK(cudaEventDestroy(event) == cudaErrorInvalidResourceHandle);
  CHECK_HAS(FreshDevice::Mistakes(), "event destroyed that is not alive");
}
