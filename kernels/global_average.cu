// Launcher of the global average kernel.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/global_average.h"

#include "kernels/global_average.cuh"
#include "kernels/vectors.h"

namespace couplet {

template <class T>
LaunchResult LaunchGlobalAverage(const GlobalAverageShape& given, const T* src, T* dst, DeviceStream stream) {
  GlobalAverageShape shape = given;
  shape.dst_stride = StrideOr(given.dst_stride, given.c);
  if (shape.n <= 0 || shape.pixels <= 0 || shape.c <= 0 || shape.dst_stride < shape.c || shape.n > kMaxGridYZ)
    return kLaunchInvalidValue;
  constexpr int kWide = VectorOf<T>::kWidth;
  const bool wide = MovesVectors(shape.c, shape.c, shape.dst_stride, src, dst);
  const int block_channels = kGlobalAverageLanes * (wide ? kWide : 1);
  const dim3 grid(static_cast<unsigned>(BlocksOf(shape.c, block_channels)), static_cast<unsigned>(shape.n));
  const auto kernel = wide ? GlobalAverageKernel<T, kWide> : GlobalAverageKernel<T, 1>;
  return Launch(kernel, grid, dim3(kGlobalAverageLanes, kGlobalAverageRows), 0, stream, shape, src, dst);
}

template LaunchResult LaunchGlobalAverage(const GlobalAverageShape&, const float*, float*, DeviceStream);
template LaunchResult LaunchGlobalAverage(const GlobalAverageShape&, const __half*, __half*, DeviceStream);

}  // namespace couplet
