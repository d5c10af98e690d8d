// SPDX-License-Identifier: Apache-2.0
#include "tests/support/standin/math.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace couplet::standin {

namespace {

uint32_t Bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
float FromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

using Vec = float __attribute__((vector_size(64)));  // half a panel row
constexpr int kRows = 4;

// `rows` rows of a times one panel. Inlined into a function for each instruction set; without contraction all
// of them give the same bits.
[[gnu::always_inline]] inline void Tile(const float* a, size_t lda, const float* panel, int k, bool falling,
                                        float* c, size_t ldc, int rows, int cols) {
  Vec sum[kRows][2] = {};
  const float* row[kRows];
  for (int r = 0; r < kRows; ++r) row[r] = a + static_cast<size_t>(std::min(r, rows - 1)) * lda;
  for (int step = 0; step < k; ++step) {
    const size_t p = static_cast<size_t>(falling ? k - 1 - step : step);
    Vec left, right;
    std::memcpy(&left, panel + p * Panels::kWidth, sizeof left);
    std::memcpy(&right, panel + p * Panels::kWidth + Panels::kWidth / 2, sizeof right);
    for (int r = 0; r < kRows; ++r) {
      const float x = row[r][p];
      sum[r][0] += left * x;
      sum[r][1] += right * x;
    }
  }
  for (int r = 0; r < rows; ++r)
    std::memcpy(c + static_cast<size_t>(r) * ldc, &sum[r][0], static_cast<size_t>(cols) * sizeof(float));
}

[[gnu::always_inline]] inline void MultiplyAny(const float* a, size_t lda, const Panels& b, bool falling,
                                               float* c, size_t ldc, int m) {
  for (int j = 0; j < b.n(); j += Panels::kWidth) {  // a panel stays in the cache while the rows go by
    for (int i = 0; i < m; i += kRows) {
      Tile(a + static_cast<size_t>(i) * lda, lda, b.panel(j / Panels::kWidth), b.k(), falling,
           c + static_cast<size_t>(i) * ldc + j, ldc, std::min(kRows, m - i),
           std::min(Panels::kWidth, b.n() - j));
    }
  }
}

#if defined(__x86_64__)
[[gnu::target("avx512f")]] void Multiply512(const float* a, size_t lda, const Panels& b, bool falling,
                                            float* c, size_t ldc, int m) {
  MultiplyAny(a, lda, b, falling, c, ldc, m);
}
[[gnu::target("avx2")]] void Multiply256(const float* a, size_t lda, const Panels& b, bool falling, float* c,
                                         size_t ldc, int m) {
  MultiplyAny(a, lda, b, falling, c, ldc, m);
}
#endif

}  // namespace

float HalfToFloat(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent == 31) return FromBits(sign | 0x7F800000u | (fraction << 13));
  if (exponent == 0) return (sign != 0 ? -1.0f : 1.0f) * static_cast<float>(fraction) * 0x1p-24f;
  return FromBits(sign | ((exponent + 112) << 23) | (fraction << 13));
}

uint16_t FloatToHalf(float value) {
  const uint32_t bits = Bits(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  const float size = std::fabs(value);
  if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7FFF);
  if (size >= 65520.0f) return static_cast<uint16_t>(sign | 0x7C00);
  // Below the smallest normal half the spacing is fixed.
  if (size < 0x1p-14f)
    return static_cast<uint16_t>(sign | static_cast<uint16_t>(std::nearbyint(size * 0x1p24f)));
  uint32_t rounded = (bits & 0x7FFFFFFFu) + 0xFFF + ((bits >> 13) & 1);
  rounded = (rounded >> 13) - (112u << 10);
  return static_cast<uint16_t>(sign | rounded);
}

float RoundToTf32(float value) {
  if (!std::isfinite(value)) return value;
  const uint32_t bits = Bits(value);
  return FromBits((bits + 0xFFF + ((bits >> 13) & 1)) & ~0x1FFFu);
}

float Load(const void* data, size_t i, Element element) {
  if (element == Element::kFloat) {
    float value;
    std::memcpy(&value, static_cast<const std::byte*>(data) + i * sizeof value, sizeof value);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, static_cast<const std::byte*>(data) + i * sizeof bits, sizeof bits);
  return HalfToFloat(bits);
}

void Store(void* data, size_t i, Element element, float value) {
  if (element == Element::kFloat) {
    std::memcpy(static_cast<std::byte*>(data) + i * sizeof value, &value, sizeof value);
    return;
  }
  const uint16_t bits = FloatToHalf(value);
  std::memcpy(static_cast<std::byte*>(data) + i * sizeof bits, &bits, sizeof bits);
}

void LoadRow(const void* data, size_t first, size_t count, Element element, bool tf32, float* dst) {
  if (element == Element::kFloat) {
    std::memcpy(dst, static_cast<const std::byte*>(data) + first * sizeof(float), count * sizeof(float));
    if (tf32)
      for (size_t i = 0; i < count; ++i) dst[i] = RoundToTf32(dst[i]);
    return;
  }
  for (size_t i = 0; i < count; ++i) dst[i] = Load(data, first + i, element);
}

void Multiply(const float* a, size_t lda, const Panels& b, SumOrder order, float* c, size_t ldc, int m) {
  const bool falling = order == SumOrder::kFalling;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return Multiply512(a, lda, b, falling, c, ldc, m);
  if (__builtin_cpu_supports("avx2")) return Multiply256(a, lda, b, falling, c, ldc, m);
#endif
  MultiplyAny(a, lda, b, falling, c, ldc, m);
}

}  // namespace couplet::standin
