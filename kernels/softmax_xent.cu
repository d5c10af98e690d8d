// SPDX-License-Identifier: Apache-2.0
#include "kernels/softmax_xent.cuh"

namespace couplet {

namespace {

template <int kLanes>
LaunchResult Launched(const SoftmaxXentArgs& args, int blocks, DeviceStream stream) {
  const LaunchResult result = Launch(SoftmaxXentKernel<kLanes>, dim3(static_cast<unsigned>(blocks)),
                                     dim3(kSoftmaxXentThreads), 0, stream, args);
  if (result != 0 || blocks == 1) return result;
  return Launch(SoftmaxXentSumKernel, dim3(1), dim3(1), 0, stream, args, blocks);
}

}  // namespace

int SoftmaxXentPartials(const SoftmaxXentShape& shape) {
  return CeilDiv(shape.n, kSoftmaxXentRows);
}

LaunchResult LaunchSoftmaxXent(const SoftmaxXentShape& shape, const float* src, const float* biases,
                               const int32_t* labels, const SoftmaxXentOutputs& outputs, HeadResult* partials,
                               const HeadResult* previous, HeadResult* result, DeviceStream stream) {
  if (shape.n < 1 || shape.classes < 1) return kLaunchInvalidValue;
  const SoftmaxXentArgs args = {shape, src, biases, labels, outputs, partials, previous, result};
  const int blocks = SoftmaxXentPartials(shape);
  if (shape.classes <= 4) return Launched<4>(args, blocks, stream);
  if (shape.classes <= 8) return Launched<8>(args, blocks, stream);
  if (shape.classes <= 16) return Launched<16>(args, blocks, stream);
  return Launched<32>(args, blocks, stream);
}

}  // namespace couplet
