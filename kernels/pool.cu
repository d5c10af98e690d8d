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


template <class T, bool kAverage, int kStride>
LaunchResult Run3x3(const PoolShape& shape, const T* src, T* dst, DeviceStream stream, int64_t threads_wanted) {
  constexpr int kRows = Pool3x3Rows(kStride);
  const int64_t items = BlocksOf(shape.ow, kPool3x3Columns) * (shape.c / kPool3x3Channels);
  const bool tall = items * BlocksOf(shape.oh, kRows) * shape.n >= threads_wanted;
  const dim3 grid(static_cast<unsigned>(BlocksOf(items, kPoolThreads)),
                  static_cast<unsigned>(BlocksOf(shape.oh, tall ? kRows : 1)), static_cast<unsigned>(shape.n));
  const auto kernel = tall ? Pool3x3Kernel<T, kAverage, kStride, kRows> : Pool3x3Kernel<T, kAverage, kStride, 1>;
  return Launch(kernel, grid, dim3(kPoolThreads), 0, stream, shape, src, dst);
}

bool Is3x3(const PoolShape& shape, int stride) {
  return shape.kh == 3 && shape.kw == 3 && shape.sh == stride && shape.sw == stride;
}

}  // namespace

template <class T>
LaunchResult LaunchPool(const PoolShape& given, const T* src, T* dst, DeviceStream stream,
                        int64_t threads_wanted) {
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
  if (items > kMaxGridX - kPoolThreads || shape.oh > kMaxGridYZ || shape.n > kMaxGridYZ)
    return kLaunchInvalidValue;
  if (wide && shape.average && Is3x3(shape, 1)) return Run3x3<T, true, 1>(shape, src, dst, stream, threads_wanted);
  if (wide && !shape.average && Is3x3(shape, 2)) return Run3x3<T, false, 2>(shape, src, dst, stream, threads_wanted);
  const dim3 grid(static_cast<unsigned>(BlocksOf(items, kPoolThreads)), static_cast<unsigned>(shape.oh),
                  static_cast<unsigned>(shape.n));
  const auto kernel = wide ? (shape.average ? PoolKernel<T, kWide, true> : PoolKernel<T, kWide, false>)
                           : (shape.average ? PoolKernel<T, 1, true> : PoolKernel<T, 1, false>);
  return Launch(kernel, grid, dim3(kPoolThreads), 0, stream, shape, src, dst);
}

template LaunchResult LaunchPool(const PoolShape&, const float*, float*, DeviceStream, int64_t);
template LaunchResult LaunchPool(const PoolShape&, const __half*, __half*, DeviceStream, int64_t);

}  // namespace couplet
