// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstring>

#include "tests/support/standin/testing.h"

using namespace couplet::standin;

TEST_CASE("standin: memory is NaN at birth, copied both ways and counted") {
  const FreshDevice fresh;
  size_t before = 0, after = 0, total = 0;
  REQUIRE(cudaMemGetInfo(&before, &total) == cudaSuccess);
  {
    const Floats device(3);
    for (const float value : device.Read()) CHECK(std::isnan(value));
    const std::vector<float> values = {1, 2, 3};
    CHECK(cudaMemcpy(device.data(), values.data(), device.bytes(), cudaMemcpyHostToDevice) == cudaSuccess);
    CHECK(device.Read() == values);
    CHECK(cudaMemset(device.data(), 0, 4) == cudaSuccess);
    CHECK(device.Read() == std::vector<float>{0, 2, 3});
    CHECK(reinterpret_cast<uintptr_t>(device.data()) % 256 == 0);
    REQUIRE(cudaMemGetInfo(&after, &total) == cudaSuccess);
    CHECK(before - after == 12);
    CHECK(couplet_standin_peak_bytes() == 12);
  }
  REQUIRE(cudaMemGetInfo(&after, &total) == cudaSuccess);
  CHECK(before == after);
}

TEST_CASE("standin: freeing what is not allocated, twice, inside a block or of the other kind is seen") {
  const FreshDevice fresh;
  void *device = nullptr, *pinned = nullptr;
  REQUIRE(cudaMalloc(&device, 64) == cudaSuccess);
  REQUIRE(cudaMallocHost(&pinned, 64) == cudaSuccess);
  int local = 0;
  CHECK(cudaFree(&local) == cudaErrorInvalidValue);
  CHECK_HAS(FreshDevice::Mistakes(), "cudaFree: memory that is not allocated");
  CHECK(cudaFree(static_cast<char*>(device) + 16) == cudaErrorInvalidValue);
  CHECK_HAS(FreshDevice::Mistakes(), "cudaFree: an address inside allocation");
  CHECK(cudaFree(pinned) == cudaErrorInvalidValue);
  CHECK_HAS(FreshDevice::Mistakes(), "64 bytes of pinned memory");
  CHECK(cudaFree(device) == cudaSuccess);
  CHECK(cudaFree(device) == cudaErrorInvalidValue);
  CHECK_HAS(FreshDevice::Mistakes(), "cudaFree: memory that is not allocated");
  CHECK(cudaFreeHost(pinned) == cudaSuccess);
  CHECK(cudaFree(nullptr) == cudaSuccess);
}

TEST_CASE("standin: what is alive is listed") {
  const FreshDevice fresh;
  char text[512];
  const size_t before = couplet_standin_alive(nullptr, 0);
  void* device = nullptr;
  cudaStream_t stream = nullptr;
  REQUIRE(cudaMalloc(&device, 77) == cudaSuccess);
  REQUIRE(cudaStreamCreate(&stream) == cudaSuccess);
  CHECK(couplet_standin_alive(text, sizeof text) == before + 2);
  CHECK_HAS(text, "77 bytes of device memory");
  CHECK_HAS(text, "stream");
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
  CHECK(cudaFree(device) == cudaSuccess);
  CHECK(couplet_standin_alive(nullptr, 0) == before);
}

