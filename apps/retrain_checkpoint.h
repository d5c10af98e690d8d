// retrain's checkpoints: where they lie, when they are written, and how --resume takes them up.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <thread>

#include "apps/retrain_options.h"
#include "models/backbone.h"
#include "models/checkpoint.h"
#include "runtime/backend.h"

namespace couplet {

// "": the graph goes to a device, and nothing can lie beside it.
std::string CheckpointPath(const RetrainOptions& o);

class Checkpoints {
 public:
  // Of the training of this head on these vectors with these flags, by this device. `data` outlives it.
  Checkpoints(const RetrainOptions& o, const Backbone& backbone, const Backend& backend, const HeadData& data);
  ~Checkpoints();  // waits for the last one
  Checkpoints(const Checkpoints&) = delete;
  Checkpoints& operator=(const Checkpoints&) = delete;

  // With --resume: where to go on; nothing when there is no checkpoint, which is said. kBadInput: a checkpoint that does
  // not fit, or has more steps than are asked for.
  Result<std::optional<TrainState>> Load();
  // Keeps `state`, on a thread of its own: training need not wait for the disk. One at a time. What goes wrong is said once, and
  // training goes on.
  void Keep(const TrainState& state);
  // The status of a training that was interrupted, with how to go on.
  Status Explain(const Status& interrupted);

 private:
  const TrainConditions& Conditions();
  void Write(const TrainState& state);
  void Wait();

  const RetrainOptions& options_;
  const HeadData& data_;
  const HeadShape shape_;
  const std::string path_;
  TrainConditions conditions_;
  bool summed_ = false;  // the photos are in conditions_
  int kept_ = -1;        // steps in the file; < 0: none of this run
  bool warned_ = false;
  int writing_ = -1;     // steps in what writer_ writes; < 0: nothing to wait for
  std::thread writer_;   // until Wait, conditions_ and written_ are its own
  Status written_;
};

// Once the graph is written.
void RemoveCheckpoint(const RetrainOptions& o);

}  // namespace couplet
