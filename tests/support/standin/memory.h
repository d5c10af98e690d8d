// Device and pinned memory of the played device: every allocation a mapping of its own, NaN at birth, its end
// at a page nobody may touch, canaries where the rounding leaves room. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace couplet::standin {

class Memory {
 public:
  enum class Kind { kDevice, kPinned };
  struct Block {
    std::byte* data = nullptr;
    size_t bytes = 0;
    Kind kind = Kind::kDevice;
    std::byte* region = nullptr;  // the whole mapping
    size_t region_bytes = 0;
    long number = 0;  // n-th allocation of the process
    bool counted = true;  // is taken from the device's memory: pinned memory where the GPU is integrated, too
  };

  cudaError_t Allocate(void** data, size_t bytes, Kind kind);
  // Null is allowed, as in cudaFree.
  cudaError_t Free(void* data, Kind kind, const char* call);
  // The block that holds `data`, null for memory that is not ours.
  const Block* Find(const void* data) const;
  // Notes a mistake and returns false unless [data, data + bytes) lies in one block that the device may
  // reach. `what` names the call and the argument.
  bool CheckDevice(const std::string& what, const void* data, size_t bytes) const;
  bool CheckHost(const std::string& what, const void* data, size_t bytes) const;

  size_t free_bytes() const;
  size_t peak_bytes() const { return peak_bytes_; }
  void ResetPeak() { peak_bytes_ = device_bytes_; }
  std::vector<std::string> Alive() const;
  // With "guard": device memory can be touched only between Open() and Close().
  void Open();
  void Close();

 private:
  std::map<const std::byte*, Block> blocks_;  // by address
  size_t device_bytes_ = 0, peak_bytes_ = 0;
  long allocations_ = 0;
  bool open_ = false;
};

}  // namespace couplet::standin
