// What tests of heads on a device share: data to tell classes apart on, and trainers on the stand-ins.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>

#include "kernels/philox.h"
#include "models/training.h"
#include "tests/support/standin_device.h"
#include "tests/support/test.h"

namespace couplet::test {

// Clouds around a centre a class: 12 / 5 / 3 rows a class and split. Up to 32 classes take the one kernel a
// step, more the matrix products.
inline constexpr int kFused = 5, kPlain = 33;

inline HeadData CloudsOf(int features, int classes, double width = 1.0) {
  HeadData data;
  data.features = features;
  data.classes = classes;
  uint32_t row = 0;
  for (size_t split = 0; split < 3; ++split) {
    data.rows[split].resize(static_cast<size_t>(classes));
    for (int c = 0; c < classes; ++c) {
      for (int i = 0; i < (split == 0 ? 12 : split == 1 ? 5 : 3); ++i, ++row) {
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

inline TrainOptions ShortTraining(int steps) {
  TrainOptions options;
  options.how_many_training_steps = steps;
  options.train_batch_size = 12;
  options.validation_batch_size = 7;
  options.learning_rate = 0.1;
  options.seed = 3;
  return options;
}

// A trainer and the backend that outlives it.
struct DeviceTrainer {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<HeadTrainer> trainer;
  HeadTrainer& operator*() const { return *trainer; }
  HeadTrainer* operator->() const { return trainer.get(); }
};
inline DeviceTrainer OnDevice(const HeadShape& shape) {
  auto backend = MakeStandinBackend();
  auto trainer = backend->make_head_trainer(shape);
  REQUIRE_MESSAGE(trainer.ok(), trainer.status().message());
  return {std::move(backend), std::move(trainer).value()};
}
inline DeviceTrainer OnDevice(const HeadData& data) {
  return OnDevice(HeadShape{data.features, data.classes});
}

inline bool Same(const HeadParams& a, const HeadParams& b) {
  return a.weights == b.weights && a.biases == b.biases;
}

}  // namespace couplet::test
