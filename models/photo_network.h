// A network and the device it is run on, as the jobs that send photos through it are given it: made when the
// first photo needs it, for as many photos at a time as the device wants.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>

#include "models/split_session.h"

namespace couplet {

struct PhotoNetwork {
  // Not thread-safe.
  std::function<Result<std::shared_ptr<const Session>>(const SessionOptions& options)> make_session;
  // For threads that take a photo at a time; SplitSession says what `whole` is. Not thread-safe either.
  std::function<Result<std::shared_ptr<const SplitSession>>(const SessionOptions& options, bool whole)> make_split;
  Backend* backend = nullptr;  // outlives what is made of it
  // False: a photo a worker thread, as the CPU likes it best. True: photos of all threads go through a
  // BatchLine, up to max_batch at a time, and be it one where a GPU's memory is small: its workers must not
  // be as many as the threads.
  bool in_batches = false;
  int max_batch = 1;
  MemoryPlan memory;  // that max_batch comes from
};

// `graph` as imported or optimised; `backend` outlives what is made of it. The batch follows from the
// device's memory, of which vector_bytes are for all photos' vectors; it has no more than `photos`.
Result<PhotoNetwork> MakePhotoNetwork(const Graph& graph, Backend& backend, size_t vector_bytes = 0, size_t photos = SIZE_MAX);

}  // namespace couplet
