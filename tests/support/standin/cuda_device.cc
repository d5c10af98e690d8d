// The CUDA runtime's device: properties, versions, errors.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "tests/support/standin/state.h"

using namespace couplet::standin;  // NOLINT: the names below are C's

// Counting devices is how a machine without one is found out: the call itself answers.
cudaError_t cudaGetDeviceCount(int* count) {
  return Cuda(__func__, InCapture::kAllowed, [&] {
    if (count == nullptr) return cudaErrorInvalidValue;
    *count = TheState().device.devices;
    return cudaSuccess;
  });
}
cudaError_t cudaSetDevice(int device) {
  return Cuda(__func__, InCapture::kAllowed, [&] {
    return device >= 0 && device < TheState().device.devices ? cudaSuccess : cudaErrorInvalidDevice;
  });
}
cudaError_t cudaGetDevice(int* device) {
  return Cuda(__func__, InCapture::kAllowed, [&] {
    if (device == nullptr) return cudaErrorInvalidValue;
    *device = 0;
    return cudaSuccess;
  });
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return Cuda("cudaGetDeviceProperties", InCapture::kAllowed, [&] {
    const Device& played = TheState().device;
    if (properties == nullptr) return cudaErrorInvalidValue;
    if (device < 0 || device >= played.devices) return cudaErrorInvalidDevice;
    std::memset(properties, 0, sizeof *properties);
    std::strncpy(properties->name, played.name.c_str(), sizeof properties->name - 1);
    properties->totalGlobalMem = played.memory_bytes;
    properties->major = played.major;
    properties->minor = played.minor;
    properties->integrated = played.integrated ? 1 : 0;
    properties->warpSize = 32;
    properties->maxThreadsPerBlock = 1024;
    properties->maxThreadsPerMultiProcessor = 2048;
    properties->sharedMemPerBlock = 48 * 1024;
    properties->sharedMemPerBlockOptin = SharedOptIn(played);
    properties->sharedMemPerMultiprocessor = properties->sharedMemPerBlockOptin + 1024;
    properties->multiProcessorCount = 16;
    properties->regsPerBlock = properties->regsPerMultiprocessor = 65536;
    properties->l2CacheSize = 4 << 20;
    properties->memoryBusWidth = 256;
    properties->unifiedAddressing = properties->canMapHostMemory = properties->concurrentKernels = 1;
    properties->asyncEngineCount = 2;
    return cudaSuccess;
  });
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return Cuda(__func__, InCapture::kAllowed, [&] {
    const Device& played = TheState().device;
    if (value == nullptr) return cudaErrorInvalidValue;
    if (device < 0 || device >= played.devices) return cudaErrorInvalidDevice;
    switch (attribute) {
      case cudaDevAttrComputeCapabilityMajor:
        *value = played.major;
        return cudaSuccess;
      case cudaDevAttrComputeCapabilityMinor:
        *value = played.minor;
        return cudaSuccess;
      case cudaDevAttrIntegrated:
        *value = played.integrated ? 1 : 0;
        return cudaSuccess;
      case cudaDevAttrMultiProcessorCount:
        *value = 16;
        return cudaSuccess;
      case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = 48 * 1024;
        return cudaSuccess;
      case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = static_cast<int>(SharedOptIn(played));
        return cudaSuccess;
      case cudaDevAttrWarpSize:
        *value = 32;
        return cudaSuccess;
      case cudaDevAttrMaxThreadsPerBlock:
        *value = 1024;
        return cudaSuccess;
      case cudaDevAttrClockRate:
        *value = 1500000;
        return cudaSuccess;
      case cudaDevAttrMemoryClockRate:
        *value = 2000000;
        return cudaSuccess;
      case cudaDevAttrGlobalMemoryBusWidth:
        *value = 256;
        return cudaSuccess;
      case cudaDevAttrL2CacheSize:
        *value = 4 << 20;
        return cudaSuccess;
      default:
        TheState().Misuse("cudaDeviceGetAttribute: attribute " + std::to_string(attribute) +
                          " is not played");
        return cudaErrorInvalidValue;
    }
  });
}
// Versions are told even where there is no driver: its own is then 0.
cudaError_t cudaDriverGetVersion(int* version) {
  const std::lock_guard<std::mutex> held(TheState().lock);
  if (const int planned = TheState().Count(__func__, Library::kCuda)) return LeaveCuda(cudaError_t(planned));
  if (version == nullptr) return LeaveCuda(cudaErrorInvalidValue);
  *version = TheState().device.driver;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  const std::lock_guard<std::mutex> held(TheState().lock);
  if (const int planned = TheState().Count(__func__, Library::kCuda)) return LeaveCuda(cudaError_t(planned));
  if (version == nullptr) return LeaveCuda(cudaErrorInvalidValue);
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  return Cuda("cudaFuncSetAttribute", InCapture::kAllowed, [&] {
    if (function == nullptr) return cudaErrorInvalidDeviceFunction;
    const bool shared = attribute == cudaFuncAttributeMaxDynamicSharedMemorySize;
    return shared && value > static_cast<int>(SharedOptIn(TheState().device)) ? cudaErrorInvalidValue
                                                                              : cudaSuccess;
  });
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = LastError();
  if (!IsSticky(error)) LastError() = cudaSuccess;
  return error;
}
cudaError_t cudaPeekAtLastError() {
  return LastError();
}

namespace {

struct ErrorText {
  cudaError_t error;
  const char *name, *text;
};
// NVIDIA's names; the texts are the stand-in's.
constexpr ErrorText kErrors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver", "the driver is older than the runtime"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no device"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "no such device"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access"},
    {cudaErrorMisalignedAddress, "cudaErrorMisalignedAddress", "a misaligned address"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "a launch failed"},
    {cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources", "too many resources for a launch"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "an invalid launch configuration"},
    {cudaErrorNotPermitted, "cudaErrorNotPermitted", "not permitted"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "not while a stream is captured"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated", "an invalidated capture"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined", "a capture with unjoined work"},
    {cudaErrorStreamCaptureImplicit, "cudaErrorStreamCaptureImplicit", "an implicit dependency on a capture"},
    {cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation",
     "a dependency crosses a capture's border"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"},
};
const ErrorText* FindError(cudaError_t error) {
  const auto* found = std::find_if(std::begin(kErrors), std::end(kErrors),
                                   [&](const ErrorText& entry) { return entry.error == error; });
  return found == std::end(kErrors) ? nullptr : found;
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) {
  const ErrorText* found = FindError(error);
  return found != nullptr ? found->name : "unrecognized error code";
}
const char* cudaGetErrorString(cudaError_t error) {
  const ErrorText* found = FindError(error);
  return found != nullptr ? found->text : "unrecognized error code";
}
