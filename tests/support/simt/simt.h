// CUDA's device language for plain g++: put in front of a kernel's .cu (-include, with -DCOUPLET_SIMT), so
// that the very bodies run on the CPU. Only what kernels use, and nothing of the toolkit. Names and meanings
// are CUDA's; operations that wait take their caller's line, and must not share it with another.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tests/support/half.h"
#include "tests/support/simt/control.h"
#include "tests/support/simt/machine.h"

#define __global__ inline
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __shared__ static_assert(false, "spell it COUPLET_SHARED(T, name, [n]), see kernels/device.h");

#define COUPLET_SHARED(T, name, extents)                                                                \
  using name##_in_shared_memory = T extents;                                                            \
  name##_in_shared_memory& name = *static_cast<name##_in_shared_memory*>(::couplet::simt::StaticShared( \
      sizeof(name##_in_shared_memory), alignof(name##_in_shared_memory), __FILE__, __LINE__))
#define COUPLET_DYNAMIC_SHARED(T, name) \
  T* const name = static_cast<T*>(::couplet::simt::DynamicShared(alignof(T)))
#define COUPLET_CHECK_ALIGNED(p, bytes)                                                     \
  do {                                                                                      \
    if (reinterpret_cast<uintptr_t>(p) % (bytes) != 0)                                      \
      ::couplet::simt::Fail("misaligned access of %d bytes at %p", static_cast<int>(bytes), \
                            static_cast<const void*>(p));                                   \
  } while (false)

// ---- Types.
struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
#define COUPLET_SIMT_VECTOR2(T, name, alignment) \
  struct alignas(alignment) name {               \
    T x, y;                                      \
  };                                             \
  inline name make_##name(T x, T y) {            \
    return {x, y};                               \
  }
#define COUPLET_SIMT_VECTOR4(T, name)           \
  struct alignas(16) name {                     \
    T x, y, z, w;                               \
  };                                            \
  inline name make_##name(T x, T y, T z, T w) { \
    return {x, y, z, w};                        \
  }
COUPLET_SIMT_VECTOR2(int, int2, 8)
COUPLET_SIMT_VECTOR2(unsigned, uint2, 8)
COUPLET_SIMT_VECTOR2(float, float2, 8)
COUPLET_SIMT_VECTOR2(double, double2, 16)
COUPLET_SIMT_VECTOR4(int, int4)
COUPLET_SIMT_VECTOR4(unsigned, uint4)
COUPLET_SIMT_VECTOR4(float, float4)
struct alignas(4) uchar4 {
  unsigned char x, y, z, w;
};

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

// ---- Half: a format to store in. Arithmetic is float's.
struct __half {
  unsigned short couplet_bits;
};
struct alignas(4) __half2 {
  __half x, y;
};
inline float __half2float(__half h) {
  return couplet::test::HalfValue(h.couplet_bits);
}
inline __half __float2half_rn(float f) {
  return {couplet::test::HalfBits(f)};
}
inline __half __float2half(float f) {
  return __float2half_rn(f);
}
inline unsigned short __half_as_ushort(__half h) {
  return h.couplet_bits;
}
inline __half __ushort_as_half(unsigned short bits) {
  return {bits};
}
inline float2 __half22float2(__half2 h) {
  return {__half2float(h.x), __half2float(h.y)};
}
inline __half2 __floats2half2_rn(float a, float b) {
  return {__float2half_rn(a), __float2half_rn(b)};
}
inline __half2 __float22half2_rn(float2 f) {
  return __floats2half2_rn(f.x, f.y);
}
inline __half __low2half(__half2 h) {
  return h.x;
}
inline __half __high2half(__half2 h) {
  return h.y;
}

