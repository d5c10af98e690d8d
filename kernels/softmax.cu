// Launcher of the softmax kernel.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/softmax.h"

#include "kernels/softmax.cuh"
#include "kernels/vectors.h"

namespace couplet {

template <class T>
LaunchResult LaunchSoftmax(const SoftmaxShape& given, const T* src, T* dst, DeviceStream stream) {
  SoftmaxShape shape = given;
  shape.src_stride = StrideOr(given.src_stride, given.c);
  shape.dst_stride = StrideOr(given.dst_stride, given.c);
  if (shape.rows <= 0 || shape.c <= 0 || shape.src_stride < shape.c || shape.dst_stride < shape.c)
    return kLaunchInvalidValue;
  return Launch(SoftmaxKernel<T>, dim3(static_cast<unsigned>(shape.rows)), dim3(kSoftmaxThreads), 0, stream,
                shape, src, dst);
}

template LaunchResult LaunchSoftmax(const SoftmaxShape&, const float*, float*, DeviceStream);
template LaunchResult LaunchSoftmax(const SoftmaxShape&, const __half*, __half*, DeviceStream);

}  // namespace couplet
