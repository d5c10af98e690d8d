// Seeded inputs for numerical tests, the same on every machine.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace couplet::test {

class Values {
 public:
  explicit Values(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
  uint32_t bits() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 33);
  }
  int integer(int low, int high) {
    return low + static_cast<int>(bits() % static_cast<uint32_t>(high - low + 1));
  }
  float real() { return static_cast<float>(bits() >> 7) / static_cast<float>(1 << 23) - 1.0f; }  // [-1, 1)

  std::vector<float> Integers(size_t n, int low, int high) {
    std::vector<float> values(n);
    for (float& v : values) v = static_cast<float>(integer(low, high));
    return values;
  }
  std::vector<float> Reals(size_t n) {
    std::vector<float> values(n);
    for (float& v : values) v = real();
    return values;
  }
  std::vector<uint8_t> Bytes(size_t n) {
    std::vector<uint8_t> values(n);
    for (uint8_t& v : values) v = static_cast<uint8_t>(bits());
    return values;
  }

 private:
  uint64_t state_;
};

}  // namespace couplet::test
