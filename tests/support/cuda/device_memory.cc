// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include <cstdlib>
#include <map>

#include "tests/support/device_memory.h"
#include "tests/support/test.h"

namespace couplet::test {
namespace {

// A test can't go on without its device; the message says which call and why.
void Demand(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  FAIL(what, ": ", cudaGetErrorString(error));
}

std::vector<unsigned char> Guard(size_t bytes) {
  std::vector<unsigned char> guard(bytes);
  for (size_t i = 0; i < bytes; ++i) guard[i] = i % 2 == 0 ? 0xC5 : 0xFF;
  return guard;
}

}  // namespace

DeviceBytes::DeviceBytes(size_t bytes) : bytes_(bytes) {
  void* memory = nullptr;
  Demand(cudaMalloc(&memory, bytes + 2 * kGuard), "cudaMalloc");
  data_ = static_cast<char*>(memory) + kGuard;
  const auto guard = Guard(kGuard);
  Demand(cudaMemcpy(memory, guard.data(), kGuard, cudaMemcpyHostToDevice), "cudaMemcpy");
  Demand(cudaMemcpy(static_cast<char*>(data_) + bytes, guard.data(), kGuard, cudaMemcpyHostToDevice),
         "cudaMemcpy");
  if (bytes != 0) Demand(cudaMemset(data_, 0xff, bytes), "cudaMemset");
}

DeviceBytes::~DeviceBytes() {
  if (data_ != nullptr) cudaFree(static_cast<char*>(data_) - kGuard);
}

void DeviceBytes::Write(const void* from) {
  Demand(cudaMemcpy(data_, from, bytes_, cudaMemcpyHostToDevice), "cudaMemcpy");
}
void DeviceBytes::Read(void* to) const {
  Demand(cudaStreamSynchronize(TestStream()), "the kernel");
  Demand(cudaMemcpy(to, data_, bytes_, cudaMemcpyDeviceToHost), "cudaMemcpy");
}

bool DeviceBytes::intact() const {
  std::vector<unsigned char> before(kGuard), after(kGuard);
  Demand(cudaStreamSynchronize(TestStream()), "the kernel");
  Demand(cudaMemcpy(before.data(), static_cast<char*>(data_) - kGuard, kGuard, cudaMemcpyDeviceToHost),
         "cudaMemcpy");
  Demand(cudaMemcpy(after.data(), static_cast<char*>(data_) + bytes_, kGuard, cudaMemcpyDeviceToHost),
         "cudaMemcpy");
  return before == Guard(kGuard) && after == Guard(kGuard);
}

std::string DeviceLacking() {
  int count = 0;
  const cudaError_t found = cudaGetDeviceCount(&count);
  if ((found == cudaSuccess && count > 0) || std::getenv("REQUIRE_CUDA") != nullptr) return "";
  return std::string("needs a GPU: ") + (found == cudaSuccess ? "there is none" : cudaGetErrorString(found)) +
         " (REQUIRE_CUDA=1 makes this a failure)";
}

DeviceStream TestStream() {
  static cudaStream_t stream = [] {
    cudaStream_t made = nullptr;
    Demand(cudaStreamCreate(&made), "cudaStreamCreate");  // in order with the plain copies above
    return made;
  }();
  return stream;
}

size_t TestSharedLimit() {
  int bytes = 0;
  Demand(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0),
         "cudaDeviceGetAttribute");
  return static_cast<size_t>(bytes);
}

void ForEachSchedule(const std::string& kernel, const std::function<void()>& body) {
  ++KernelCases()[kernel];
  body();
}

std::string KernelCounts() {
  const std::map<std::string, int>& cases = KernelCases();
  int sum = 0;
  for (const auto& [name, count] : cases) sum += count;
  return std::to_string(cases.size()) + " kernels, " + std::to_string(sum) + " cases on the device";
}

}  // namespace couplet::test
