// Launcher of the bias and activation kernel.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/bias_activation.h"

#include "kernels/bias_activation.cuh"
#include "kernels/vectors.h"

namespace couplet {

template <class T>
LaunchResult LaunchBiasActivation(const BiasActivationShape& given, const T* src, const float* scale,
                                  const float* offset, T* dst, DeviceStream stream) {
  BiasActivationShape shape = given;
  shape.src_stride = StrideOr(given.src_stride, given.c);
  shape.dst_stride = StrideOr(given.dst_stride, given.c);
  if (shape.pixels <= 0 || shape.c <= 0 || shape.src_stride < shape.c || shape.dst_stride < shape.c)
    return kLaunchInvalidValue;
  constexpr int kWide = VectorOf<T>::kWidth;
  const bool wide = MovesVectors(shape.c, shape.src_stride, shape.dst_stride, src, dst);
  const int pixels_per_block = PixelsPerBlock(shape.c / (wide ? kWide : 1));
  const int64_t blocks = BlocksOf(shape.pixels, pixels_per_block);
  if (blocks > kMaxGridX) return kLaunchInvalidValue;
  const auto kernel = wide ? BiasActivationKernel<T, kWide> : BiasActivationKernel<T, 1>;
  return Launch(kernel, dim3(static_cast<unsigned>(blocks)), dim3(256), 0, stream, shape, pixels_per_block,
                src, scale, offset, dst);
}

template LaunchResult LaunchBiasActivation(const BiasActivationShape&, const float*, const float*,
                                           const float*, float*, DeviceStream);
template LaunchResult LaunchBiasActivation(const BiasActivationShape&, const __half*, const float*,
                                           const float*, __half*, DeviceStream);

}  // namespace couplet