TEST_CASE("standin: host memory where device memory belongs, the reverse, and too many bytes are seen") {
  const FreshDevice fresh;
  const Floats device(4);
  std::vector<float> host(8);
  CHECK(cudaMemcpy(host.data(), host.data(), 16, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK_HAS(FreshDevice::Mistakes(), "cudaMemcpy: dst is not device memory");
  CHECK(cudaMemcpy(device.data(), device.data(), 16, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK_HAS(FreshDevice::Mistakes(), "cudaMemcpy: src is device memory");
  CHECK(cudaMemcpy(device.data(), host.data(), 20, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK_HAS(FreshDevice::Mistakes(), "needs 20 bytes, and 16 are left");
  CHECK(cudaMemset(device.data() + 1, 0, 16) == cudaErrorInvalidValue);
  CHECK_HAS(FreshDevice::Mistakes(), "needs 16 bytes, and 12 are left");
  CHECK(cudaMemset(host.data(), 0, 16) == cudaErrorInvalidValue);
  CHECK_HAS(FreshDevice::Mistakes(), "cudaMemset: devPtr is not device memory");
  CHECK(cudaMemcpy(nullptr, device.data(), 4, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK_HAS(FreshDevice::Mistakes(), "dst is null");
}

#if !defined(__SANITIZE_ADDRESS__)  // which sees it first
TEST_CASE("standin: a write into the rounding behind an allocation is seen when it is freed") {
  const FreshDevice fresh;
  for (const ptrdiff_t at : {20, -1}) {
    void* device = nullptr;
    REQUIRE(cudaMalloc(&device, 20) == cudaSuccess);
    static_cast<char*>(device)[at] = 1;
    CHECK(cudaFree(device) == cudaSuccess);
    CHECK_HAS(FreshDevice::Mistakes(),
              at > 0 ? "past the end of allocation" : "before the start of allocation");
  }
}
#endif

TEST_CASE("standin: memory ends where the played device's does, and out of memory is not sticky") {
  const FreshDevice fresh;
  couplet_standin_set("memory_mb", "1");
  void *first = nullptr, *second = nullptr;
  REQUIRE(cudaMalloc(&first, 600 << 10) == cudaSuccess);
  CHECK(cudaMalloc(&second, 600 << 10) == cudaErrorMemoryAllocation);
  CHECK(second == nullptr);
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
  CHECK(cudaGetLastError() == cudaSuccess);
  CHECK(cudaMalloc(&second, 400 << 10) == cudaSuccess);
  CHECK(cudaFree(first) == cudaSuccess);
  CHECK(cudaFree(second) == cudaSuccess);
}

TEST_CASE("standin: the played device has the properties it is given, and there may be none") {
  const FreshDevice fresh;
  couplet_standin_set("name", "Toy");
  couplet_standin_set("capability", "7.5");
  couplet_standin_set("integrated", "1");
  couplet_standin_set("memory_mb", "100");
  couplet_standin_set("free_mb", "60");
  cudaDeviceProp properties;
  REQUIRE(cudaGetDeviceProperties(&properties, 0) == cudaSuccess);
  CHECK(std::string(properties.name) == "Toy");
  CHECK(properties.major == 7);
  CHECK(properties.minor == 5);
  CHECK(properties.integrated == 1);
  CHECK(properties.totalGlobalMem == size_t{100} << 20);
  CHECK(cudaGetDeviceProperties(&properties, 1) == cudaErrorInvalidDevice);
  size_t free = 0, total = 0;
  REQUIRE(cudaMemGetInfo(&free, &total) == cudaSuccess);
  CHECK(free == size_t{60} << 20);
  int count = -1, version = -1;
  couplet_standin_set("devices", "0");
  CHECK(cudaGetDeviceCount(&count) == cudaErrorNoDevice);
  couplet_standin_set("driver", "0");
  CHECK(cudaGetDeviceCount(&count) == cudaErrorInsufficientDriver);
  CHECK(cudaDriverGetVersion(&version) == cudaSuccess);
  CHECK(version == 0);
  CHECK_FALSE(couplet_standin_set("colour", "blue"));
}

TEST_CASE("standin: the N-th call fails, of one function or of all, and leaves nothing behind") {
  const FreshDevice fresh;
  void* data = nullptr;
  couplet_standin_fail("cudaMalloc:2");
  REQUIRE(cudaMalloc(&data, 8) == cudaSuccess);
  void* other = nullptr;
  CHECK(cudaMalloc(&other, 8) == cudaErrorMemoryAllocation);
  CHECK(cudaMalloc(&other, 8) == cudaSuccess);
  CHECK(cudaFree(other) == cudaSuccess);

  couplet_standin_fail("cudaMemset:1+:719");
  CHECK(cudaMemset(data, 0, 8) == cudaErrorLaunchFailure);
  CHECK(cudaMalloc(&other, 8) == cudaErrorLaunchFailure);  // sticky
  couplet_standin_fail("");
  CHECK(cudaMalloc(&other, 8) == cudaErrorLaunchFailure);
  CHECK(cudaFree(data) == cudaErrorLaunchFailure);  // and freed
  couplet_standin_reset();
  couplet_standin_set("quiet", "1");

  couplet_standin_fail("*:2:oom");
  REQUIRE(cudaMalloc(&data, 8) == cudaSuccess);
  CHECK(cudaFree(data) == cudaErrorMemoryAllocation);  // freed all the same
  couplet_standin_fail("*:1,*:3");
  cudaStream_t stream = nullptr;
  CHECK(cudaStreamCreate(&stream) == cudaErrorMemoryAllocation);
  CHECK(cudaStreamCreate(&stream) == cudaSuccess);
  CHECK(cudaStreamDestroy(stream) == cudaErrorUnknown);
  CHECK(couplet_standin_calls("cudaStreamCreate") == 2);
  CHECK(couplet_standin_calls("*") == 5);
}

TEST_CASE("standin: work that fails says so where it is waited for") {
  const FreshDevice fresh;
  cudaStream_t stream = nullptr;
  REQUIRE(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  const Floats device(4);
  couplet_standin_order("late");
  couplet_standin_fail("run:2");
  CHECK(cudaMemsetAsync(device.data(), 0, 4, stream) == cudaSuccess);
  CHECK(cudaMemsetAsync(device.data(), 0, 4, stream) == cudaSuccess);
  CHECK(cudaStreamSynchronize(stream) == cudaErrorUnknown);
  CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
  couplet_standin_fail("run:1:fault");
  CHECK(cudaMemsetAsync(device.data(), 0, 4, stream) == cudaSuccess);
  CHECK(cudaStreamSynchronize(stream) == cudaErrorIllegalAddress);
  CHECK(cudaStreamSynchronize(stream) == cudaErrorIllegalAddress);
  couplet_standin_reset();
  couplet_standin_set("quiet", "1");
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
}
