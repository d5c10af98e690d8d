// How long the device takes for something, by events: for races between algorithms.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/cuda/handles.h"

namespace couplet::cuda {

// Milliseconds of one call of `work`, which queues on `stream` and returns a Status: the fastest of five,
// after a first one that does not count.
template <class Work>
Result<double> TimeOnDevice(cudaStream_t stream, const Work& work) {
  COUPLET_ASSIGN_OR_RETURN(const Event begin, MakeTimedEvent());
  COUPLET_ASSIGN_OR_RETURN(const Event end, MakeTimedEvent());
  COUPLET_RETURN_IF_ERROR(work());
  double best = 0.0;
  for (int run = 0; run < 5; ++run) {
    COUPLET_DEVICE_RETURN(cudaEventRecord(begin.get(), stream));
    COUPLET_RETURN_IF_ERROR(work());
    COUPLET_DEVICE_RETURN(cudaEventRecord(end.get(), stream));
    COUPLET_DEVICE_RETURN(cudaEventSynchronize(end.get()));
    float ms = 0.0f;
    COUPLET_DEVICE_RETURN(cudaEventElapsedTime(&ms, begin.get(), end.get()));
    if (run == 0 || ms < best) best = ms;
  }
  return best;
}

}  // namespace couplet::cuda
