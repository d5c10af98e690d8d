// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/device.h"

#include <cuda_fp16.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <vector>

#include "kernels/convert.h"
#include "kernels/philox.h"

namespace couplet::cuda {
namespace {

constexpr int kDevice = 0;  // $CUDA_VISIBLE_DEVICES says which that is

std::string Version(int number) {
  return fmt::format("{}.{}", number / 1000, number % 1000 / 10);
}

std::string DnnVersion() {
  const size_t version = cudnnGetVersion();
  // 8.9.7 is 8907, 9.19.0 is 91900.
  const size_t major = version >= 10000 ? 10000 : 1000;
  return fmt::format("{}.{}.{}", version / major, version % major / 100, version % 100);
}

std::string BlasVersion() {
  const size_t version = cublasLtGetVersion();  // 120805, 130002
  return fmt::format("{}.{}.{}", version / 10000, version % 10000 / 100, version % 100);
}

Result<int> Attribute(cudaDeviceAttr attribute) {
  int value = 0;
  COUPLET_DEVICE_RETURN(cudaDeviceGetAttribute(&value, attribute, kDevice));
  return value;
}

// fp32 multiply-adds a clock on one multiprocessor (CUDA C++ Programming Guide, arithmetic instructions).
double PlainRate(int capability) {
  return capability == 75 || capability == 80 ? 64.0 : 128.0;
}

// fp16 multiply-adds a clock of one multiprocessor's tensor cores, dense, fp32 sums (NVIDIA's architecture
// papers).
double TensorRate(int capability) {
  switch (capability) {
    case 53:
    case 60:
    case 62:
      return 256.0;  // no tensor cores: two halves an instruction
    case 80:
      return 1024.0;
    case 90:
      return 2048.0;
    case 100:
    case 103:
    case 110:
      return 4096.0;
    default:
      return 512.0;
  }
}

// Where the GPU has no memory of its own: what the host can give without pushing anybody out. $COUPLET_MEMINFO plays
// another machine in tests.
size_t HostAvailableBytes() {
  const char* played = std::getenv("COUPLET_MEMINFO");
  std::ifstream meminfo(played != nullptr ? played : "/proc/meminfo");
  std::string line;
  while (std::getline(meminfo, line))
    if (line.rfind("MemAvailable:", 0) == 0) return std::strtoull(line.c_str() + 13, nullptr, 10) << 10;
  return SIZE_MAX;
}

Result<size_t> FreeOfDevice() {
  size_t free = 0, total = 0;
  COUPLET_DEVICE_RETURN(cudaMemGetInfo(&free, &total));
  return free;
}

std::vector<__half> Halves(std::span<const float> values) {
  std::vector<__half> halves;
  halves.reserve(values.size());
  for (const float value : values) halves.push_back(__float2half_rn(value));
  return halves;
}

}  // namespace

Result<std::unique_ptr<Device>> Device::Open(const CudaOptions& options) {
  std::unique_ptr<Device> device(new Device);
  device->options_ = options;
  device->watch_ = IsWatched();
  COUPLET_DEVICE_RETURN(cudaSetDevice(kDevice));
  COUPLET_RETURN_IF_ERROR(device->ReadProperties());
  COUPLET_ASSIGN_OR_RETURN(device->stream_, MakeStream());
  COUPLET_ASSIGN_OR_RETURN(device->blas_lt_, MakeLtHandle());
  COUPLET_RETURN_IF_ERROR(device->TryKernel());
  return device;
}

Status Device::ReadProperties() {
  cudaDeviceProp properties;
  COUPLET_DEVICE_RETURN(cudaGetDeviceProperties(&properties, kDevice));
  int driver = 0;
  COUPLET_DEVICE_RETURN(cudaDriverGetVersion(&driver));
  COUPLET_ASSIGN_OR_RETURN(const int integrated, Attribute(cudaDevAttrIntegrated));
  COUPLET_ASSIGN_OR_RETURN(const int clock_khz, Attribute(cudaDevAttrClockRate));
  COUPLET_ASSIGN_OR_RETURN(const int memory_khz, Attribute(cudaDevAttrMemoryClockRate));
  COUPLET_ASSIGN_OR_RETURN(const int bus_bits, Attribute(cudaDevAttrGlobalMemoryBusWidth));
  integrated_ = integrated != 0;
  COUPLET_ASSIGN_OR_RETURN(countable_at_start_, Countable());

  const int capability = properties.major * 10 + properties.minor;
  precision_ = options_.precision;
  std::string precision = precision_ == Precision::kFp16   ? "fp16"
                          : precision_ == Precision::kTf32 ? "tf32"
                                                           : "fp32";
  if (precision_ == Precision::kTf32 && capability < 80) {
    precision_ = Precision::kFp32;
    precision = "fp32 (tf32 needs compute capability 8.0)";
  }
  const double cores = precision_ == Precision::kFp16   ? TensorRate(capability)
                       : precision_ == Precision::kTf32 ? TensorRate(capability) / 2
                                                        : PlainRate(capability);
  multiply_adds_per_ms_ = cores * properties.multiProcessorCount * clock_khz;  // kHz: clocks a millisecond
  bytes_per_ms_ = 2.0 * memory_khz * bus_bits / 8;                             // two transfers a clock

  description_ = fmt::format("{}, compute capability {}.{}, {} MB, driver {}, cuDNN {}, cuBLAS {}, {}",
                             properties.name, properties.major, properties.minor, properties.totalGlobalMem >> 20,
                             Version(driver), DnnVersion(), BlasVersion(), precision);
  capability_number_ = capability;
  capability_ = fmt::format("{}.{}", properties.major, properties.minor);
  tuning_.Reset(fmt::format("{}, workspace {} MB", description_, options_.workspace_bytes >> 20),
                options_.tuning);
  return {};
}

// Finds out now, and not in the middle of a run, that there is no code for this device.
Status Device::TryKernel() const {
  COUPLET_ASSIGN_OR_RETURN(const DeviceBuffer buffer, DeviceBuffer::Allocate(64));
  COUPLET_DEVICE_RETURN(cudaMemsetAsync(buffer.data(), 0, buffer.bytes(), stream_.get()));
  const auto result = static_cast<cudaError_t>(
      LaunchConvert({.count = 8}, buffer.as<const float>(), buffer.as<__half>() + 16, stream_.get()));
#if CUDART_VERSION >= 11010
  const bool foreign_ptx = result == cudaErrorUnsupportedPtxVersion;
#else
  constexpr bool foreign_ptx = false;  // it said the other then
#endif
  if (result == cudaErrorNoKernelImageForDevice || foreign_ptx) {
    static_cast<void>(cudaGetLastError());
    return DeviceError(fmt::format(
        "this build has no code for a GPU of compute capability {} ({}); build it with ARCHS={}{}",
        capability_, cudaGetErrorName(result), capability_.substr(0, capability_.find('.')),
        capability_.substr(capability_.find('.') + 1)));
  }
  COUPLET_DEVICE_RETURN(result);
  COUPLET_DEVICE_RETURN(cudaStreamSynchronize(stream_.get()));
  return {};
}

// On a GPU that shares the host's memory what CUDA calls free shrinks with every file that is read, too.
Result<size_t> Device::Countable() const {
  return integrated_ ? Result<size_t>(HostAvailableBytes()) : FreeOfDevice();
}

Result<size_t> Device::WithinLimit(size_t bytes) const {
  if (options_.memory_limit_bytes == 0) return bytes;
  COUPLET_ASSIGN_OR_RETURN(const size_t now, Countable());
  const size_t taken = countable_at_start_ > now ? countable_at_start_ - now : 0;
  return options_.memory_limit_bytes > taken ? std::min(bytes, options_.memory_limit_bytes - taken) : 0;
}

Result<size_t> Device::Available() const {
  COUPLET_ASSIGN_OR_RETURN(const size_t free, FreeOfDevice());
  return integrated_ ? std::min(free, HostAvailableBytes()) : free;
}

Result<size_t> Device::FreeBytes() const {
  COUPLET_ASSIGN_OR_RETURN(const size_t free, Available());
  return WithinLimit(free);
}

Result<size_t> Device::Budget() const {
  COUPLET_ASSIGN_OR_RETURN(const size_t free, Available());
  return WithinLimit(free / 10 * 7);
}

const void* Device::Mapped(const void* host) const {
  cudaPointerAttributes attributes{};
  if (cudaPointerGetAttributes(&attributes, host) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());  // before CUDA 11 pageable memory is an error
    return nullptr;
  }
  return attributes.type == cudaMemoryTypeHost ? attributes.devicePointer : nullptr;
}

