// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/int8_kernel.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <limits>

#include "runtime/cpu/dispatch.h"

#if defined(__x86_64__)
#include <cpuid.h>
// g++ 12's own header begins some results with a variable that stands for "anything", and warns of it (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#elif defined(__aarch64__) && !defined(__clang__)  // clang's header knows the product only where all of a file may use it
#include <arm_neon.h>
#include <sys/auxv.h>
#define COUPLET_INT8_NEON 1
#endif

namespace couplet::cpu {
namespace {

constexpr uint32_t kSignBit = 0x80000000u;

inline uint32_t GroupAt(const uint8_t* from) {
  uint32_t group;
  std::memcpy(&group, from, sizeof(group));
  return group;
}

#if defined(__x86_64__)

// Highway 1.0.3 has neither this product nor AVX-VNNI, hence intrinsics.
namespace avx512_vnni {

#define COUPLET_INT8_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")))
#define COUPLET_INT8_OP COUPLET_INT8_TARGET inline __attribute__((always_inline))

using Ints = __m512i;
using Floats = __m512;
constexpr int kVectors = 1, kPanel = 4, kByteShift = 0;
constexpr int kTileRows[] = {0, 12, 12, 8, 6};  // by a panel's width: 32 registers, as in register_tiles-inl.h

COUPLET_INT8_OP Ints ZeroInts() { return _mm512_setzero_si512(); }
COUPLET_INT8_OP Ints LoadInts(const void* from) { return _mm512_loadu_si512(from); }
COUPLET_INT8_OP Ints SpreadInt(int32_t value) { return _mm512_set1_epi32(value); }
COUPLET_INT8_OP Ints Dot(Ints sum, Ints a, Ints b) { return _mm512_dpbusd_epi32(sum, a, b); }
COUPLET_INT8_OP Ints Subtract(Ints a, Ints b) { return _mm512_sub_epi32(a, b); }
COUPLET_INT8_OP Ints Multiply(Ints a, Ints b) { return _mm512_mullo_epi32(a, b); }
COUPLET_INT8_OP Floats ToFloats(Ints a) { return _mm512_cvtepi32_ps(a); }
COUPLET_INT8_OP Ints Add(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
COUPLET_INT8_OP Ints GreatestUnsigned(Ints a, Ints b) { return _mm512_max_epu32(a, b); }
COUPLET_INT8_OP Ints AndNot(Ints a, Ints b) { return _mm512_andnot_si512(a, b); }
COUPLET_INT8_OP Ints AsInts(Floats a) { return _mm512_castps_si512(a); }
COUPLET_INT8_OP Floats LoadFirst(const float* from, int count) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from);
}
COUPLET_INT8_OP void StoreInts(Ints value, uint32_t* to) { _mm512_storeu_si512(to, value); }
COUPLET_INT8_OP void StoreBytes(Floats lowest, uint8_t* to) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(_mm512_castps_si512(lowest)));
}
COUPLET_INT8_OP Floats SpreadFloat(float value) { return _mm512_set1_ps(value); }
COUPLET_INT8_OP Floats LoadFloats(const float* from) { return _mm512_loadu_ps(from); }
COUPLET_INT8_OP Floats Multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
COUPLET_INT8_OP Floats MultiplyAdd(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
COUPLET_INT8_OP Floats Least(Floats a, Floats b) { return _mm512_min_ps(a, b); }
COUPLET_INT8_OP Floats Greatest(Floats a, Floats b) { return _mm512_max_ps(a, b); }
COUPLET_INT8_OP void StoreFirst(Floats value, int count, float* to) {
  if (count >= 16) return _mm512_storeu_ps(to, value);
  if (count > 0) _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), value);
}

#include "runtime/cpu/int8_loops-inl.h"

#undef COUPLET_INT8_OP
#undef COUPLET_INT8_TARGET

}  // namespace avx512_vnni

