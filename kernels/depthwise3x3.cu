// SPDX-License-Identifier: Apache-2.0
#include "kernels/depthwise3x3.cuh"

#include "kernels/depthwise.cuh"

namespace couplet {
namespace {

// Rows a thread walks: long walks read less twice, short ones make threads enough for every GPU.
constexpr int kLongestWalk = 16;
constexpr int64_t kThreadsWanted = 1 << 17;

template <typename T, int kStride, int kVec>
LaunchResult Run(const DepthwiseShape& shape, const T* src, const float* weights, const float* bias, T* dst,
                 DeviceStream stream, int rows) {
  const int64_t columns = static_cast<int64_t>(shape.n) *
                          CeilDiv(shape.ow, kDepthwise3x3Strip) * (shape.ic / kVec);
  if (rows == 0) {
    rows = CeilDiv(shape.oh, CeilDiv(shape.oh, kLongestWalk));
    while (rows > 1 && columns * CeilDiv(shape.oh, rows) < kThreadsWanted) rows = CeilDiv(rows, 2);
  }
  const int threads = static_cast<int>(columns * CeilDiv(shape.oh, rows));
  return Launch(Depthwise3x3Kernel<T, kStride, kVec>,
                dim3(static_cast<unsigned>(CeilDiv(threads, kDepthwise3x3Threads))),
                dim3(kDepthwise3x3Threads), 0, stream, shape, rows, threads, src, weights, bias, dst);
}

template <typename T>
LaunchResult Choose(DepthwiseShape shape, const T* src, const float* weights, const float* bias, T* dst,
                    DeviceStream stream, int rows) {
  constexpr int kVec = kDepthwise3x3Channels;
  constexpr size_t kBytes = kVec * sizeof(T);
  if (!ValidDepthwise3x3(shape) || rows < 0) return kLaunchInvalidValue;
  if (shape.dst_stride == 0) shape.dst_stride = shape.oc;
  const bool vectors = shape.ic % kVec == 0 && shape.dst_stride % kVec == 0 && IsAligned(src, kBytes) &&
                       IsAligned(dst, kBytes) && IsAligned(weights, 16) && IsAligned(bias, 16);
  if (shape.sh == 1) {
    return vectors ? Run<T, 1, kVec>(shape, src, weights, bias, dst, stream, rows)
                   : Run<T, 1, 1>(shape, src, weights, bias, dst, stream, rows);
  }
  return vectors ? Run<T, 2, kVec>(shape, src, weights, bias, dst, stream, rows)
                 : Run<T, 2, 1>(shape, src, weights, bias, dst, stream, rows);
}

}  // namespace

LaunchResult Depthwise3x3(const DepthwiseShape& shape, const float* src, const float* weights,
                          const float* bias, float* dst, DeviceStream stream, int rows) {
  return Choose(shape, src, weights, bias, dst, stream, rows);
}
LaunchResult Depthwise3x3(const DepthwiseShape& shape, const __half* src, const float* weights,
                          const float* bias, __half* dst, DeviceStream stream, int rows) {
  return Choose(shape, src, weights, bias, dst, stream, rows);
}

}  // namespace couplet
