// Launcher of the first convolution.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/first_conv.h"

#include "kernels/first_conv.cuh"
#include "kernels/vectors.h"

namespace couplet {

template <class T>
LaunchResult LaunchFirstConv(const FirstConvShape& given, const T* src, const float* weights,
                             const float* bias, T* dst, DeviceStream stream, int rounds) {
  FirstConvShape shape = given;
  shape.dst_stride = StrideOr(given.dst_stride, given.oc);
  if (shape.n <= 0 || shape.ih <= 0 || shape.iw <= 0 || shape.oh <= 0 || shape.ow <= 0 || shape.oc <= 0 ||
      shape.oc > kFirstConvMaxChannels || shape.src_stride < 3 || shape.dst_stride < shape.oc ||
      shape.pad_top < 0 || shape.pad_left < 0)
    return kLaunchInvalidValue;
  // See StoredPixels.
  const bool packed = shape.src_stride == 3 && shape.pad_left == 0 && shape.ow % kFirstConvPixels == 0 &&
                      shape.iw >= 2 * shape.ow && shape.iw * 3 % VectorOf<T>::kWidth == 0 && IsAligned(src, 16);
  const bool wide = MovesVectors(shape.oc, kFirstConvChannels, shape.dst_stride, dst, dst) &&
                    shape.oc % kFirstConvChannels == 0;
  const int padded = FirstConvPadded(shape.oc);
  const int64_t items = BlocksOf(shape.ow, kFirstConvPixels) * shape.oh * shape.n * (padded / kFirstConvChannels);
  if (items > kMaxGridX / 2) return kLaunchInvalidValue;
  // Many items a thread where that leaves a large GPU blocks enough.
  constexpr int kBlocksWanted = 2048, kMostRounds = 8;
  const int64_t most = BlocksOf(items, kFirstConvThreads) / kBlocksWanted;
  if (rounds == 0) rounds = static_cast<int>(most < 1 ? 1 : most > kMostRounds ? kMostRounds : most);
  const dim3 grid(static_cast<unsigned>(BlocksOf(items, rounds * kFirstConvThreads)));
  const size_t shared_bytes = static_cast<size_t>(kFirstConvTaps) * padded * sizeof(float);
  const auto kernel = packed ? (wide ? FirstConvKernel<T, true, true> : FirstConvKernel<T, true, false>)
                             : (wide ? FirstConvKernel<T, false, true> : FirstConvKernel<T, false, false>);
  return Launch(kernel, grid, dim3(kFirstConvThreads), shared_bytes, stream, shape, static_cast<int>(items), rounds, src,
                weights, bias, dst);
}

template LaunchResult LaunchFirstConv(const FirstConvShape&, const float*, const float*, const float*, float*,
                                      DeviceStream, int);
template LaunchResult LaunchFirstConv(const FirstConvShape&, const __half*, const float*, const float*,
                                      __half*, DeviceStream, int);

}  // namespace couplet
