// Batches of rows drawn on the device: the same indices as models/classifier_head.h's DrawBatch draws on the
// host.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/launch.h"

namespace couplet {

struct PhiloxBatchShape {
  int count;  // batches to draw, >= 1
  int n;      // rows of a batch, >= 1
  int lists;  // classes that have rows, >= 1
};

// Which draws: batch i is of step first_step + i * step_stride (kernels/philox.h: Philox(seed, row, step,
// stream)).
struct PhiloxBatchDraw {
  uint64_t seed;
  uint32_t stream;
  uint32_t first_step;
  uint32_t step_stride;
};

// Row i of a batch: u = Philox(seed, i, step, stream); list = (u0 * lists) >> 32; its place in that list is
// (u1 mod 2^27) mod the list's length.
//   list_rows    [first[lists]]  the rows of all classes, one list after another; no list is empty
//   first        [lists + 1]     where each list begins in list_rows, and its end
//   list_labels  [lists]         the class each list is of
//   rows, labels [count, n]
LaunchResult LaunchPhiloxBatch(const PhiloxBatchShape& shape, const PhiloxBatchDraw& draw,
                               const uint32_t* list_rows, const uint32_t* first, const int32_t* list_labels,
                               uint32_t* rows, int32_t* labels, DeviceStream stream);

}  // namespace couplet
