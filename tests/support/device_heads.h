// What tests of heads on a device share: data to tell classes apart on, and trainers on the stand-ins.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>

#include "tests/support/small_training.h"
#include "tests/support/standin_device.h"
#include "tests/support/test.h"

namespace couplet::test {

// Up to 32 classes take the one kernel a step, more the matrix products.
inline constexpr int kFused = 5, kPlain = 33;

inline HeadData CloudsOf(int features, int classes, double width = 1.0) { return CloudsOf(features, classes, width, {12, 5, 3}); }

inline TrainOptions ShortTraining(int steps) {
  TrainOptions options = Short(steps);
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

}  // namespace couplet::test
