// A graph made ready to run: every layer prepared, memory planned, then batches through it.
//
//   auto session = Session::Create(Optimize(graph), backend, {.max_batch = 1});
//   auto worker = session->NewWorker();          // one a thread: arena, scratch, per-layer state
//   session->Run(*worker, images, vectors);      // thread-safe for different workers, allocates nothing
//
// A worker's first run waits after each layer, so that a device's failure is reported with the layer's name;
// the second full batch is recorded where the backend can, and full batches are replayed from then on.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/backend.h"
#include "runtime/graph.h"
#include "runtime/planner.h"

namespace couplet {

struct SessionOptions {
  int max_batch = 1;
  int threads = 1;          // that one Run may use
  int prepare_threads = 1;  // that Create may use; they change nothing but its time
  // Every layer keeps its memory to the end, so Output() works for all of them; so none is done together with another.
  bool keep_all = false;
  // No more than two layers are done as one: for a profile of them.
  bool each_by_itself = false;
};

// What one layer took, and the least it could have taken on this device (0 = not known).
struct LayerTime {
  std::string layer;
  double ms = 0.0, floor_ms = 0.0;
};

// Where the vectors of a run stay on the device, beside the copy that the host gets.
struct KeptRows {
  ResidentVectors* vectors = nullptr;  // null: nowhere
  std::span<const uint32_t> rows;      // one a photo
};

class Session {
 public:
  // What one thread owns: arena, scratch and the layers' state. It must not outlive its session.
  class Worker {
   public:
    ~Worker();

   private:
    friend class Session;
    Worker();
    struct Impl;
    std::unique_ptr<Impl> impl_;
  };

  // `backend` outlives the session. The error names the layer that cannot be prepared.
  static Result<std::unique_ptr<Session>> Create(Graph graph, Backend& backend,
                                                 const SessionOptions& options);
  ~Session();

  Result<std::unique_ptr<Worker>> NewWorker() const;

  // REQUIRES: the graph starts with Preprocess, 1 <= images.images.size() <= max_batch,
  // dst.size() == n * output_size(). The row of a photo does not depend on what else is in the batch.
  Status Run(Worker& worker, const ImageBatch& images, std::span<float> dst, const KeptRows& kept = {}) const;
  // The same from floats in place of the first layer's output: pixels [n, h, w, c], already normalised.
  Status RunPixels(Worker& worker, std::span<const float> pixels, std::span<float> dst) const;
  // As Run, but each layer is timed and nothing is replayed. times[i] belongs to graph().layers[i]; layers
  // that do no work take 0. Layers that the backend does as one are one time, the last one's, named by the first and the last.
  Status RunTimed(Worker& worker, const ImageBatch& images, std::span<float> dst,
                  std::vector<LayerTime>* times, const KeptRows& kept = {}) const;
  // Runs every layer after the first `times` times, over what the first one holds since the last run of n photos,
  // and waits once: for benchmarks that leave the host out. (A first layer that is done together with the second
  // holds what RunPixels gave it, or nothing that means anything. Pixels given to RunPixels have to be there still.)
  Status RunAgain(Worker& worker, int n, int times) const;
  // After a run with keep_all: the n rows of layer `index`.
  Result<std::vector<float>> Output(Worker& worker, int index, int n) const;

  const Graph& graph() const;
  Shape input_shape() const;    // of one photo after preprocessing
  int64_t output_size() const;  // floats a photo
  int max_batch() const;        // as the backend rounded it
  size_t worker_bytes() const;  // memory each worker takes
  // Memory for the activations of one photo, before there is a session: what Backend::max_batch() asks for.
  static Result<size_t> BytesPerPhoto(const Graph& graph, const Backend& backend);

 private:
  Session();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace couplet
