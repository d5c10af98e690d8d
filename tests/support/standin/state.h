// What all stand-ins share: one lock, the settings, the plan of failures, and the list of mistakes seen.
// The C interfaces that are stood in for have no object to hold it, so there is one of it a process.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace couplet::standin {

struct Device {
  int devices = 1;
  int driver = 13000;
  std::string name = "Stand-in GPU";
  size_t memory_bytes = size_t{4} << 30;
  size_t free_bytes = size_t{4} << 30;  // at start
  int major = 9, minor = 0;
  bool integrated = false;
  bool strided = false;
  bool guard = false;
  bool quiet = false;
  bool idle = false;
  bool Set(std::string_view property, const std::string& value);
};

// Shared memory a block may ask for beyond 48 KiB (CUDA programming guide, compute capabilities), bytes.
size_t SharedOptIn(const Device& device);

enum class Library { kCuda, kCudnn, kBlas };

// One entry of couplet_standin_fail().
struct PlannedFailure {
  std::string name;
  long nth = 0;
  bool onwards = false;
  std::string code;
  long seen = 0;
};

class Memory;
class Scheduler;

struct State {
  State();
  std::mutex lock;  // held by every entry point, and while work is executed
  Device device;
  std::vector<PlannedFailure> plan;
  std::map<std::string, long, std::less<>> calls;
  std::vector<std::string> misuse;
  std::map<const void*, std::string> objects;  // handles and descriptors alive -> what they are
  cudaError_t sticky = cudaSuccess;
  std::unique_ptr<Memory> memory;
  std::unique_ptr<Scheduler> scheduler;

  void SetPlan(const std::string& text);
  // Counts a call of `name`; the code it shall fail with, 0 to go on.
  int Count(std::string_view name, Library library);
  void Misuse(std::string message);
  std::vector<std::string> Alive() const;
  void Reset();
};

State& TheState();

// Error the calling thread would get from cudaGetLastError.
cudaError_t& LastError();
// True while this thread runs a host function of a stream, where no CUDA call is allowed.
bool& InHostFunction();

bool IsSticky(cudaError_t error);

// May the call be made while a stream is captured in global mode? kHostOnly: it has nothing to do with the
// device, and works where that failed or is missing.
enum class InCapture { kAllowed, kForbidden, kHostOnly };

// Before and after every entry point's own part. Enter() returns the error to give up with, or cudaSuccess.
cudaError_t EnterCuda(const char* name, InCapture rule);
cudaError_t LeaveCuda(cudaError_t error);
cudnnStatus_t EnterCudnn(const char* name, InCapture rule);
cublasStatus_t EnterBlas(const char* name, InCapture rule);

// Entry points: `body` runs under the lock, and not at all where a failure is planned.
template <class Body>
cudaError_t Cuda(const char* name, InCapture rule, Body&& body) {
  if (InHostFunction()) return cudaErrorNotPermitted;
  const std::lock_guard<std::mutex> held(TheState().lock);
  cudaError_t error = EnterCuda(name, rule);
  if (error == cudaSuccess) error = body();
  return LeaveCuda(error);
}
// What frees or destroys does so even where it is to fail.
template <class Body>
cudaError_t CudaRelease(const char* name, Body&& body) {
  if (InHostFunction()) return cudaErrorNotPermitted;
  const std::lock_guard<std::mutex> held(TheState().lock);
  const cudaError_t planned = EnterCuda(name, InCapture::kAllowed);
  const cudaError_t error = body();
  return LeaveCuda(planned != cudaSuccess ? planned : error);
}
template <class Body>
cudnnStatus_t Cudnn(const char* name, InCapture rule, Body&& body) {
  const std::lock_guard<std::mutex> held(TheState().lock);
  const cudnnStatus_t status = EnterCudnn(name, rule);
  return status == CUDNN_STATUS_SUCCESS ? body() : status;
}
template <class Body>
cudnnStatus_t CudnnRelease(const char* name, InCapture rule, Body&& body) {
  const std::lock_guard<std::mutex> held(TheState().lock);
  const cudnnStatus_t planned = EnterCudnn(name, rule), status = body();
  return planned != CUDNN_STATUS_SUCCESS ? planned : status;
}
template <class Body>
cublasStatus_t Blas(const char* name, InCapture rule, Body&& body) {
  const std::lock_guard<std::mutex> held(TheState().lock);
  const cublasStatus_t status = EnterBlas(name, rule);
  return status == CUBLAS_STATUS_SUCCESS ? body() : status;
}
template <class Body>
cublasStatus_t BlasRelease(const char* name, InCapture rule, Body&& body) {
  const std::lock_guard<std::mutex> held(TheState().lock);
  const cublasStatus_t planned = EnterBlas(name, rule), status = body();
  return planned != CUBLAS_STATUS_SUCCESS ? planned : status;
}

// Handles and descriptors: known while alive, so that a stale or foreign one is seen.
template <class T>
T* Create(const char* what) {
  T* object = new T();
  TheState().objects[object] = what;
  return object;
}
template <class T>
bool Destroy(T* object, const char* what) {
  auto& objects = TheState().objects;
  const auto found = objects.find(object);
  if (found == objects.end() || found->second != what) {
    TheState().Misuse(std::string(what) + " destroyed that is not alive");
    return false;
  }
  objects.erase(found);
  delete object;
  return true;
}
// Is `object` alive and what it is taken for? Notes a mistake when not.
bool Alive(const void* object, const char* what, const char* call);

}  // namespace couplet::standin
