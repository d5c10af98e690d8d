// The vectors of a data set on the device: sessions put rows there, head trainers read them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/cuda/handles.h"
#include "runtime/head_trainer.h"

namespace couplet::cuda {

struct DeviceVectors final : ResidentVectors {
  DeviceVectors(DeviceBuffer floats, size_t row_count, int feature_count)
      : memory(std::move(floats)), rows(row_count), features(feature_count) {}
  const DeviceBuffer memory;  // [rows, features] floats
  const size_t rows;
  const int features;
};

}  // namespace couplet::cuda
