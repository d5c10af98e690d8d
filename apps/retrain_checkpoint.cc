// SPDX-License-Identifier: Apache-2.0
#include "apps/retrain_checkpoint.h"

#include <fmt/format.h>
#include <unistd.h>

#include <span>

#include "apps/console.h"
#include "loaders/files.h"
#include "loaders/hash.h"

namespace couplet {
namespace {

// The vectors and who is in which split, as one number: another photo, another label or another split shows.
std::string Sum(const HeadData& data) {
  std::string text;
  const auto add = [&](auto value) { text.append(reinterpret_cast<const char*>(&value), sizeof value); };
  for (const auto& split : data.rows)
    for (const auto& rows : split) {
      add(rows.size());
      for (const uint32_t row : rows) add(row);
    }
  const Sha256Digest vectors = Sha256(std::as_bytes(std::span(data.vectors)));
  text.append(reinterpret_cast<const char*>(vectors.data()), vectors.size());
  return ToHex(Sha256(std::as_bytes(std::span(text))));
}

}  // namespace

std::string CheckpointPath(const RetrainOptions& o) {
  return FileExists(o.output_graph) && !IsRegularFile(o.output_graph) ? "" : o.output_graph + ".checkpoint";
}

Checkpoints::Checkpoints(const RetrainOptions& o, const Backbone& backbone, const Backend& backend, const HeadData& data)
    : options_(o), shape_{data.features, data.classes}, path_(CheckpointPath(o)) {
  conditions_ = {
      {"classes", fmt::format("{}", data.classes)},
      {"the network", backbone.graph_sha256()},
      {"--device", fmt::format("{} {} {}", backend.kind(), static_cast<int>(backend.precision()), backend.numerics())},
      {"--seed", fmt::format("{}", o.seed)},
      {"--learning_rate", fmt::format("{}", o.learning_rate)},
      {"--train_batch_size", fmt::format("{}", o.train_batch_size)},
      {"--flip_left_right", fmt::format("{}", o.flip_left_right)},
      {"--random_crop", fmt::format("{}", o.random_crop)},
      {"--random_scale", fmt::format("{}", o.random_scale)},
      {"--random_brightness", fmt::format("{}", o.random_brightness)},
      {"the photos' sum", Sum(data)},
  };
}

Result<std::optional<TrainState>> Checkpoints::Load() const {
  if (!options_.resume) return std::optional<TrainState>();
  if (path_.empty()) return BadInput(fmt::format("--resume: {} is no file, so no checkpoint lies beside it", options_.output_graph));
  if (!FileExists(path_)) {
    LogInfo(fmt::format("There is no checkpoint {}: training starts at step 0", path_));
    return std::optional<TrainState>();
  }
  COUPLET_ASSIGN_OR_RETURN(TrainState state, ReadCheckpoint(path_, shape_, conditions_));
  if (state.steps > options_.how_many_training_steps)
    return BadInput(fmt::format("the checkpoint {} has {} steps, --how_many_training_steps={} asks for fewer; raise that, or leave "
                                "out --resume to start anew",
                                path_, state.steps, options_.how_many_training_steps));
  LogInfo(fmt::format("Going on after {} steps from {}", state.steps, path_));
  return std::optional(std::move(state));
}

void Checkpoints::Keep(const TrainState& state) {
  if (path_.empty()) return;
  const Status status = WriteCheckpoint(path_, state, conditions_);
  if (status.ok()) {
    kept_ = state.steps;
  } else if (!std::exchange(warned_, true)) {
    LogWarning(fmt::format("no checkpoint: {}; training goes on", status.message()));
  }
}

Status Checkpoints::Explain(const Status& interrupted) const {
  if (kept_ < 0)
    return {interrupted.code(), interrupted.message() + "; no checkpoint was kept, the bottlenecks are: run the command again"};
  return {interrupted.code(), fmt::format("{}; {} steps are kept in {}: run the command again with --resume to go on",
                                          interrupted.message(), kept_, path_)};
}

void RemoveCheckpoint(const RetrainOptions& o) {
  if (const std::string path = CheckpointPath(o); !path.empty()) unlink(path.c_str());
}

}  // namespace couplet
