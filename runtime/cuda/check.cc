// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/check.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "runtime/cuda_loader.h"

namespace couplet::cuda {
namespace {

// cublasGetStatusName came with CUDA 11.4.
const char* Name(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH:
      return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_MAPPING_ERROR:
      return "CUBLAS_STATUS_MAPPING_ERROR";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    case CUBLAS_STATUS_LICENSE_ERROR:
      return "CUBLAS_STATUS_LICENSE_ERROR";
  }
  return "unknown cuBLAS status";
}

// A device that was lost fails what comes next, on any thread: the call at hand need not be the one that did it.
Status Failure(bool out_of_memory, bool lost, const std::string& error, const char* expression, const char* file, int line) {
  return {out_of_memory ? Code::kOutOfMemory : Code::kDevice,
          fmt::format("{} from {} at {}:{}{}", error, expression, file, line, lost && !IsWatched() ? kLayerUnknown : "")};
}

// The libraries' codes don't tell; the runtime's do.
bool IsLost() {
  size_t free = 0, total = 0;
  return IsSticky(cudaMemGetInfo(&free, &total));
}

}  // namespace

Status ToStatus(cudaError_t result, const char* expression, const char* file, int line) {
  if (result == cudaSuccess) return {};
  // An error that is not sticky would otherwise be found again by the next launch's check.
  static_cast<void>(cudaGetLastError());
  return Failure(result == cudaErrorMemoryAllocation, IsSticky(result),
                 fmt::format("{} ({})", cudaGetErrorName(result), cudaGetErrorString(result)), expression, file, line);
}

bool IsWatched() {
  return std::getenv("COUPLET_CUDA_WATCH") != nullptr;
}

Status ToStatus(cudnnStatus_t result, const char* expression, const char* file, int line) {
  if (result == CUDNN_STATUS_SUCCESS) return {};
#if CUDNN_MAJOR >= 9
  const bool out_of_memory = result == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
                             result == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED;
#else
  const bool out_of_memory = result == CUDNN_STATUS_ALLOC_FAILED;
#endif
  return Failure(out_of_memory, IsLost(), cudnnGetErrorString(result), expression, file, line);
}

Status ToStatus(cublasStatus_t result, const char* expression, const char* file, int line) {
  if (result == CUBLAS_STATUS_SUCCESS) return {};
  return Failure(result == CUBLAS_STATUS_ALLOC_FAILED, IsLost(), Name(result), expression, file, line);
}

Status ToStatus(int result, const char* expression, const char* file, int line) {
  return ToStatus(static_cast<cudaError_t>(result), expression, file, line);
}

void LogFailure(const Status& status) {
  if (!status.ok() && !IsSticky(cudaPeekAtLastError()))
    std::fprintf(stderr, "couplet: while letting go of the device: %s\n", status.message().c_str());
}

void LogFailure(cudaError_t result, const char* expression, const char* file, int line) {
  if (result == cudaErrorCudartUnloading || IsSticky(result)) return;
  LogFailure(ToStatus(result, expression, file, line));
}

bool IsSticky(cudaError_t result) {
  switch (result) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorECCUncorrectable:
      return true;
    default:
      return false;
  }
}

bool IsRefusal(cudnnStatus_t result) {
#if CUDNN_MAJOR >= 9
  const auto category = CUDNN_STATUS_CATEGORY(result);
  return category == CUDNN_STATUS_NOT_SUPPORTED || category == CUDNN_STATUS_BAD_PARAM;
#else
  return result == CUDNN_STATUS_NOT_SUPPORTED || result == CUDNN_STATUS_ARCH_MISMATCH ||
         result == CUDNN_STATUS_BAD_PARAM;
#endif
}

}  // namespace couplet::cuda
