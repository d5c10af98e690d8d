// SPDX-License-Identifier: Apache-2.0
#include "tests/support/standin/scheduler.h"

#include <algorithm>
#include <cstdlib>

#include "tests/support/standin/memory.h"
#include "tests/support/standin/state.h"

namespace couplet::standin {

namespace {

// A played clock: every piece of work takes as long, so that elapsed times are positive and the same in every
// run.
constexpr double kWorkMs = 0.001;

bool Contains(const std::vector<int>& list, int value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}
void AddTo(std::vector<int>* list, const std::vector<int>& more) {
  for (const int value : more)
    if (!Contains(*list, value)) list->push_back(value);
}

}  // namespace

void Scheduler::SetOrder(const std::string& order) {
  order_ = order == "eager" ? Order::kEager : order == "late" ? Order::kLate : Order::kRandom;
  random_ = static_cast<uint64_t>(std::atoll(order.c_str())) * 0x9E3779B97F4A7C15u + 1;
  // What is queued under the old order stays queued, and runs at the next call that runs anything.
}

uint32_t Scheduler::Random(uint32_t below) {
  random_ = random_ * 6364136223846793005u + 1442695040888963407u;
  return static_cast<uint32_t>(random_ >> 33) % below;
}

Stream* Scheduler::NewStream(bool blocking) {
  streams_.push_back(std::make_unique<Stream>());
  streams_.back()->blocking = blocking;
  return streams_.back().get();
}

void Scheduler::DeleteStream(Stream* stream) {
  // A stream destroyed in the middle of its work lives on until that is done.
  while (!stream->queue.empty()) {
    const auto mark = stream->queue.back().mark;
    RunUntil(*mark);
  }
  std::erase_if(streams_, [&](const auto& owned) { return owned.get() == stream; });
}

Stream* Scheduler::Find(cudaStream_t handle, const char* call) {
  if (handle == nullptr || handle == cudaStreamLegacy) return &default_stream_;
  for (const auto& stream : streams_)
    if (stream.get() == handle) return stream.get();
  TheState().Misuse(std::string(call) + ": a stream that is not alive");
  return nullptr;
}

cudaError_t Scheduler::TakeError() {
  const cudaError_t error = pending_error_;
  pending_error_ = cudaSuccess;
  return error;
}

bool Scheduler::Ready(const Stream& stream) const {
  return !stream.queue.empty() &&
         std::all_of(stream.queue.front().after.begin(), stream.queue.front().after.end(),
                     [](const auto& mark) { return mark->done; });
}

void Scheduler::RunFront(Stream* stream) {
  const Work work = std::move(stream->queue.front());
  stream->queue.pop_front();
  State& state = TheState();
  if (work.run != nullptr && state.sticky == cudaSuccess) {
    auto error = static_cast<cudaError_t>(state.Count("run", Library::kCuda));
    if (error == cudaSuccess) {
      state.memory->Open();
      error = work.run();
      state.memory->Close();
    }
    if (IsSticky(error)) state.sticky = error;
    if (error != cudaSuccess && pending_error_ == cudaSuccess) pending_error_ = error;
    clock_ms_ += kWorkMs;
  }
  work.mark->time_ms = clock_ms_;
  work.mark->done = true;
}

bool Scheduler::RunSomething() {
  std::vector<Stream*> ready;
  if (Ready(default_stream_)) ready.push_back(&default_stream_);
  for (const auto& stream : streams_)
    if (Ready(*stream)) ready.push_back(stream.get());
  if (ready.empty()) return false;
  RunFront(ready[order_ == Order::kRandom ? Random(static_cast<uint32_t>(ready.size())) : 0]);
  return true;
}

// Marks only ever wait for older ones, so this ends.
void Scheduler::RunUntil(const Mark& mark) {
  while (!mark.done) {
    if (order_ == Order::kRandom) {
      RunSomething();
      continue;
    }
    Stream* stream = mark.stream;
    for (const auto& before : stream->queue.front().after)
      if (!before->done) RunUntil(*before);
    RunFront(stream);
  }
}

// The default stream waits for the blocking ones and they for it.
cudaError_t Scheduler::Implicit(Stream* stream) {
  if (stream != &default_stream_) return cudaSuccess;
  for (const auto& owned : streams_) {
    if (!owned->blocking || owned->capture == nullptr) continue;
    owned->capture->broken = true;
    return cudaErrorStreamCaptureImplicit;
  }
  return cudaSuccess;
}

cudaError_t Scheduler::Add(Stream* stream, std::string what, Function run) {
  if (const cudaError_t error = Implicit(stream); error != cudaSuccess) return error;
  if (stream->capture != nullptr) {
    Capture& capture = *stream->capture;
    if (capture.broken) return cudaErrorStreamCaptureInvalidated;
    capture.nodes.push_back({std::move(what), std::move(run), stream->frontier});
    stream->frontier = {static_cast<int>(capture.nodes.size()) - 1};
    return cudaSuccess;
  }
  Push(stream, std::move(what), std::move(run), nullptr);
  return order_ == Order::kEager ? TakeError() : cudaSuccess;
}

std::shared_ptr<Mark> Scheduler::Push(Stream* stream, std::string what, Function run,
                                      std::shared_ptr<Mark> after) {
  Work work{std::move(what), std::move(run), std::make_shared<Mark>(), {}};
  const auto mark = work.mark;
  mark->stream = stream;
  if (after != nullptr) work.after.push_back(std::move(after));
  if (stream == &default_stream_) {
    for (const auto& other : streams_)
      if (other->blocking && !other->queue.empty()) work.after.push_back(other->queue.back().mark);
  } else if (stream->blocking && !default_stream_.queue.empty()) {
    work.after.push_back(default_stream_.queue.back().mark);
  }
  stream->queue.push_back(std::move(work));
  if (order_ == Order::kEager) RunUntil(*mark);
  if (order_ == Order::kRandom && Random(4) == 0) RunSomething();
  return mark;
}

cudaError_t Scheduler::Record(Event* event, Stream* stream) {
  if (stream->capture != nullptr) {
    if (stream->capture->broken) return cudaErrorStreamCaptureInvalidated;
    event->capture = stream->capture;
    event->frontier = stream->frontier;
    event->mark = nullptr;
    return cudaSuccess;
  }
  if (const cudaError_t error = Implicit(stream); error != cudaSuccess) return error;
  event->capture = nullptr;
  event->mark = Push(stream, "event", nullptr, nullptr);
  return cudaSuccess;
}

cudaError_t Scheduler::WaitFor(Stream* stream, const Event* event) {
  if (event->capture != nullptr && !event->capture->broken && event->capture->origin != nullptr) {
    if (stream->capture != nullptr && stream->capture != event->capture) return cudaErrorStreamCaptureMerge;
    if (stream->capture == nullptr) {
      stream->capture = event->capture;
      stream->frontier.clear();
    }
    AddTo(&stream->frontier, event->frontier);
    return cudaSuccess;
  }
  if (stream->capture != nullptr) {
    if (event->mark == nullptr) return cudaSuccess;
    stream->capture->broken = true;
    return cudaErrorStreamCaptureIsolation;
  }
  if (event->mark != nullptr && !event->mark->done) Push(stream, "wait", nullptr, event->mark);
  return cudaSuccess;
}

cudaError_t Scheduler::Finish(Stream* stream) {
  if (stream->capture != nullptr) {
    stream->capture->broken = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  if (const cudaError_t error = Implicit(stream); error != cudaSuccess) return error;
  if (stream == &default_stream_)
    for (const auto& other : streams_)
      if (other->blocking && !other->queue.empty()) {
        const auto mark = other->queue.back().mark;
        RunUntil(*mark);
      }
  if (!stream->queue.empty()) {
    const auto mark = stream->queue.back().mark;
    RunUntil(*mark);
  }
  return TakeError();
}

cudaError_t Scheduler::Finish(const Event* event) {
  if (event->capture != nullptr) return cudaErrorCapturedEvent;
  if (event->mark != nullptr) {
    const auto mark = event->mark;
    RunUntil(*mark);
  }
  return TakeError();
}

cudaError_t Scheduler::FinishAll() {
  while (RunSomething()) {
  }
  return TakeError();
}

cudaError_t Scheduler::Query(Stream* stream) {
  if (stream->capture != nullptr) {
    stream->capture->broken = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  if (stream->queue.empty()) return TakeError();
  RunSomething();  // or a program that polls would never see it done
  return cudaErrorNotReady;
}

cudaError_t Scheduler::Query(const Event* event) {
  if (event->capture != nullptr) return cudaErrorCapturedEvent;
  if (event->mark == nullptr || event->mark->done) return TakeError();
  RunSomething();
  return cudaErrorNotReady;
}

cudaError_t Scheduler::BeginCapture(Stream* stream, cudaStreamCaptureMode mode) {
  if (stream == &default_stream_) return cudaErrorStreamCaptureUnsupported;
  if (stream->capture != nullptr) return cudaErrorIllegalState;
  stream->capture = std::make_shared<Capture>();
  stream->capture->origin = stream;
  stream->capture->mode = mode;
  stream->capture->thread = std::this_thread::get_id();
  stream->frontier.clear();
  captures_.push_back(stream->capture);
  return cudaSuccess;
}

cudaError_t Scheduler::EndCapture(Stream* stream, Graph** graph) {
  const std::shared_ptr<Capture> capture = stream->capture;
  if (capture == nullptr) return cudaErrorIllegalState;
  if (capture->origin != stream) return cudaErrorStreamCaptureUnmatched;
  if (capture->mode != cudaStreamCaptureModeRelaxed && capture->thread != std::this_thread::get_id())
    return cudaErrorStreamCaptureWrongThread;
  // Every node must lead to what the origin stream has come to.
  std::vector<bool> joined(capture->nodes.size(), false);
  for (const int node : stream->frontier) joined[static_cast<size_t>(node)] = true;
  bool all_joined = true;
  for (size_t i = capture->nodes.size(); i-- > 0;) {
    if (!joined[i]) all_joined = false;
    for (const int before : capture->nodes[i].after)
      if (joined[i]) joined[static_cast<size_t>(before)] = true;
  }
  for (const auto& owned : streams_)
    if (owned->capture == capture) {
      owned->capture = nullptr;
      owned->frontier.clear();
    }
  capture->origin = nullptr;  // ended
  if (capture->broken) return cudaErrorStreamCaptureInvalidated;
  if (!all_joined) return cudaErrorStreamCaptureUnjoined;
  *graph = Create<Graph>("graph");
  (*graph)->nodes = std::move(capture->nodes);
  return cudaSuccess;
}

// An order the edges allow: as captured, the youngest first, or any.
std::vector<int> Scheduler::NodeOrder(const std::vector<Node>& nodes) {
  std::vector<int> result;
  std::vector<bool> done(nodes.size(), false);
  while (result.size() < nodes.size()) {
    std::vector<int> ready;
    for (size_t i = 0; i < nodes.size(); ++i)
      if (!done[i] && std::all_of(nodes[i].after.begin(), nodes[i].after.end(),
                                  [&](int before) { return done[static_cast<size_t>(before)]; })) {
        ready.push_back(static_cast<int>(i));
        if (order_ == Order::kEager) break;
      }
    const int next =
        order_ == Order::kRandom ? ready[Random(static_cast<uint32_t>(ready.size()))] : ready.back();
    done[static_cast<size_t>(next)] = true;
    result.push_back(next);
  }
  return result;
}

cudaError_t Scheduler::Launch(const GraphExec& exec, Stream* stream) {
  return Add(stream, "graph", [this, nodes = exec.nodes] {
    for (const int index : NodeOrder(*nodes)) {
      const Node& node = (*nodes)[static_cast<size_t>(index)];
      if (node.run == nullptr) continue;
      if (const cudaError_t error = node.run(); error != cudaSuccess) return error;
      clock_ms_ += kWorkMs;
    }
    return cudaSuccess;
  });
}

bool Scheduler::BreaksCapture() {
  bool broke = false;
  for (const auto& weak : captures_) {
    const auto capture = weak.lock();
    if (capture == nullptr || capture->origin == nullptr || capture->mode == cudaStreamCaptureModeRelaxed)
      continue;
    if (capture->mode == cudaStreamCaptureModeThreadLocal && capture->thread != std::this_thread::get_id())
      continue;
    capture->broken = broke = true;
  }
  std::erase_if(captures_, [](const auto& weak) { return weak.expired(); });
  return broke;
}

}  // namespace couplet::standin
