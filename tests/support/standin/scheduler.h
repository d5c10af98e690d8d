// Streams, events and graphs of the played device: work is queued, and run in any order that streams and
// events allow. Not thread-safe: the callers hold State::lock. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

// The toolkit leaves these structs to us.
struct CUstream_st {};
struct CUevent_st {};
struct CUgraph_st {};
struct CUgraphExec_st {};

namespace couplet::standin {

using Function = std::function<cudaError_t()>;

class Stream;

// Done when the work it stands for has run.
struct Mark {
  Stream* stream = nullptr;
  bool done = false;
  double time_ms = 0.0;  // on the played clock
};

struct Work {
  std::string what;
  Function run;  // empty: only a mark
  std::shared_ptr<Mark> mark;
  std::vector<std::shared_ptr<Mark>> after;
};

// What a capture records.
struct Node {
  std::string what;
  Function run;
  std::vector<int> after;  // earlier nodes
};

class Graph : public CUgraph_st {
 public:
  std::vector<Node> nodes;
};
class GraphExec : public CUgraphExec_st {
 public:
  std::shared_ptr<const std::vector<Node>> nodes;
};

struct Capture {
  Stream* origin = nullptr;
  std::vector<Node> nodes;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;
  bool broken = false;
};

class Stream : public CUstream_st {
 public:
  bool blocking = true;  // waits for the default stream and is waited for by it
  std::deque<Work> queue;
  std::shared_ptr<Capture> capture;
  std::vector<int> frontier;  // nodes that the next captured one follows
};

class Event : public CUevent_st {
 public:
  bool timing = true;
  std::shared_ptr<Mark> mark;        // of the last record, null before
  std::shared_ptr<Capture> capture;  // the last record was in a capture
  std::vector<int> frontier;
};

class Scheduler {
 public:
  void SetOrder(const std::string& order);

  Stream* NewStream(bool blocking);
  void DeleteStream(Stream* stream);
  // The stream behind a handle; null (noted) when it is not alive. 0 and cudaStreamLegacy are the default
  // stream.
  Stream* Find(cudaStream_t handle, const char* call);

  // Queues work, or records it where the stream is captured. Errors of the work show at the next wait, except
  // where the order is eager.
  cudaError_t Add(Stream* stream, std::string what, Function run);
  cudaError_t Record(Event* event, Stream* stream);
  cudaError_t WaitFor(Stream* stream, const Event* event);

  // Runs at least what the wait needs.
  cudaError_t Finish(Stream* stream);
  cudaError_t Finish(const Event* event);
  cudaError_t FinishAll();
  // cudaErrorNotReady after some progress where there is work left.
  cudaError_t Query(Stream* stream);
  cudaError_t Query(const Event* event);

  cudaError_t BeginCapture(Stream* stream, cudaStreamCaptureMode mode);
  cudaError_t EndCapture(Stream* stream, Graph** graph);
  cudaError_t Launch(const GraphExec& exec, Stream* stream);
  // A call that may not be made while a stream is captured: breaks captures that forbid it, and says whether
  // it did.
  bool BreaksCapture();

 private:
  enum class Order { kEager, kLate, kRandom };
  // Queues work after what the stream's rules and `after` demand; its mark.
  std::shared_ptr<Mark> Push(Stream* stream, std::string what, Function run, std::shared_ptr<Mark> after);
  uint32_t Random(uint32_t below);
  bool Ready(const Stream& stream) const;
  void RunFront(Stream* stream);
  bool RunSomething();
  void RunUntil(const Mark& mark);
  std::vector<int> NodeOrder(const std::vector<Node>& nodes);
  cudaError_t Implicit(Stream* stream);
  cudaError_t TakeError();

  Order order_ = Order::kEager;
  uint64_t random_ = 1;
  Stream default_stream_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<std::weak_ptr<Capture>> captures_;
  cudaError_t pending_error_ = cudaSuccess;  // of work that ran, until a call returns it
  double clock_ms_ = 0.0;
};

}  // namespace couplet::standin
