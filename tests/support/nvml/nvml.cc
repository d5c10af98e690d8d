// A libnvidia-ml.so.1 for tests: one GPU, whose figures $COUPLET_FAKE_NVML gives as "load used_mib total_mib milliwatts
// celsius"; "-" is a figure that this GPU does not tell. Unset or "": a library that knows no GPU.
// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>

namespace {

constexpr int kOk = 0, kNotSupported = 3, kNotFound = 6;  // nvmlReturn_t
char device;
int initialised = 0;

// Whether the `index`-th figure is told, and which it is.
int Figure(int index, unsigned long long* value) {
  if (initialised == 0) return 1;  // NVML_ERROR_UNINITIALIZED
  const char* text = std::getenv("COUPLET_FAKE_NVML");
  std::istringstream words(text == nullptr ? "" : text);
  std::string word;
  for (int i = 0; i <= index; ++i)
    if (!(words >> word)) return kNotFound;
  if (word == "-") return kNotSupported;
  *value = std::strtoull(word.c_str(), nullptr, 10);
  return kOk;
}

int Small(int index, unsigned* value) {
  unsigned long long figure = 0;
  const int result = Figure(index, &figure);
  if (result == kOk) *value = static_cast<unsigned>(figure);
  return result;
}

}  // namespace

#define COUPLET_API extern "C" __attribute__((visibility("default")))

COUPLET_API int nvmlInit_v2() {
  ++initialised;
  return kOk;
}
COUPLET_API int nvmlShutdown() {
  --initialised;
  return kOk;
}
COUPLET_API int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** handle) {
  const char* text = std::getenv("COUPLET_FAKE_NVML");
  if (index != 0 || text == nullptr || *text == 0) return kNotFound;
  *handle = &device;
  return kOk;
}
COUPLET_API int nvmlDeviceGetHandleByUUID(const char* uuid, void** handle) {
  return std::strcmp(uuid, "GPU-0") == 0 ? nvmlDeviceGetHandleByIndex_v2(0, handle) : kNotFound;
}
COUPLET_API int nvmlDeviceGetUtilizationRates(void*, unsigned* gpu_and_memory) { return Small(0, gpu_and_memory); }
COUPLET_API int nvmlDeviceGetMemoryInfo(void*, unsigned long long* total_free_used) {
  unsigned long long used = 0, total = 0;
  if (const int result = Figure(1, &used); result != kOk) return result;
  if (const int result = Figure(2, &total); result != kOk) return result;
  total_free_used[0] = total << 20;
  total_free_used[1] = (total - used) << 20;
  total_free_used[2] = used << 20;
  return kOk;
}
COUPLET_API int nvmlDeviceGetPowerUsage(void*, unsigned* milliwatts) { return Small(3, milliwatts); }
COUPLET_API int nvmlDeviceGetTemperature(void*, int, unsigned* celsius) { return Small(4, celsius); }