// ---- Arithmetic.
inline int min(int a, int b) {
  return a < b ? a : b;
}
inline int max(int a, int b) {
  return a < b ? b : a;
}
inline unsigned min(unsigned a, unsigned b) {
  return a < b ? a : b;
}
inline unsigned max(unsigned a, unsigned b) {
  return a < b ? b : a;
}
inline long long min(long long a, long long b) {
  return a < b ? a : b;
}
inline long long max(long long a, long long b) {
  return a < b ? b : a;
}
inline size_t min(size_t a, size_t b) {
  return a < b ? a : b;
}
inline size_t max(size_t a, size_t b) {
  return a < b ? b : a;
}
inline float min(float a, float b) {
  return std::fmin(a, b);
}
inline float max(float a, float b) {
  return std::fmax(a, b);
}

inline float __int_as_float(int i) {
  return couplet::test::FloatOfBits(static_cast<uint32_t>(i));
}
inline int __float_as_int(float f) {
  return static_cast<int>(couplet::test::FloatBits(f));
}
inline float __uint_as_float(unsigned u) {
  return couplet::test::FloatOfBits(u);
}
inline unsigned __float_as_uint(float f) {
  return couplet::test::FloatBits(f);
}
inline int __float2int_rn(float f) {
  return static_cast<int>(std::nearbyint(f));
}
inline int __float2int_rd(float f) {
  return static_cast<int>(std::floor(f));
}
inline int __float2int_rz(float f) {
  return static_cast<int>(f);
}
inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float __fsub_rn(float a, float b) {
  return a - b;
}
inline float __fdiv_rn(float a, float b) {
  return a / b;
}
inline float __fmaf_rn(float a, float b, float c) {
  return std::fma(a, b, c);
}
inline float __fsqrt_rn(float a) {
  return std::sqrt(a);
}
inline float __saturatef(float a) {
  return a > 0.0f ? (a < 1.0f ? a : 1.0f) : 0.0f;
}
// The GPU's are less exact: tolerances, not bits.
inline float __expf(float a) {
  return std::exp(a);
}
inline float __logf(float a) {
  return std::log(a);
}
inline float __fdividef(float a, float b) {
  return a / b;
}
inline float rsqrtf(float a) {
  return 1.0f / std::sqrt(a);
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(uint64_t{a} * b >> 32);
}
inline int __popc(unsigned u) {
  return __builtin_popcount(u);
}
inline int __clz(int i) {
  return i == 0 ? 32 : __builtin_clz(static_cast<unsigned>(i));
}
inline int __ffs(int i) {
  return __builtin_ffs(i);
}
template <typename T>
inline T __ldg(const T* p) {
  return *p;
}

// ---- Barriers and warps.
inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  couplet::simt::SyncBlock({"__syncthreads", file, line}, false);
}
inline int __syncthreads_count(int predicate, const char* file = __builtin_FILE(),
                               int line = __builtin_LINE()) {
  return couplet::simt::SyncBlock({"__syncthreads_count", file, line}, predicate != 0);
}
inline int __syncthreads_or(int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return couplet::simt::SyncBlock({"__syncthreads_or", file, line}, predicate != 0) != 0 ? 1 : 0;
}
inline int __syncthreads_and(int predicate, const char* file = __builtin_FILE(),
                             int line = __builtin_LINE()) {
  return couplet::simt::SyncBlock({"__syncthreads_and", file, line}, predicate == 0) == 0 ? 1 : 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu, const char* file = __builtin_FILE(),
                       int line = __builtin_LINE()) {
  couplet::simt::SyncWarp({"__syncwarp", file, line}, mask, nullptr, nullptr);
}
inline void __threadfence_block() {}
inline void __threadfence() {}

