// Launchers of the conversion kernel.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/convert.h"

#include "kernels/convert.cuh"
#include "kernels/vectors.h"

namespace couplet {
namespace {

template <class S, class D>
LaunchResult LaunchAny(const ConvertShape& shape, const S* src, D* dst, DeviceStream stream) {
  if (shape.count <= 0) return kLaunchInvalidValue;
  const bool wide = IsAligned(src, 16) && IsAligned(dst, 16);
  const int64_t blocks = BlocksOf(shape.count, 256 * (wide ? 8 : 1));
  if (blocks > kMaxGridX) return kLaunchInvalidValue;
  const auto kernel = wide ? ConvertKernel<S, D, 8> : ConvertKernel<S, D, 1>;
  return Launch(kernel, dim3(static_cast<unsigned>(blocks)), dim3(256), 0, stream, shape, src, dst);
}

}  // namespace

LaunchResult LaunchConvert(const ConvertShape& shape, const float* src, __half* dst, DeviceStream stream) {
  return LaunchAny(shape, src, dst, stream);
}
LaunchResult LaunchConvert(const ConvertShape& shape, const __half* src, float* dst, DeviceStream stream) {
  return LaunchAny(shape, src, dst, stream);
}

}  // namespace couplet
