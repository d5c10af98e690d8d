// SPDX-License-Identifier: Apache-2.0
#include "loaders/nvml.h"

#include <dlfcn.h>

#include <cstdlib>

namespace couplet {
namespace {

// The few declarations that are needed, as NVIDIA's "NVML API Reference Guide" has them; they have been the same
// since 2013. Every call returns 0 when it did what it was asked.
using Handle = void*;
struct Utilization {
  unsigned gpu, memory;  // per cent of the last sampling period
};
struct Memory {
  unsigned long long total, free, used;  // bytes
};
constexpr int kTemperatureGpu = 0;

constexpr double kMiB = 1 << 20;

}  // namespace

struct Nvml::Calls {
  ~Calls() {
    if (ready) shutdown();
    if (library != nullptr) dlclose(library);
  }
  template <class F>
  void Find(const char* name, F** call) {
    *call = reinterpret_cast<F*>(dlsym(library, name));
  }
  bool Load(const std::string& name) {
    library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return false;
    Find("nvmlInit_v2", &init);
    Find("nvmlShutdown", &shutdown);
    Find("nvmlDeviceGetHandleByIndex_v2", &by_index);
    Find("nvmlDeviceGetHandleByUUID", &by_uuid);
    Find("nvmlDeviceGetUtilizationRates", &utilization);
    Find("nvmlDeviceGetMemoryInfo", &memory);
    Find("nvmlDeviceGetPowerUsage", &power);
    Find("nvmlDeviceGetTemperature", &temperature);
    return init != nullptr && shutdown != nullptr && by_index != nullptr && by_uuid != nullptr &&
           utilization != nullptr && memory != nullptr && power != nullptr && temperature != nullptr;
  }
  bool FindDevice() {
    const char* named = std::getenv("CUDA_VISIBLE_DEVICES");
    const std::string first = named == nullptr ? "" : std::string(named).substr(0, std::string(named).find(','));
    if (first.starts_with("GPU-")) return by_uuid(first.c_str(), &device) == 0;
    return by_index(static_cast<unsigned>(std::strtoul(first.c_str(), nullptr, 10)), &device) == 0;
  }

  void* library = nullptr;
  bool ready = false;
  Handle device = nullptr;
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  int (*by_index)(unsigned, Handle*) = nullptr;
  int (*by_uuid)(const char*, Handle*) = nullptr;
  int (*utilization)(Handle, Utilization*) = nullptr;
  int (*memory)(Handle, Memory*) = nullptr;
  int (*power)(Handle, unsigned*) = nullptr;  // mW
  int (*temperature)(Handle, int, unsigned*) = nullptr;
};

Nvml::Nvml() : calls_(std::make_unique<Calls>()) {}
Nvml::~Nvml() = default;

std::unique_ptr<Nvml> Nvml::Open(const std::string& library) {
  std::unique_ptr<Nvml> nvml(new Nvml);
  Calls& calls = *nvml->calls_;
  if (!calls.Load(library)) return nullptr;
  calls.ready = calls.init() == 0;
  return calls.ready && calls.FindDevice() ? std::move(nvml) : nullptr;
}

void Nvml::Read(DeviceSample* sample) const {
  Utilization utilization{};
  if (calls_->utilization(calls_->device, &utilization) == 0) sample->gpu_percent = utilization.gpu;
  Memory memory{};
  if (calls_->memory(calls_->device, &memory) == 0) {
    sample->gpu_memory_mb = static_cast<double>(memory.used) / kMiB;
    sample->gpu_memory_total_mb = static_cast<double>(memory.total) / kMiB;
  }
  unsigned value = 0;
  if (calls_->power(calls_->device, &value) == 0) sample->watts = value / 1000.0;
  if (calls_->temperature(calls_->device, kTemperatureGpu, &value) == 0) sample->celsius = value;
}

}  // namespace couplet
