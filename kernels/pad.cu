// Launcher of the pad kernel.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/pad.h"

#include "kernels/pad.cuh"
#include "kernels/vectors.h"

namespace couplet {

template <class T>
LaunchResult LaunchPad(const PadShape& given, const T* src, T* dst, DeviceStream stream) {
  PadShape shape = given;
  shape.dst_stride = StrideOr(given.dst_stride, given.c);
  if (shape.n <= 0 || shape.ih <= 0 || shape.iw <= 0 || shape.c <= 0 || shape.dst_stride < shape.c ||
      shape.pad_top < 0 || shape.pad_left < 0 || shape.pad_bottom < 0 || shape.pad_right < 0)
    return kLaunchInvalidValue;
  constexpr int kWide = VectorOf<T>::kWidth;
  const bool wide = MovesVectors(shape.c, shape.c, shape.dst_stride, src, dst);
  const int64_t oh = int64_t{shape.pad_top} + shape.ih + shape.pad_bottom;
  const int64_t ow = int64_t{shape.pad_left} + shape.iw + shape.pad_right;
  const int64_t items = ow * (shape.c / (wide ? kWide : 1));
  const int threads = 128;
  if (items > kMaxGridX - threads || oh > kMaxGridYZ || shape.n > kMaxGridYZ) return kLaunchInvalidValue;
  const dim3 grid(static_cast<unsigned>(BlocksOf(items, threads)), static_cast<unsigned>(oh),
                  static_cast<unsigned>(shape.n));
  const auto kernel = wide ? PadKernel<T, kWide> : PadKernel<T, 1>;
  return Launch(kernel, grid, dim3(threads), 0, stream, shape, src, dst);
}

template LaunchResult LaunchPad(const PadShape&, const float*, float*, DeviceStream);
template LaunchResult LaunchPad(const PadShape&, const __half*, __half*, DeviceStream);

}  // namespace couplet
