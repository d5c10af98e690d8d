// The way to the CUDA engine, which lies in a shared object of its own: a program maps no NVIDIA library
// until it asks for a device. No NVIDIA header here. Every error is kDevice and one line that says what was
// missing.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/backend.h"
#include "runtime/status.h"

namespace couplet {

struct CudaOptions {
  // kTf32 needs compute capability 8.0; on older devices it means kFp32, and Backend::description() says so.
  Precision precision = Precision::kFp32;
  // That one convolution may use. A part of what makes a choice, so it does not follow the free memory.
  size_t workspace_bytes = size_t{64} << 20;
  size_t memory_limit_bytes = 0;  // of device memory that this backend may take; 0 = all that is free
  // Choose algorithms by timing them, and put the choices into Backend::tuning(). Otherwise a fixed rule
  // chooses.
  bool tune = false;
  std::string
      tuning;  // what tuning() gave before; what was made on another device or by other libraries is not used
};

// How the message of a failure ends after which the device answers nothing any more, unless every layer is waited for:
// such a failure shows later and elsewhere than it happens.
inline constexpr std::string_view kLayerUnknown =
    "; with COUPLET_CUDA_WATCH=1 in the environment every layer is waited for, and the one that fails is named";

// The object that LoadCudaBackend opens: $COUPLET_CUDA_LIBRARY, else libcouplet_cuda.so beside the program,
// else in
// ../lib/couplet from there. Empty: there is none, this program was built without CUDA.
std::string FindCudaLibrary();

// Whether there is an NVIDIA driver, to be asked before anything bigger is opened: libcuda.so.1 opens. The
// error is "no NVIDIA driver ...".
Status ProbeCudaDriver();

// The first CUDA device. cuDNN and cuBLAS are looked for in $CUDNN_HOME and $CUDA_HOME ({lib,lib64}), then
// where the linker finds them. The object stays open until the process ends.
Result<std::unique_ptr<Backend>> LoadCudaBackend(const CudaOptions& options);

// For people, a line an item: each GPU with memory and compute capability, the driver, the libraries'
// versions, and which GPU will be used; or why none.
std::string DescribeCudaDevices();

// What the object exports. `version` is kCudaInterface: a program refuses an object built from other sources.
inline constexpr int kCudaInterface = 4;
struct CudaEntryPoints {
  int version = 0;
  Result<std::unique_ptr<Backend>> (*make_backend)(const CudaOptions& options) = nullptr;
  std::string (*describe_devices)() = nullptr;
};

}  // namespace couplet
