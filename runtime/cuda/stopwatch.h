// How long the device takes for something, by events: for races between algorithms.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/cuda/handles.h"

namespace couplet::cuda {

// Milliseconds of one call of `work`, which queues on `stream` and returns a Status: the fastest of three, after a first
// one that does not count. Several calls are replayed as a graph, as a session replays its layers: queued call by call,
// what is timed of a short kernel is the host.
template <class Work>
Result<double> TimeOnDevice(cudaStream_t stream, const Work& work) {
  constexpr int kTogether = 4, kRuns = 3;
  COUPLET_ASSIGN_OR_RETURN(const Event begin, MakeTimedEvent());
  COUPLET_ASSIGN_OR_RETURN(const Event end, MakeTimedEvent());
  COUPLET_RETURN_IF_ERROR(work());
  const auto together = [&] {
    Status queued;
    for (int i = 0; i < kTogether && queued.ok(); ++i) queued = work();
    return queued;
  };
  COUPLET_ASSIGN_OR_RETURN(const GraphExec graph, Capture(stream, together));
  const bool replayed = graph.get() != nullptr;
  if (replayed) COUPLET_DEVICE_RETURN(cudaGraphLaunch(graph.get(), stream));
  double best = 0.0;
  for (int run = 0; run < kRuns; ++run) {
    COUPLET_DEVICE_RETURN(cudaEventRecord(begin.get(), stream));
    if (replayed)
      COUPLET_DEVICE_RETURN(cudaGraphLaunch(graph.get(), stream));
    else
      COUPLET_RETURN_IF_ERROR(work());
    COUPLET_DEVICE_RETURN(cudaEventRecord(end.get(), stream));
    COUPLET_DEVICE_RETURN(cudaEventSynchronize(end.get()));
    float ms = 0.0f;
    COUPLET_DEVICE_RETURN(cudaEventElapsedTime(&ms, begin.get(), end.get()));
    if (run == 0 || ms < best) best = ms;
  }
  return best / (replayed ? kTogether : 1);
}

}  // namespace couplet::cuda