Result<DeviceBuffer> Device::Allocate(size_t bytes) const {
  if (options_.memory_limit_bytes != 0) {
    COUPLET_ASSIGN_OR_RETURN(const size_t free, FreeBytes());
    if (bytes > free)
      return OutOfMemory(fmt::format("{} MB of device memory: the limit of {} MB leaves {} MB",
                                     (bytes + (1u << 20) - 1) >> 20, options_.memory_limit_bytes >> 20,
                                     free >> 20));
  }
  return DeviceBuffer::Allocate(bytes);
}

Result<DeviceBuffer> Device::Upload(const void* src, size_t bytes) const {
  COUPLET_ASSIGN_OR_RETURN(DeviceBuffer buffer, Allocate(bytes));
  if (bytes == 0) return buffer;
  const Bench bench = TakeBench();
  COUPLET_DEVICE_RETURN(cudaMemcpyAsync(buffer.data(), src, bytes, cudaMemcpyHostToDevice, bench.stream));
  COUPLET_DEVICE_RETURN(cudaStreamSynchronize(bench.stream));
  return buffer;
}

Result<DeviceBuffer> Device::UploadFloats(std::span<const float> values) const {
  return Upload(values.data(), values.size_bytes());
}

Result<DeviceBuffer> Device::UploadElements(std::span<const float> values) const {
  if (!half()) return UploadFloats(values);
  const std::vector<__half> halves = Halves(values);
  return Upload(halves.data(), halves.size() * sizeof(__half));
}

