// SPDX-License-Identifier: Apache-2.0
#include "kernels/sgd_update.cuh"

namespace couplet {

int SgdUpdatePartials(const SgdUpdateShape& shape) {
  return SgdBlocks(shape);
}

int64_t SgdUpdateNextFloats(const SgdUpdateShape& shape) {
  return SgdWeights(shape) + shape.classes;
}

LaunchResult LaunchSgdUpdate(const SgdUpdateArgs& args, DeviceStream stream) {
  const SgdUpdateShape& shape = args.shape;
  if (shape.n < 1 || shape.features < 1 || shape.classes < 1) return kLaunchInvalidValue;
  const dim3 grid(static_cast<unsigned>(SgdBlocks(shape)));
  const LaunchResult result = Launch(SgdUpdateKernel, grid, dim3(kSgdThreads), 0, stream, args);
  if (result != 0) return result;
  return Launch(SgdCommitKernel, grid, dim3(kSgdThreads), 0, stream, args);
}

}  // namespace couplet
