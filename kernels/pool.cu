// Launcher of the pool kernel.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/pool.h"

#include "kernels/pool.cuh"
#include "kernels/vectors.h"

namespace couplet {
namespace {

// Every window along one axis holds at least one value of the source.
bool WindowsHoldSource(int in, int out, int window, int stride, int pad) {
  return window > 0 && stride > 0 && pad >= 0 && pad < window && (out - 1) * stride - pad < in;
}

}  // namespace

template <class T>
LaunchResult LaunchPool(const PoolShape& given, const T* src, T* dst, DeviceStream stream) {
  PoolShape shape = given;
  shape.dst_stride = StrideOr(given.dst_stride, given.c);
  if (shape.n <= 0 || shape.c <= 0 || shape.ih <= 0 || shape.iw <= 0 || shape.oh <= 0 || shape.ow <= 0 ||
      shape.dst_stride < shape.c ||
      !WindowsHoldSource(shape.ih, shape.oh, shape.kh, shape.sh, shape.pad_top) ||
      !WindowsHoldSource(shape.iw, shape.ow, shape.kw, shape.sw, shape.pad_left))
    return kLaunchInvalidValue;
  constexpr int kWide = VectorOf<T>::kWidth;
  const bool wide = MovesVectors(shape.c, shape.c, shape.dst_stride, src, dst);
  const int64_t items = int64_t{shape.ow} * (shape.c / (wide ? kWide : 1));
  const int threads = 128;
  if (items > kMaxGridX - threads || shape.oh > kMaxGridYZ || shape.n > kMaxGridYZ)
    return kLaunchInvalidValue;
  const dim3 grid(static_cast<unsigned>(BlocksOf(items, threads)), static_cast<unsigned>(shape.oh),
                  static_cast<unsigned>(shape.n));
  const auto kernel = wide ? (shape.average ? PoolKernel<T, kWide, true> : PoolKernel<T, kWide, false>)
                           : (shape.average ? PoolKernel<T, 1, true> : PoolKernel<T, 1, false>);
  return Launch(kernel, grid, dim3(threads), 0, stream, shape, src, dst);
}

template LaunchResult LaunchPool(const PoolShape&, const float*, float*, DeviceStream);
template LaunchResult LaunchPool(const PoolShape&, const __half*, __half*, DeviceStream);

}  // namespace couplet
