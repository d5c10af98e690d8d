// The rows of a batch, by index, from all vectors of the data set: what a matrix product wants side by side.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/launch.h"

namespace couplet {

struct GatherRowsShape {
  int n;         // rows wanted, >= 1
  int features;  // floats of a row, >= 1
};

// dst [n, features] = src[rows[i], :]. src [any count, features], row-major; rows [n], each below that count.
LaunchResult LaunchGatherRows(const GatherRowsShape& shape, const float* src, const uint32_t* rows,
                              float* dst, DeviceStream stream);

}  // namespace couplet
