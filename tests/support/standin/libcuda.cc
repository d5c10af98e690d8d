// A libcuda.so.1 that is there to be found: programs that ask whether a driver is installed find this one, by
// LD_LIBRARY_PATH. COUPLET_STANDIN_DRIVER=0 plays a machine whose driver does not start.
// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <cstring>

extern "C" {

int cuInit(unsigned flags);
int cuDriverGetVersion(int* version);
int cuDeviceGetCount(int* count);

int cuInit(unsigned flags) {
  const char* driver = std::getenv("COUPLET_STANDIN_DRIVER");
  if (driver != nullptr && std::strcmp(driver, "0") == 0) return 999;  // CUDA_ERROR_UNKNOWN
  const char* devices = std::getenv("COUPLET_STANDIN_DEVICES");
  if (devices != nullptr && std::strcmp(devices, "0") == 0) return 100;  // CUDA_ERROR_NO_DEVICE
  return flags == 0 ? 0 : 1;
}
int cuDriverGetVersion(int* version) {
  *version = 13000;
  return 0;
}
int cuDeviceGetCount(int* count) {
  const char* devices = std::getenv("COUPLET_STANDIN_DEVICES");
  *count = devices != nullptr ? std::atoi(devices) : 1;
  return 0;
}
}
