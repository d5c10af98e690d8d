// Output memory for kernels under test: full of NaN, so that a value never written shows, and with canaries
// on both sides, so that a write outside shows.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>

namespace couplet::test {

class GuardedBuffer {
 public:
  explicit GuardedBuffer(size_t floats)
      : bytes_(floats * sizeof(float)),
        memory_(static_cast<unsigned char*>(::operator new(bytes_ + 2 * kGuard, kAlignment))) {
    std::memset(memory_, kCanary, bytes_ + 2 * kGuard);
    std::fill_n(data(), floats, std::numeric_limits<float>::quiet_NaN());
  }
  ~GuardedBuffer() { ::operator delete(memory_, kAlignment); }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  float* data() { return reinterpret_cast<float*>(memory_ + kGuard); }  // aligned to 64
  float operator[](size_t i) { return data()[i]; }
  size_t bytes() const { return bytes_; }
  bool intact() const {
    const auto whole = [](const unsigned char* guard) {
      return std::all_of(guard, guard + kGuard, [](unsigned char byte) { return byte == kCanary; });
    };
    return whole(memory_) && whole(memory_ + kGuard + bytes_);
  }

 private:
  static constexpr size_t kGuard = 256;
  static constexpr std::align_val_t kAlignment{64};
  static constexpr unsigned char kCanary = 0xC5;
  size_t bytes_;
  unsigned char* memory_;
};

}  // namespace couplet::test
