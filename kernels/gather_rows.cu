// SPDX-License-Identifier: Apache-2.0
#include "kernels/gather_rows.cuh"

namespace couplet {

namespace {

template <int kWide>
LaunchResult Launched(const GatherRowsShape& shape, const float* src, const uint32_t* rows, float* dst,
                      DeviceStream stream) {
  const dim3 grid(static_cast<unsigned>(shape.n),
                  static_cast<unsigned>(CeilDiv(shape.features, kGatherRowsThreads * kWide)));
  return Launch(GatherRowsKernel<kWide>, grid, dim3(kGatherRowsThreads), 0, stream, shape, src, rows, dst);
}

}  // namespace

LaunchResult LaunchGatherRows(const GatherRowsShape& shape, const float* src, const uint32_t* rows,
                              float* dst, DeviceStream stream) {
  if (shape.n < 1 || shape.features < 1) return kLaunchInvalidValue;
  if (shape.features % 4 == 0 && IsAligned(src, 16) && IsAligned(dst, 16))
    return Launched<4>(shape, src, rows, dst, stream);
  return Launched<1>(shape, src, rows, dst, stream);
}

}  // namespace couplet
