// What a call to the CUDA runtime, cuDNN, cuBLAS or a kernel's launcher returned, as a Status that names the
// expression, the place and the error; and the same as a line on stderr, for destructors. Each macro takes
// any library's status.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include "runtime/status.h"

namespace couplet::cuda {

// Ok, or kDevice; kOutOfMemory when the device's or the host's pinned memory did not suffice (that error is
// cleared: the device stays usable).
Status ToStatus(cudaError_t result, const char* expression, const char* file, int line);
Status ToStatus(cudnnStatus_t result, const char* expression, const char* file, int line);
Status ToStatus(cublasStatus_t result, const char* expression, const char* file, int line);
// A LaunchResult of kernels/launch.h.
Status ToStatus(int result, const char* expression, const char* file, int line);

// Silent when the process is ending, or when the device had failed before: that was reported then.
void LogFailure(const Status& status);
void LogFailure(cudaError_t result, const char* expression, const char* file, int line);
template <class T>
void LogFailure(T result, const char* expression, const char* file, int line) {
  LogFailure(ToStatus(result, expression, file, line));
}

// Whether nothing but the end of the process helps: an illegal address and its like.
bool IsSticky(cudaError_t result);

// Whether cuDNN refuses what was asked of it, and did not fail at it.
bool IsRefusal(cudnnStatus_t result);

// Whether each layer is to be waited for, one at a time, so that the one that fails can be named: $COUPLET_CUDA_WATCH is set.
bool IsWatched();

}  // namespace couplet::cuda

// Leaves the function with a Status when the call failed.
#define COUPLET_DEVICE_RETURN(expr) \
  COUPLET_RETURN_IF_ERROR(::couplet::cuda::ToStatus((expr), #expr, __FILE__, __LINE__))

// For destructors.
#define COUPLET_DEVICE_LOG(expr) ::couplet::cuda::LogFailure((expr), #expr, __FILE__, __LINE__)
