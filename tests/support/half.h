// IEEE binary16 on the host, by bits: what a GPU's conversions do (round to nearest even).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>

namespace couplet::test {

inline uint32_t FloatBits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline float FloatOfBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline float HalfValue(uint16_t half) {
  const uint32_t sign = (half & 0x8000u) << 16, exponent = (half >> 10) & 31u, mantissa = half & 0x3ffu;
  if (exponent == 31) return FloatOfBits(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * FloatOfBits(0x33800000u);  // 2^-24, exact
    return FloatOfBits(sign | FloatBits(magnitude));
  }
  return FloatOfBits(sign | ((exponent + 112u) << 23) | (mantissa << 13));
}

inline uint16_t HalfBits(float value) {
  uint32_t bits = FloatBits(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  bits &= 0x7fffffffu;
  if (bits > 0x7f800000u) return 0x7fff;                                  // the one NaN that conversions give
  if (bits >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520 and more round to infinity
  if (bits < 0x38800000u) {  // below 2^-14: an ulp of 0.5f is the subnormals' 2^-24, so the sum rounds for us
    return static_cast<uint16_t>(sign | (FloatBits(FloatOfBits(bits) + 0.5f) - 0x3f000000u));
  }
  const uint32_t odd = (bits >> 13) & 1u;
  return static_cast<uint16_t>(sign | ((bits - 0x38000000u + 0xfffu + odd) >> 13));
}

}  // namespace couplet::test
