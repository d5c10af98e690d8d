// What TensorBoard shows of a training run (COMPATIBILITY section 5), made and written on a thread of its
// own: the training loop hands over copies of what a pass saw and goes on. SPDX-License-Identifier:
// Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "loaders/event_file.h"
#include "runtime/head_trainer.h"

namespace couplet {

// One pass: the parameters it used and what came out. Every number finite.
struct PassSnapshot {
  int step = 0;
  bool validation = false;  // goes to validation/, else to train/
  bool flush = false;       // make it visible to a reader at once
  HeadParams params;
  std::vector<float> logits, probabilities;  // [n, classes]
  float accuracy = 0.0f, cross_entropy = 0.0f;
};

// Writes <dir>/train and <dir>/validation. Borrow, Submit, Return and Finish: one thread. The files' events
// come in the order of Submit, so their contents do not depend on timing.
class SummaryThread {
 public:
  // Makes both files and writes `graph` (serialised GraphDef, "" for none) into train/. `pass_bytes`: about
  // what one snapshot takes; it decides how many wait at most.
  static Result<std::unique_ptr<SummaryThread>> Start(const std::string& dir, std::string_view graph,
                                                      size_t pass_bytes);
  ~SummaryThread();
  SummaryThread(const SummaryThread&) = delete;
  SummaryThread& operator=(const SummaryThread&) = delete;

  // A snapshot to fill, with the memory (and leftovers) of an earlier one; waits while all are in use. It
  // goes back by Submit, or by Return without being written.
  PassSnapshot* Borrow();
  void Submit(PassSnapshot* snapshot);
  void Return(PassSnapshot* snapshot);
  // Waits until all is written. The first thing that went wrong; what came after it was dropped.
  Status Finish();

 private:
  SummaryThread() = default;
  void Run();
  Status Write(const PassSnapshot& snapshot);

  std::unique_ptr<EventFileWriter> train_, validation_;
  std::vector<std::unique_ptr<PassSnapshot>> all_;
  // The thread's own.
  HistogramValue weights_, biases_, pre_activations_, activations_;

  std::mutex mutex_;
  std::condition_variable freed_, submitted_;
  std::vector<PassSnapshot*> free_;
  std::deque<PassSnapshot*> waiting_;
  bool finished_ = false;
  Status failed_;
  std::thread thread_;
};

}  // namespace couplet
