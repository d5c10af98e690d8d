// Launcher of the channel slice copy.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/concat_slice.h"

#include "kernels/concat_slice.cuh"
#include "kernels/vectors.h"

namespace couplet {

template <class T>
LaunchResult LaunchConcatSlice(const ConcatSliceShape& given, const T* src, T* dst, DeviceStream stream) {
  ConcatSliceShape shape = given;
  shape.src_stride = StrideOr(given.src_stride, given.c);
  shape.dst_stride = StrideOr(given.dst_stride, given.c);
  if (shape.pixels <= 0 || shape.c <= 0 || shape.src_stride < shape.c || shape.dst_stride < shape.c)
    return kLaunchInvalidValue;
  constexpr int kWide = VectorOf<T>::kWidth;
  const bool wide = MovesVectors(shape.c, shape.src_stride, shape.dst_stride, src, dst);
  const int pixels_per_block = PixelsPerBlock(shape.c / (wide ? kWide : 1));
  const int64_t blocks = BlocksOf(shape.pixels, pixels_per_block);
  if (blocks > kMaxGridX) return kLaunchInvalidValue;
  const auto kernel = wide ? ConcatSliceKernel<T, kWide> : ConcatSliceKernel<T, 1>;
  return Launch(kernel, dim3(static_cast<unsigned>(blocks)), dim3(256), 0, stream, shape, pixels_per_block,
                src, dst);
}

template LaunchResult LaunchConcatSlice(const ConcatSliceShape&, const float*, float*, DeviceStream);
template LaunchResult LaunchConcatSlice(const ConcatSliceShape&, const __half*, __half*, DeviceStream);

}  // namespace couplet
