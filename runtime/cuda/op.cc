// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/op.h"

#include <nvtx3/nvToolsExt.h>

#include <mutex>

namespace couplet::cuda {

Status Op::run(const RunArgs& args) const {
  Worker& worker = WorkerOf(*args.worker);
  std::unique_lock<std::mutex> alone;
  if (device_.watch()) alone = std::unique_lock(device_.watched());
  nvtxRangePushA(layer_.c_str());
  Status status = Run(args, worker);
  if (status.ok() && device_.watch()) {
    const auto wait = [&worker]() -> Status {
      COUPLET_DEVICE_RETURN(cudaStreamSynchronize(worker.stream()));
      return {};
    };
    status = wait();
  }
  nvtxRangePop();
  if (status.ok()) return status;
  return {status.code(), "layer '" + layer_ + "': " + status.message()};
}

}  // namespace couplet::cuda
