// SPDX-License-Identifier: Apache-2.0
#include "apps/retrain_checkpoint.h"

#include <fmt/format.h>
#include <unistd.h>

#include <new>
#include <span>
#include <system_error>
#include <utility>

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
    : options_(o), data_(data), shape_{data.features, data.classes}, path_(CheckpointPath(o)) {
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
  };
}

Checkpoints::~Checkpoints() { Wait(); }

// The sum takes a while, and a short training needs none.
const TrainConditions& Checkpoints::Conditions() {
  if (!summed_) conditions_.emplace_back("the photos' sum", Sum(data_));
  summed_ = true;
  return conditions_;
}

Result<std::optional<TrainState>> Checkpoints::Load() {
  if (!options_.resume) return std::optional<TrainState>();
  if (path_.empty()) return BadInput(fmt::format("--resume: {} is no file, so no checkpoint lies beside it", options_.output_graph));
  if (!FileExists(path_)) {
    LogInfo(fmt::format("There is no checkpoint {}: training starts at step 0", path_));
    return std::optional<TrainState>();
  }
  COUPLET_ASSIGN_OR_RETURN(TrainState state, ReadCheckpoint(path_, shape_, Conditions()));
  if (state.steps > options_.how_many_training_steps)
    return BadInput(fmt::format("the checkpoint {} has {} steps, --how_many_training_steps={} asks for fewer; raise that, or leave "
                                "out --resume to start anew",
                                path_, state.steps, options_.how_many_training_steps));
  LogInfo(fmt::format("Going on after {} steps from {}", state.steps, path_));
  return std::optional(std::move(state));
}

void Checkpoints::Write(const TrainState& state) {
  try {
    written_ = WriteCheckpoint(path_, state, Conditions());
  } catch (const std::bad_alloc&) {
    written_ = DeviceError("not enough memory");
  }
}

void Checkpoints::Keep(const TrainState& state) {
  if (path_.empty()) return;
  Wait();
  try {
    writer_ = std::thread([this, state] { Write(state); });
  } catch (const std::system_error&) {  // no thread to be had
    Write(state);
  }
  writing_ = state.steps;
}

void Checkpoints::Wait() {
  if (writing_ < 0) return;
  if (writer_.joinable()) writer_.join();
  const int steps = std::exchange(writing_, -1);
  if (written_.ok()) {
    kept_ = steps;
  } else if (!std::exchange(warned_, true)) {
    LogWarning(fmt::format("no checkpoint: {}; training goes on", written_.message()));
  }
}

Status Checkpoints::Explain(const Status& interrupted) {
  Wait();
  if (kept_ < 0)
    return {interrupted.code(), interrupted.message() + "; no checkpoint was kept, the bottlenecks are: run the command again"};
  return {interrupted.code(), fmt::format("{}; {} steps are kept in {}: run the command again with --resume to go on",
                                          interrupted.message(), kept_, path_)};
}

void RemoveCheckpoint(const RetrainOptions& o) {
  if (const std::string path = CheckpointPath(o); !path.empty()) unlink(path.c_str());
}

}  // namespace couplet
