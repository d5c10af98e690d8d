// The one interface where the engines meet: runtime/cpu (oneDNN) today, runtime/cuda beside it.
//
// A backend prepares a layer once (packs weights, chooses an algorithm, says how much scratch it needs) and gives an
// immutable PreparedOp that all workers share. What a worker needs for itself sits in an OpState and a
// WorkerContext, so run() is thread-safe and never allocates.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/graph.h"
#include "runtime/head_trainer.h"
#include "runtime/image_batch.h"
#include "runtime/status.h"

namespace couplet {

struct PrepareOptions {
  int max_batch = 1;
  int threads = 1;  // that one run() may use; 1 where each worker has a core of its own
};

// One worker's view of the device: a stream on CUDA, nothing much on the CPU. One thread at a time.
class WorkerContext {
 public:
  virtual ~WorkerContext() = default;
};

// What one worker keeps for one op (for example oneDNN's memory objects).
class OpState {
 public:
  virtual ~OpState() = default;
};

struct RunArgs {
  int n = 1;                              // <= max_batch
  std::span<const void* const> src;       // one a source, [n, ih, iw, ic]; empty for Preprocess
  const ImageBatch* images = nullptr;     // Preprocess only: n photos
  void* dst = nullptr;                    // [n, oh, ow, oc]
  void* scratch = nullptr;                // scratch_bytes(), aligned to kArenaAlignment
  OpState* state = nullptr;               // from make_state(), this worker's own
  WorkerContext* worker = nullptr;
};

class PreparedOp {
 public:
  virtual ~PreparedOp() = default;
  virtual size_t scratch_bytes() const { return 0; }
  virtual std::unique_ptr<OpState> make_state() const { return nullptr; }
  // Asynchronous where the device is; ordered within one WorkerContext.
  virtual Status run(const RunArgs& args) const = 0;
};

// Device memory, aligned to kArenaAlignment. Move-only: a copy would be a silent transfer.
class Buffer {
 public:
  using Free = void (*)(void* data, size_t bytes);
  Buffer() = default;
  Buffer(void* data, size_t bytes, Free free) : data_(data), bytes_(bytes), free_(free) {}
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(free_, other.free_);
    return *this;
  }
  ~Buffer() {
    if (data_ != nullptr) free_(data_, bytes_);
  }
  std::byte* data() const { return static_cast<std::byte*>(data_); }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
  Free free_ = nullptr;
};

class Backend {
 public:
  virtual ~Backend() = default;
  // "cpu" or "cuda": the device kind in the bottleneck store's key.
  virtual std::string_view kind() const = 0;
  // One line for people: library, version, instruction set.
  virtual std::string description() const = 0;
  // `src`: shapes of the layer's sources with n = options.max_batch. The error names the layer and says why not.
  virtual Result<std::unique_ptr<PreparedOp>> prepare(const Layer& layer, std::span<const Shape> src,
                                                      const PrepareOptions& options) = 0;
  // `threads`: how many this worker's run() calls may use.
  virtual Result<std::unique_ptr<WorkerContext>> make_worker(int threads) = 0;
  virtual Result<Buffer> allocate(size_t bytes) = 0;
  virtual Status copy_in(void* dst, const void* src, size_t bytes, WorkerContext& worker) = 0;
  virtual Status copy_out(void* dst, const void* src, size_t bytes, WorkerContext& worker) = 0;
  virtual Status wait(WorkerContext& worker) = 0;
  virtual Result<std::unique_ptr<HeadTrainer>> make_head_trainer(const HeadShape& shape) = 0;
};

// runtime/cpu: the portable engine and the numerical oracle of every other.
std::unique_ptr<Backend> MakeCpuBackend();

}  // namespace couplet