namespace avx_vnni {

#define COUPLET_INT8_TARGET __attribute__((target("avx2,fma,avxvnni")))
#define COUPLET_INT8_OP COUPLET_INT8_TARGET inline __attribute__((always_inline))

using Ints = __m256i;
using Floats = __m256;
constexpr int kVectors = 2, kPanel = 1, kByteShift = 0;
constexpr int kTileRows[] = {0, 6};  // 16 registers

COUPLET_INT8_OP Ints ZeroInts() { return _mm256_setzero_si256(); }
COUPLET_INT8_OP Ints LoadInts(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
COUPLET_INT8_OP Ints SpreadInt(int32_t value) { return _mm256_set1_epi32(value); }
COUPLET_INT8_OP Ints Dot(Ints sum, Ints a, Ints b) { return _mm256_dpbusd_avx_epi32(sum, a, b); }
COUPLET_INT8_OP Ints Subtract(Ints a, Ints b) { return _mm256_sub_epi32(a, b); }
COUPLET_INT8_OP Ints Multiply(Ints a, Ints b) { return _mm256_mullo_epi32(a, b); }
COUPLET_INT8_OP Floats ToFloats(Ints a) { return _mm256_cvtepi32_ps(a); }
COUPLET_INT8_OP Ints Add(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
COUPLET_INT8_OP Ints GreatestUnsigned(Ints a, Ints b) { return _mm256_max_epu32(a, b); }
COUPLET_INT8_OP Ints AndNot(Ints a, Ints b) { return _mm256_andnot_si256(a, b); }
COUPLET_INT8_OP Ints FirstLanes(int count) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
COUPLET_INT8_OP Ints AsInts(Floats a) { return _mm256_castps_si256(a); }
COUPLET_INT8_OP Floats LoadFirst(const float* from, int count) { return _mm256_maskload_ps(from, FirstLanes(count)); }
COUPLET_INT8_OP void StoreInts(Ints value, uint32_t* to) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value); }
COUPLET_INT8_OP void StoreBytes(Floats lowest, uint8_t* to) {
  const __m256i first = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1,
                                         -1, -1, -1, -1, -1);
  const __m256i halves = _mm256_shuffle_epi8(_mm256_castps_si256(lowest), first);  // four bytes in each
  const __m128i all = _mm_unpacklo_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), all);
}
COUPLET_INT8_OP Floats SpreadFloat(float value) { return _mm256_set1_ps(value); }
COUPLET_INT8_OP Floats LoadFloats(const float* from) { return _mm256_loadu_ps(from); }
COUPLET_INT8_OP Floats Multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
COUPLET_INT8_OP Floats MultiplyAdd(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
COUPLET_INT8_OP Floats Least(Floats a, Floats b) { return _mm256_min_ps(a, b); }
COUPLET_INT8_OP Floats Greatest(Floats a, Floats b) { return _mm256_max_ps(a, b); }
COUPLET_INT8_OP void StoreFirst(Floats value, int count, float* to) {
  if (count >= 8) return _mm256_storeu_ps(to, value);
  if (count > 0) _mm256_maskstore_ps(to, FirstLanes(count), value);
}

#include "runtime/cpu/int8_loops-inl.h"

#undef COUPLET_INT8_OP
#undef COUPLET_INT8_TARGET

}  // namespace avx_vnni

// clang 14's __builtin_cpu_supports does not know it. Processors with the wider vectors need not have it.
bool DetectAvxVnni() {
  constexpr unsigned kAvxVnni = 1u << 4;
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & kAvxVnni) != 0;
}

bool Has(Int8Dot dot) {
  if (dot == Int8Dot::kNeonDot) return false;
  static const bool avx_vnni = DetectAvxVnni();  // under a hypervisor asking takes a microsecond
  if (dot == Int8Dot::kAvx512Vnni) return BestSimd() >= Simd::kAvx512 && __builtin_cpu_supports("avx512vnni");
  return BestSimd() >= Simd::kAvx2 && avx_vnni;
}

#elif COUPLET_INT8_NEON

