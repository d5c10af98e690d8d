// retrain.py's training loop: a batch, a step, summaries, and every now and then how well it does.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "models/classifier_head.h"

namespace couplet {

// Names and defaults are those of retrain.py's flags.
struct TrainOptions {
  int how_many_training_steps = 4000;
  double learning_rate = 0.01;
  int train_batch_size = 100;       // < 0: the whole split
  int validation_batch_size = 100;  // < 0: the whole split
  int eval_step_interval = 10;
  int intermediate_store_frequency = 0;  // 0: never
  int checkpoint_interval = 0;           // steps; 0: a checkpoint only at an interruption
  uint64_t seed = 0;
  std::string summaries_dir;  // events go to its train/ and validation/; "" = none are made
  std::string graph;          // serialised GraphDef for TensorBoard, "" = none
};

// At steps with step % eval_step_interval == 0 and at the last one, after that step's update.
struct EvalPoint {
  int step = 0;
  float train_accuracy = 0.0f;       // percent, of the step's batch
  double cross_entropy = 0.0;        // of the step's batch
  int validation_n = 0;              // 0: there are no validation photos
  float validation_accuracy = 0.0f;  // percent
  double validation_cross_entropy = 0.0;
};

// All that a training needs to go on: a step draws from its own number, so what came before leaves no other trace.
struct TrainState {
  int steps = 0;  // taken
  HeadParams params;
  std::vector<EvalPoint> history;
};

// Each may be empty.
struct TrainHooks {
  // Lines in the original's form: "2018-12-18 09:23:45.123456: Step 0: Train accuracy = 89.0%".
  std::function<void(const std::string& line)> log;
  // Polled before every step, or every few hundred where the trainer takes them on its own; true ends the training.
  std::function<bool()> interrupted;
  // After step i where i > 0 and i % intermediate_store_frequency == 0. An error ends the training.
  std::function<Status(int step, const HeadParams& params)> store_intermediate;
  // After checkpoint_interval steps and their multiples, when the last one was half a minute ago, and at an
  // interruption. Its own failing is its own affair.
  std::function<void(const TrainState& state)> store_checkpoint;
  // Distortions: fills `vectors` [batch.rows.size(), features] for the train batch of `step` instead of
  // HeadData::vectors. The batch is DrawBatch(data.rows[0], train_batch_size, seed, step, kStreamTrain), so
  // batches to come can be made ahead. An error ends the training.
  std::function<Status(int step, const HeadBatch& batch, std::span<float> vectors)> make_vectors;
};

struct TrainResult {
  // Ok, or why the training ended early: kDiverged (a number was not finite), kInterrupted, the error of a
  // hook or of the trainer.
  Status stopped;
  HeadParams params;  // after `steps` steps; always finite
  int steps = 0;
  std::vector<EvalPoint> history;
  std::string events_warning;       // set when events could not be written to the end; training went on
  double seconds = 0.0;             // in all
  double evaluation_seconds = 0.0;  // of them for history, where steps are taken one at a time
  double waited_seconds = 0.0;      // of them waiting for events to be written
};

// Starts from InitialParams(seed), or goes on from a state that an equal training left: the same bits. An error: options out of range (kBadInput, naming the flag), no training
// rows, event files that cannot be made.
Result<TrainResult> Train(HeadTrainer& trainer, const HeadData& data, const TrainOptions& options,
                          const TrainHooks& hooks, const TrainState* from = nullptr);

// One of several heads on the same vectors.
struct HeadJob {
  TrainOptions options;
  HeadRows rows;  // in place of HeadData::rows
};

// Trains jobs[i] as the trainer's head i, from its start; what a head gives is what it gives alone. One that diverges leaves
// the others to go on; `interrupted` (may be empty) and the trainer's own errors end all of them. REQUIRES: as many jobs as
// heads; if there are several, as many steps in each, on batches of as many rows, evaluated after the same ones, and no
// summaries. Errors: Train's, of the first job that has one.
Result<std::vector<TrainResult>> TrainTogether(HeadTrainer& trainer, const HeadData& data, std::span<const HeadJob> jobs,
                                               const std::function<bool()>& interrupted);

}  // namespace couplet
