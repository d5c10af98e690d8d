// SPDX-License-Identifier: Apache-2.0
#include "kernels/depthwise.cuh"

namespace couplet {
namespace {

template <typename T>
LaunchResult Run(DepthwiseShape shape, const T* src, const float* weights, const float* bias, T* dst,
                 DeviceStream stream) {
  if (!ValidDepthwise(shape)) return kLaunchInvalidValue;
  if (shape.dst_stride == 0) shape.dst_stride = shape.oc;
  const int outputs = shape.n * shape.oh * shape.ow * shape.oc;
  return Launch(DepthwiseKernel<T>, dim3(static_cast<unsigned>(CeilDiv(outputs, kDepthwiseThreads))),
                dim3(kDepthwiseThreads), 0, stream, shape, src, weights, bias, dst, outputs);
}

}  // namespace

LaunchResult Depthwise(const DepthwiseShape& shape, const float* src, const float* weights, const float* bias,
                       float* dst, DeviceStream stream) {
  return Run(shape, src, weights, bias, dst, stream);
}
LaunchResult Depthwise(const DepthwiseShape& shape, const __half* src, const float* weights,
                       const float* bias, __half* dst, DeviceStream stream) {
  return Run(shape, src, weights, bias, dst, stream);
}

}  // namespace couplet