// The host draws 2^16 of them; the rest are the device's copies: a race of large layers would wait for the host longer
// than for what it times.
Result<DeviceBuffer> Device::UploadNoise(size_t count) const {
  std::vector<float> values(std::min(count, size_t{1} << 16));
  for (size_t i = 0; i < values.size(); i += 4) {
    const Philox4 u = Philox4x32(0, static_cast<uint32_t>(i), 0, 0, 0);
    for (size_t k = 0; k < std::min<size_t>(4, values.size() - i); ++k)
      values[i + k] = static_cast<float>(static_cast<int32_t>(u.v[k])) * 0x1p-31f;
  }
  COUPLET_ASSIGN_OR_RETURN(DeviceBuffer drawn, UploadElements(values));
  if (count == values.size()) return drawn;
  COUPLET_ASSIGN_OR_RETURN(DeviceBuffer noise, Allocate(count * element_bytes()));
  const Bench bench = TakeBench();
  for (size_t at = 0; at < noise.bytes(); at += drawn.bytes())
    COUPLET_DEVICE_RETURN(cudaMemcpyAsync(noise.as<std::byte>() + at, drawn.data(), std::min(drawn.bytes(), noise.bytes() - at),
                                          cudaMemcpyDeviceToDevice, bench.stream));
  COUPLET_DEVICE_RETURN(cudaStreamSynchronize(bench.stream));
  return noise;
}

double Device::floor_ms(double bytes, double multiply_adds) const {
  return std::max(bytes / bytes_per_ms_, multiply_adds / multiply_adds_per_ms_);
}

Device::Bench Device::TakeBench() const {
  return {std::unique_lock(mutex_), stream_.get()};
}

Result<cudnnHandle_t> Device::DnnOf(const Bench& bench) const {
  COUPLET_CHECK(bench.lock.owns_lock());
  if (dnn_.get() == nullptr) {
    COUPLET_ASSIGN_OR_RETURN(dnn_, MakeDnnHandle(bench.stream));
  }
  return dnn_.get();
}

std::string DescribeDevices() {
  int driver = 0, count = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) return "no NVIDIA driver\n";
  const cudaError_t found = cudaGetDeviceCount(&count);
  std::string text;
  if (found != cudaSuccess || count == 0) {
    static_cast<void>(cudaGetLastError());
    text =
        fmt::format("no CUDA device ({})\n", found == cudaSuccess ? "none found" : cudaGetErrorString(found));
  }
  for (int i = 0; i < count && found == cudaSuccess; ++i) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) continue;
    text += fmt::format(
        "GPU {}: {}, {} MB, compute capability {}.{}, {}\n", i, properties.name,
        properties.totalGlobalMem >> 20, properties.major, properties.minor,
        i == kDevice ? "will be used" : "not used: the first one is (CUDA_VISIBLE_DEVICES chooses)");
  }
  int runtime = 0;
  static_cast<void>(cudaRuntimeGetVersion(&runtime));
  text += fmt::format("driver: CUDA {}\nCUDA runtime: {}\ncuDNN: {} (built with {}.{}.{})\ncuBLAS: {}\n",
                      Version(driver), Version(runtime), DnnVersion(), CUDNN_MAJOR, CUDNN_MINOR,
                      CUDNN_PATCHLEVEL, BlasVersion());
  if (count == 0 || found != cudaSuccess) return text;
  const auto device = Device::Open({});
  text += device.ok() ? "this GPU can be used\n" : "it cannot be used: " + device.status().message() + "\n";
  return text;
}

}  // namespace couplet::cuda
