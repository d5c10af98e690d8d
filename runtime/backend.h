// The one interface where the engines meet: runtime/cpu (own kernels, oneDNN) and runtime/cuda.
//
// A backend prepares a layer once (packs weights, chooses an algorithm, says how much scratch it needs) and
// gives an immutable PreparedOp that all workers share. What a worker needs for itself sits in an OpState and
// a WorkerContext, so run() is thread-safe and never allocates.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/graph.h"
#include "runtime/head_trainer.h"
#include "runtime/image_batch.h"
#include "runtime/status.h"

namespace couplet {

// What activations and weights are multiplied as. The CPU knows kFp32 and kInt8, a GPU all but kInt8.
enum class Precision { kFp32, kTf32, kFp16, kInt8 };
const char* Name(Precision precision);  // as --precision has it: "fp32"

struct PrepareOptions {
  int max_batch = 1;
  int threads = 1;  // that one run() may use; 1 where each worker has a core of its own
  // 0: dst is dense. Else dst is a slice of a wider value with this many channels a pixel, and the layer was
  // agreed to by writes_slice().
  int dst_stride = 0;
  // A ReLU6 may be done as a ReLU, and its upper half by all who read it: leave_clip to the one, where it
  // leaves_clip(), clip_src to the others, where they take_clip(). No value changes.
  bool leave_clip = false;
  bool clip_src = false;  // the source counts as min(source, 6)
};

// One worker's view of the device: a stream on CUDA, nothing much on the CPU. One thread at a time.
class WorkerContext {
 public:
  virtual ~WorkerContext() = default;
};

// Work that can be done again with one call: a CUDA graph.
class Recording {
 public:
  virtual ~Recording() = default;
  virtual Status replay() = 0;
};

// Moments in a worker's stream, for profiles.
class Timer {
 public:
  virtual ~Timer() = default;
  virtual Status mark() = 0;
  // Milliseconds between one mark and the next, and back to no marks. Waits for the last one.
  virtual Result<std::vector<double>> intervals_ms() = 0;
};

// What one worker keeps for one op (for example oneDNN's memory objects).
class OpState {
 public:
  virtual ~OpState() = default;
};

struct RunArgs {
  int n = 1;                           // <= max_batch
  std::span<const void* const> src;    // one a source, [n, ih, iw, ic]; empty for Preprocess
  const ImageBatch* images = nullptr;  // Preprocess only: n photos, on the host
  void* dst = nullptr;                 // [n, oh, ow, oc], channels apart by PrepareOptions::dst_stride
  void* scratch = nullptr;             // scratch_bytes(), aligned to kArenaAlignment
  OpState* state = nullptr;            // from make_state(), this worker's own
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

// Memory, aligned to kArenaAlignment. Move-only: a copy would be a silent transfer.
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

// What a job wants of a device's memory, bytes, beside what is taken already.
struct MemoryNeeds {
  size_t weights = 0;  // of the network, as the device keeps them
  size_t photo = 0;    // activations of one photo
  size_t photos = SIZE_MAX;  // at a time, at most
  int workers = 1;     // that have activations of their own
  size_t slots = 0;    // page-locked host memory for photos on their way in
  size_t vectors = 0;  // of all photos, for the training
};

// What it is to get. An estimate: libraries want scratch of their own, and where a plan does not hold, the batch is halved.
struct MemoryPlan {
  int batch = 1;      // photos at a time
  size_t budget = 0;  // what may be taken; 0: memory is not planned here
  size_t weights = 0;
  size_t batches = 0;  // activations and scratch of all workers
  size_t slots = 0;    // 0 where page-locked memory is not the device's
  size_t vectors = 0;
  size_t total() const { return weights + batches + slots + vectors; }
};

// One line for people.
std::string Describe(const MemoryPlan& plan);

// Ops that were made one: `count` of them, the others are as they were.
struct Joined {
  size_t count = 0;
  std::unique_ptr<PreparedOp> op;
};

class Backend {
 public:
  virtual ~Backend() = default;
  // "cpu" or "cuda": the device kind in the bottleneck store's key.
  virtual std::string_view kind() const = 0;
  // One line for people: library, version, instruction set.
  virtual std::string description() const = 0;
  virtual Precision precision() const { return Precision::kFp32; }
  // Choices made by measurement, as text to keep and to hand in again: part of the bottleneck store's key,
  // because they may change the last bits. Empty where there are none.
  virtual std::string tuning() const { return {}; }
  // Which of several implementations computes, where they differ in the last bits: part of the store's key too. Empty
  // for the one whose vectors were kept before there was a choice.
  virtual std::string numerics() const { return {}; }

