// What a kernel's test needs of a device, with two implementations behind one header: simt/device_memory.cc
// (the harness; linked into couplet_tests) and cuda/device_memory.cc (a GPU; linked into gpu_tests). So one
// test source proves both.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kernels/launch.h"
#include "tests/support/half.h"

namespace couplet::test {

// Memory of the device. In the harness its guards on both sides are NaN; a read there is AddressSanitizer's
// to report.
class DeviceBytes {
 public:
  explicit DeviceBytes(size_t bytes);  // all 0xFF: NaN as float and as half
  ~DeviceBytes();
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;
  DeviceBytes(DeviceBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

  void Write(const void* from);         // bytes() of them
  void Read(void* to) const;            // waits for the device
  bool intact() const;                  // nothing was written outside
  void* data() const { return data_; }  // aligned to 256
  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kGuard = 256;
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// How an element type of kernels looks on the host.
template <typename T>
struct HostElement {
  using Stored = T;
  using Value = T;
  static Stored Store(Value v) { return v; }
  static Value Load(Stored s) { return s; }
};
template <>
struct HostElement<__half> {
  using Stored = uint16_t;
  using Value = float;
  static Stored Store(Value v) { return HalfBits(v); }
  static Value Load(Stored s) { return HalfValue(s); }
};

// An array of T on the device; T = float, __half (read and written as floats, rounded to nearest), or any
// plain type.
template <typename T>
class DeviceArray {
 public:
  using Stored = typename HostElement<T>::Stored;
  using Value = typename HostElement<T>::Value;

  explicit DeviceArray(size_t count) : count_(count), memory_(count * sizeof(Stored)) {}  // poisoned
  explicit DeviceArray(const std::vector<Value>& values) : DeviceArray(values.size()) { Write(values); }

  void Write(const std::vector<Value>& values) {
    std::vector<Stored> stored(values.size());
    std::transform(values.begin(), values.end(), stored.begin(), HostElement<T>::Store);
    memory_.Write(stored.data());
  }
  std::vector<Value> Read() const {
    std::vector<Stored> stored(count_);
    memory_.Read(stored.data());
    std::vector<Value> values(count_);
    std::transform(stored.begin(), stored.end(), values.begin(), HostElement<T>::Load);
    return values;
  }
  T* data() const { return static_cast<T*>(memory_.data()); }
  size_t size() const { return count_; }
  bool intact() const { return memory_.intact(); }

 private:
  size_t count_;
  DeviceBytes memory_;
};

// The value that an element of type T keeps of v: inputs are rounded before the reference sees them.
template <typename T>
float Rounded(float v) {
  return HostElement<T>::Load(HostElement<T>::Store(v));
}
template <typename T>
std::vector<float> Rounded(std::vector<float> values) {
  for (float& v : values) v = Rounded<T>(v);
  return values;
}
// Relative error of storing a result as T: half an ulp.
template <typename T>
constexpr double kUnitRoundoff = 0x1p-24;
template <>
inline constexpr double kUnitRoundoff<__half> = 0x1p-11;

// Why no kernel can be launched here, for the tests to be skipped with; "" where they can, and in the harness.
std::string DeviceLacking();
DeviceStream TestStream();
// Most dynamic and static shared memory a block can have, as kernels see it.
size_t TestSharedLimit();

// Runs `body` once in every schedule (four in the harness, one on a GPU) and counts a case for the kernel of
// that name. `body` launches, reads and checks; a Fault or a launch error is its failure.
void ForEachSchedule(const std::string& kernel, const std::function<void()>& body);

// Cases run so far, by kernel: what ForEachSchedule counted.
inline std::map<std::string, int>& KernelCases() {
  static std::map<std::string, int> instance;
  return instance;
}
// "12 kernels x 4 schedules, 340 cases, 1360 runs"; "" when none ran.
std::string KernelCounts();

}  // namespace couplet::test
