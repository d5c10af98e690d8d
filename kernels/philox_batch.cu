// SPDX-License-Identifier: Apache-2.0
#include "kernels/philox_batch.cuh"

namespace couplet {

LaunchResult LaunchPhiloxBatch(const PhiloxBatchShape& shape, const PhiloxBatchDraw& draw,
                               const uint32_t* list_rows, const uint32_t* first, const int32_t* list_labels,
                               uint32_t* rows, int32_t* labels, DeviceStream stream) {
  if (shape.count < 1 || shape.n < 1 || shape.lists < 1) return kLaunchInvalidValue;
  const int64_t total = static_cast<int64_t>(shape.count) * shape.n;
  const unsigned blocks = static_cast<unsigned>((total + kPhiloxBatchThreads - 1) / kPhiloxBatchThreads);
  return Launch(PhiloxBatchKernel, dim3(blocks), dim3(kPhiloxBatchThreads), 0, stream, shape, draw, list_rows,
                first, list_labels, rows, labels);
}

}  // namespace couplet
