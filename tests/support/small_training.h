// A small training: its data, its options, and a trainer that keeps vectors as a device does.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/philox.h"
#include "models/training.h"
#include "runtime/cpu/head_trainer.h"
#include "tests/support/test.h"

namespace couplet::test {

inline constexpr int kFeatures = 19, kClasses = 3;

// Clouds around a centre a class, `width` wide; `counts` photos a class of each split.
inline HeadData CloudsOf(int features, int classes, double width, const std::array<int, 3>& counts) {
  HeadData data;
  data.features = features;
  data.classes = classes;
  uint32_t row = 0;
  for (size_t split = 0; split < 3; ++split) {
    data.rows[split].resize(static_cast<size_t>(classes));
    for (int c = 0; c < classes; ++c) {
      for (int i = 0; i < counts[split]; ++i, ++row) {
        data.rows[split][static_cast<size_t>(c)].push_back(row);
        for (int f = 0; f < features; ++f) {
          const double noise = Philox(1, row, static_cast<uint32_t>(f), 200).v[0] * 0x1p-32 - 0.5;
          data.vectors.push_back(static_cast<float>(width * noise + (f % classes == c ? 1.0 : 0.0)));
        }
      }
    }
  }
  return data;
}

// Far enough apart that a plane separates them.
inline HeadData Clouds() { return CloudsOf(kFeatures, kClasses, 1.0, {20, 6, 6}); }

// A trainer that copies its vectors when it is given them, as one on a device does.
class CopyingTrainer final : public HeadTrainer {
 public:
  explicit CopyingTrainer(const HeadShape& shape) : inner_(MakeCpuHeadTrainer(shape)) {}
  Status set_vectors(std::span<const float> vectors) override {
    copy_.assign(vectors.begin(), vectors.end());
    return inner_->set_vectors(copy_);
  }
  Status set_params(const HeadParams& params) override { return inner_->set_params(params); }
  Status read_params(HeadParams* out) const override { return inner_->read_params(out); }
  Result<BatchResult> step(std::span<const uint32_t> rows, std::span<const int32_t> labels,
                           float learning_rate, const BatchOutputs& outputs) override {
    return inner_->step(rows, labels, learning_rate, outputs);
  }
  Result<BatchResult> evaluate(std::span<const uint32_t> rows, std::span<const int32_t> labels,
                               const BatchOutputs& outputs) override {
    return inner_->evaluate(rows, labels, outputs);
  }

 private:
  std::unique_ptr<HeadTrainer> inner_;
  std::vector<float> copy_;
};

struct Run {
  TrainResult result;
  std::vector<std::string> log;
  std::unique_ptr<HeadTrainer> trainer;
};

inline Run TrainOn(const HeadData& data, const TrainOptions& options, TrainHooks hooks = {}) {
  Run run;
  run.trainer = std::make_unique<CopyingTrainer>(HeadShape{data.features, data.classes});
  hooks.log = [&](const std::string& line) { run.log.push_back(line); };
  auto result = Train(*run.trainer, data, options, hooks);
  REQUIRE_MESSAGE(result.ok(), result.status().message());
  run.result = *std::move(result);
  return run;
}

inline TrainOptions Short(int steps) {
  TrainOptions options;
  options.how_many_training_steps = steps;
  options.train_batch_size = 12;
  options.validation_batch_size = 7;
  options.learning_rate = 0.1;
  return options;
}

inline bool SameParams(const HeadParams& a, const HeadParams& b) {
  return a.weights == b.weights && a.biases == b.biases;
}

}  // namespace couplet::test