  // `src`: shapes of the layer's sources with n = options.max_batch. The error names the layer and says why
  // not. May be called by several threads at once.
  virtual Result<std::unique_ptr<PreparedOp>> prepare(const Layer& layer, std::span<const Shape> src,
                                                      const PrepareOptions& options) = 0;
  // Two layers as one op, where `second` reads nothing but `first` and nothing else reads that: it takes first's
  // sources, whose shapes are `src` (or the photos), and gives second's value; first's is never there. Null: they
  // are better done one after the other, or can only be. No layer is first of one pair and second of another.
  virtual Result<std::unique_ptr<PreparedOp>> prepare_pair(const Layer& /*first*/, const Layer& /*second*/,
                                                           std::span<const Shape> /*src*/,
                                                           const PrepareOptions& /*first_options*/,
                                                           const PrepareOptions& /*second_options*/) {
    return std::unique_ptr<PreparedOp>();
  }
  // Makes the first few of `ops` one op, or none. Each reads nothing but the one before it, which nothing else reads: the values
  // between them need not be there. They run on one thread.
  virtual Joined join(std::span<std::unique_ptr<PreparedOp>> /*ops*/) const { return {}; }
  // Whether the layer can write its result into channels [at, at + c) of a value that has `stride` channels a
  // pixel.
  virtual bool writes_slice(const Layer& /*layer*/, int /*at*/, int /*stride*/) const { return false; }
  // Whether a layer that ends with ReLU6 gains by leaving its upper half to its readers; whether one can take
  // that on.
  virtual bool leaves_clip(const Layer& /*layer*/) const { return false; }
  virtual bool takes_clip(const Layer& /*layer*/, const Shape& /*src*/) const { return false; }
  // `threads`: how many this worker's run() calls may use.
  virtual Result<std::unique_ptr<WorkerContext>> make_worker(int threads) = 0;

  // Bytes of one number of an activation: 4, or 2 for half precision. On the host activations are always
  // floats.
  virtual size_t element_bytes() const { return sizeof(float); }
  // The batch a session is made for when `wanted` was asked for: at least that.
  virtual int round_batch(int wanted) const { return wanted; }
  // How many photos a batch may have, so that all that the job needs fits; 1 where bigger batches gain nothing. The code
  // of what does not fit all the same is kOutOfMemory: halve the batch and try again.
  virtual MemoryPlan plan_memory(const MemoryNeeds& /*needs*/) const { return {}; }
  virtual Result<Buffer> allocate(size_t bytes) = 0;
  // Host memory that copies to the device fastest, and without making the caller wait.
  virtual Result<Buffer> allocate_pinned(size_t bytes) = 0;
  // Whether ops read floats where the caller has them: nothing has to be copied in.
  virtual bool reads_callers_memory() const { return false; }
  // `count` numbers of activations, host floats on the other side. In the worker's order; over after wait().
  virtual Status copy_in(void* dst, const float* src, size_t count, WorkerContext& worker) = 0;
  virtual Status copy_out(float* dst, const void* src, size_t count, WorkerContext& worker) = 0;
  virtual Status wait(WorkerContext& worker) = 0;

  // Does not do what `work` asks of the worker but keeps it. `work` does nothing but run() ops, which have
  // all run before. Null: this device gains nothing by it.
  virtual Result<std::unique_ptr<Recording>> record(WorkerContext& /*worker*/,
                                                    const std::function<Status()>& /*work*/) {
    return std::unique_ptr<Recording>();
  }
  virtual Result<std::unique_ptr<Timer>> make_timer(WorkerContext& worker) = 0;
  // The least time this device needs to move that many bytes and do that many multiply-adds; 0 = not known.
  virtual double floor_ms(double /*bytes*/, double /*multiply_adds*/) const { return 0.0; }
  // Names what this thread does next, for a profiler that watches; nothing without one. Ranges nest.
  virtual void begin_range(const char* /*name*/) {}
  virtual void end_range() {}

  // Room on the device for a data set's vectors, with these in it or, where there are none, to be filled by keep_rows().
  // Null: trainers read the host's memory.
  virtual Result<std::shared_ptr<ResidentVectors>> make_resident(size_t /*rows*/, int /*features*/,
                                                                 std::span<const float> /*vectors*/) {
    return std::shared_ptr<ResidentVectors>();
  }
  // Row i of `values`, activations [rows.size(), features], becomes row rows[i] there. In the worker's order; several
  // workers may do it at once, each for rows of its own.
  virtual Status keep_rows(ResidentVectors& /*vectors*/, std::span<const uint32_t> /*rows*/, const void* /*values*/,
                           WorkerContext& /*worker*/) {
    return Internal("there are no vectors to keep rows in");
  }
  virtual Result<std::unique_ptr<HeadTrainer>> make_head_trainer(const HeadShape& shape) = 0;
  // How many heads of that shape a trainer may have, which then take their steps together (HeadTrainer::runner).
  virtual int heads_together(const HeadShape& /*shape*/) const { return 1; }
};

// Time as the host's clock sees it: for devices where run() returns when the work is done.
std::unique_ptr<Timer> MakeHostTimer();

// runtime/cpu: the portable engine and the numerical oracle of every other.
std::unique_ptr<Backend> MakeCpuBackend();

// Whose convolutions and pools.
enum class CpuKernels { kOwn, kOneDnn };
// Those that this build has, ours first; MakeCpuBackend() takes the last, which is what it was built for (make CPU=).
std::vector<CpuKernels> BuiltCpuKernels();
// REQUIRES: one of them.
std::unique_ptr<Backend> MakeCpuBackend(CpuKernels kernels);
// With --precision=int8: our kernels, bytes where they have those (runtime/cpu/int8_convolution.h). The same bits on every processor,
// but fast only where it multiplies bytes (Int8IsFast).
std::unique_ptr<Backend> MakeInt8CpuBackend();
bool Int8IsFast();

}  // namespace couplet