namespace neon_dot {

#define COUPLET_INT8_TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#define COUPLET_INT8_OP COUPLET_INT8_TARGET inline __attribute__((always_inline))

using Ints = int32x4_t;
using Floats = float32x4_t;
constexpr int kVectors = 4, kPanel = 1;
constexpr int kTileRows[] = {0, 6};
// SDOT multiplies signed bytes alone, so a byte comes less 128.
constexpr int kByteShift = 128;

COUPLET_INT8_OP Ints ZeroInts() { return vdupq_n_s32(0); }
COUPLET_INT8_OP Ints LoadInts(const void* from) { return vld1q_s32(static_cast<const int32_t*>(from)); }
COUPLET_INT8_OP Ints SpreadInt(int32_t value) { return vdupq_n_s32(value); }
COUPLET_INT8_OP Ints Dot(Ints sum, Ints a, Ints b) { return vdotq_s32(sum, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b)); }
COUPLET_INT8_OP Ints Subtract(Ints a, Ints b) { return vsubq_s32(a, b); }
COUPLET_INT8_OP Ints Multiply(Ints a, Ints b) { return vmulq_s32(a, b); }
COUPLET_INT8_OP Floats ToFloats(Ints a) { return vcvtq_f32_s32(a); }
COUPLET_INT8_OP Ints Add(Ints a, Ints b) { return vaddq_s32(a, b); }
COUPLET_INT8_OP Ints GreatestUnsigned(Ints a, Ints b) {
  return vreinterpretq_s32_u32(vmaxq_u32(vreinterpretq_u32_s32(a), vreinterpretq_u32_s32(b)));
}
COUPLET_INT8_OP Ints AndNot(Ints a, Ints b) { return vbicq_s32(b, a); }
COUPLET_INT8_OP Ints AsInts(Floats a) { return vreinterpretq_s32_f32(a); }
COUPLET_INT8_OP Floats LoadFirst(const float* from, int count) {
  float all[4] = {};
  std::memcpy(all, from, static_cast<size_t>(count) * sizeof(float));
  return vld1q_f32(all);
}
COUPLET_INT8_OP void StoreInts(Ints value, uint32_t* to) { vst1q_u32(to, vreinterpretq_u32_s32(value)); }
COUPLET_INT8_OP void StoreBytes(Floats lowest, uint8_t* to) {
  const uint16x4_t halves = vmovn_u32(vreinterpretq_u32_f32(lowest));
  const uint32_t four = vget_lane_u32(vreinterpret_u32_u8(vmovn_u16(vcombine_u16(halves, halves))), 0);
  std::memcpy(to, &four, sizeof(four));
}
COUPLET_INT8_OP Floats SpreadFloat(float value) { return vdupq_n_f32(value); }
COUPLET_INT8_OP Floats LoadFloats(const float* from) { return vld1q_f32(from); }
COUPLET_INT8_OP Floats Multiply(Floats a, Floats b) { return vmulq_f32(a, b); }
COUPLET_INT8_OP Floats MultiplyAdd(Floats a, Floats b, Floats c) { return vfmaq_f32(c, a, b); }
// Of two zeros, and of a number and NaN, the second, as on x86.
COUPLET_INT8_OP Floats Least(Floats a, Floats b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
COUPLET_INT8_OP Floats Greatest(Floats a, Floats b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
COUPLET_INT8_OP void StoreFirst(Floats value, int count, float* to) {
  if (count >= 4) return vst1q_f32(to, value);
  float all[4];
  vst1q_f32(all, value);
  if (count > 0) std::memcpy(to, all, static_cast<size_t>(count) * sizeof(float));
}

#include "runtime/cpu/int8_loops-inl.h"

#undef COUPLET_INT8_OP
#undef COUPLET_INT8_TARGET

}  // namespace neon_dot

bool Has(Int8Dot dot) {
  static const bool sdot = (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
  return dot == Int8Dot::kNeonDot && sdot;
}

#else
bool Has(Int8Dot) { return false; }
#endif

Int8Extent PortableExtent(const float* values, size_t count) {
  Int8Extent extent;
  for (size_t i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<uint32_t>(values[i]);
    extent.magnitude = std::max(extent.magnitude, bits & ~kSignBit);
    extent.negative |= bits > kSignBit;
  }
  return extent;
}

void PortableBytes(const float* values, int pixels, int channels, const Int8Grid& grid, uint8_t* dst, int32_t* sums) {
  const float shift = kInt8WholeNumbers + static_cast<float>(grid.zero);
  std::fill_n(sums, channels, 0);
  for (int pixel = 0; pixel < pixels; ++pixel, values += channels, dst += UpToGroup(channels))
    for (int c = 0; c < channels; ++c) {
      dst[c] = static_cast<uint8_t>(std::bit_cast<uint32_t>(std::fma(values[c], grid.inverse, shift)));
      sums[c] += dst[c];
    }
}

Panels PortablePanelsOf(int channels) {
  constexpr int kTileRows[] = {0, 6};
  return DealPanels(channels, kInt8Lanes, 1, kTileRows);
}

void PortablePanel(const Int8Panel& t) {
  const Tiles tiles(t.pixels, t.tile);
  for (int tile = 0; tile < tiles.count; ++tile)
    for (int pixel = tiles.begin(tile), first = pixel, pixels = tiles.begin(tile + 1) - first; pixel < first + pixels; ++pixel)
      for (int channel = 0; channel < t.channels; ++channel) {
        int32_t sum = 0;
        for (int s = 0; s < t.segments; ++s) {
          const uint8_t* const src = t.pixel_stride == 0 ? t.src[int64_t{first} * t.segments + int64_t{s} * pixels + pixel - first]
                                                         : t.src[s] + static_cast<size_t>(pixel) * t.pixel_stride;
          for (int k = 0; k < t.length; ++k) {
            const int64_t group = (int64_t{s} * t.length + k) / kInt8Group;
            sum += int32_t{src[k]} * t.weights[(group * t.width + channel) * kInt8Group + k % kInt8Group];
          }
        }
        const float whole = static_cast<float>(sum - t.grid.zero * t.weight_sums[channel]);
        const float value = std::fma(whole, t.grid.step * t.weight_steps[channel], t.bias[channel]);
        // NaN stays NaN.
        t.dst[static_cast<size_t>(pixel) * t.dst_stride + static_cast<size_t>(channel)] =
            value < t.clamp.low ? t.clamp.low : value > t.clamp.high ? t.clamp.high : value;
      }
}

}  // namespace

Int8Dot BestInt8Dot() {
  for (const Int8Dot dot : {Int8Dot::kAvx512Vnni, Int8Dot::kAvxVnni, Int8Dot::kNeonDot})
    if (Has(dot)) return dot;
  return Int8Dot::kPortable;
}

const char* Name(Int8Dot dot) {
  switch (dot) {
    case Int8Dot::kPortable: return "no product of bytes";
    case Int8Dot::kNeonDot: return "NEON with SDOT";
    case Int8Dot::kAvxVnni: return "AVX-VNNI";
    case Int8Dot::kAvx512Vnni: return "AVX-512 VNNI";
  }
  return "";
}

Int8Grid GridOf(const Int8Extent& extent) {
  constexpr float kLeast = 1e-30f;  // below it a step's inverse leaves a float's range; such values are as good as 0
  constexpr uint32_t kInfinity = 0x7f800000u;
  const float magnitude = std::bit_cast<float>(extent.magnitude), steps = extent.negative ? 127.0f : 255.0f;
  Int8Grid grid{.zero = extent.negative ? 128 : 0};
  if (extent.magnitude >= kInfinity) grid.step = std::numeric_limits<float>::quiet_NaN();
  else if (magnitude >= kLeast) grid.step = magnitude / steps, grid.inverse = steps / magnitude;
  return grid;
}

#if defined(__x86_64__)
#define COUPLET_INT8_DISPATCH(LOOP)                                        \
  (BestInt8Dot() == Int8Dot::kAvx512Vnni ? &avx512_vnni::LOOP              \
   : BestInt8Dot() == Int8Dot::kAvxVnni  ? &avx_vnni::LOOP                 \
                                         : &Portable##LOOP)
#elif COUPLET_INT8_NEON
#define COUPLET_INT8_DISPATCH(LOOP) (BestInt8Dot() == Int8Dot::kNeonDot ? &neon_dot::LOOP : &Portable##LOOP)
#else
#define COUPLET_INT8_DISPATCH(LOOP) (&Portable##LOOP)
#endif

Int8Extent ExtentOf(const float* values, size_t count, uint32_t greatest) {
  return greatest < kSignBit ? Int8Extent{.magnitude = greatest} : ExtentOf(values, count);
}
Int8Extent ExtentOf(const float* values, size_t count) { return COUPLET_INT8_DISPATCH(Extent)(values, count); }
void Quantize(const float* values, int pixels, int channels, const Int8Grid& grid, uint8_t* dst, int32_t* sums) {
  if (channels == kInt8Lanes / 2 && pixels % 2 == 0) {  // two pixels fill a vector
    COUPLET_INT8_DISPATCH(Bytes)(values, pixels / 2, kInt8Lanes, grid, dst, sums);
    for (int c = 0; c < channels; ++c) sums[c] += sums[c + channels];
    return;
  }
  COUPLET_INT8_DISPATCH(Bytes)(values, pixels, channels, grid, dst, sums);
  if (const int length = UpToGroup(channels); length != channels)
    for (int pixel = 0; pixel < pixels; ++pixel, dst += length) std::fill(dst + channels, dst + length, uint8_t{0});
}
Panels Int8PanelsFor(int channels) { return COUPLET_INT8_DISPATCH(PanelsOf)(channels); }
void RunInt8Panel(const Int8Panel& panel) { COUPLET_INT8_DISPATCH(Panel)(panel); }

}  // namespace couplet::cpu
