// Kernel launches: the SIMT harness hands each one over, and it joins its stream's queue.
// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "tests/support/simt/control.h"
#include "tests/support/standin/scheduler.h"
#include "tests/support/standin/state.h"

namespace couplet::standin {

namespace {

LaunchResult Queue(DeviceStream handle, std::function<void()> run) {
  return Cuda("launch", InCapture::kAllowed, [&] {
    Stream* stream = TheState().scheduler->Find(handle, "a kernel's launch");
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    return TheState().scheduler->Add(stream, "kernel", [run = std::move(run)] {
      try {
        run();
      } catch (const simt::Fault& fault) {
        TheState().Misuse(std::string("a kernel broke a rule: ") + fault.what());
        return cudaErrorIllegalAddress;
      }
      return cudaSuccess;
    });
  });
}

// Before any launch: when the library is loaded.
[[maybe_unused]] const bool queued = [] {
  simt::SetLaunchQueue(Queue);
  return true;
}();

}  // namespace

}  // namespace couplet::standin