namespace couplet::simt {
enum class Shuffle { kIndex, kUp, kDown, kXor };
uint64_t ShuffleBits(const Place& place, Shuffle kind, unsigned mask, uint64_t value, int lane_argument,
                     int width);
unsigned BallotBits(const Place& place, unsigned mask, bool predicate);
// Tensor cores, a whole warp at a time (kernels/ptx.h says which lane holds what): d += a * b.
void MmaHalf16x8x16(const Place& place, float* d, const unsigned* a, const unsigned* b);
void MmaTf32_16x8x8(const Place& place, float* d, const unsigned* a, const unsigned* b);

template <typename T>
T ShuffleValue(const Place& place, Shuffle kind, unsigned mask, T value, int argument, int width) {
  static_assert(std::is_arithmetic_v<T> || std::is_same_v<T, __half> || std::is_same_v<T, __half2>);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = ShuffleBits(place, kind, mask, bits, argument, width);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
}  // namespace couplet::simt

#define COUPLET_SIMT_SHUFFLE(name, kind)                                                               \
  template <typename T>                                                                                \
  T name(unsigned mask, T value, int argument, int width = 32, const char* file = __builtin_FILE(),    \
         int line = __builtin_LINE()) {                                                                \
    return couplet::simt::ShuffleValue({#name, file, line}, couplet::simt::Shuffle::kind, mask, value, \
                                       argument, width);                                               \
  }
COUPLET_SIMT_SHUFFLE(__shfl_sync, kIndex)
COUPLET_SIMT_SHUFFLE(__shfl_up_sync, kUp)
COUPLET_SIMT_SHUFFLE(__shfl_down_sync, kDown)
COUPLET_SIMT_SHUFFLE(__shfl_xor_sync, kXor)

inline unsigned __ballot_sync(unsigned mask, int predicate, const char* file = __builtin_FILE(),
                              int line = __builtin_LINE()) {
  return couplet::simt::BallotBits({"__ballot_sync", file, line}, mask, predicate != 0);
}
inline int __any_sync(unsigned mask, int predicate, const char* file = __builtin_FILE(),
                      int line = __builtin_LINE()) {
  return couplet::simt::BallotBits({"__any_sync", file, line}, mask, predicate != 0) != 0 ? 1 : 0;
}
inline int __all_sync(unsigned mask, int predicate, const char* file = __builtin_FILE(),
                      int line = __builtin_LINE()) {
  return couplet::simt::BallotBits({"__all_sync", file, line}, mask, predicate != 0) == mask ? 1 : 0;
}

// ---- Atomics on integers; floats added in any order would make results depend on it.
#define COUPLET_SIMT_ATOMICS(T)                                                                    \
  inline T atomicAdd(T* p, T v) {                                                                  \
    return __atomic_fetch_add(p, v, __ATOMIC_ACQ_REL);                                             \
  }                                                                                                \
  inline T atomicExch(T* p, T v) {                                                                 \
    return __atomic_exchange_n(p, v, __ATOMIC_ACQ_REL);                                            \
  }                                                                                                \
  inline T atomicOr(T* p, T v) {                                                                   \
    return __atomic_fetch_or(p, v, __ATOMIC_ACQ_REL);                                              \
  }                                                                                                \
  inline T atomicAnd(T* p, T v) {                                                                  \
    return __atomic_fetch_and(p, v, __ATOMIC_ACQ_REL);                                             \
  }                                                                                                \
  inline T atomicCAS(T* p, T expected, T v) {                                                      \
    __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);       \
    return expected;                                                                               \
  }                                                                                                \
  inline T atomicMax(T* p, T v) {                                                                  \
    T seen = __atomic_load_n(p, __ATOMIC_ACQUIRE);                                                 \
    while (seen < v &&                                                                             \
           !__atomic_compare_exchange_n(p, &seen, v, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) { \
    }                                                                                              \
    return seen;                                                                                   \
  }                                                                                                \
  inline T atomicMin(T* p, T v) {                                                                  \
    T seen = __atomic_load_n(p, __ATOMIC_ACQUIRE);                                                 \
    while (v < seen &&                                                                             \
           !__atomic_compare_exchange_n(p, &seen, v, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) { \
    }                                                                                              \
    return seen;                                                                                   \
  }
COUPLET_SIMT_ATOMICS(int)
COUPLET_SIMT_ATOMICS(unsigned)
COUPLET_SIMT_ATOMICS(unsigned long long)
