// The device language that kernel bodies are written in. Under nvcc it is CUDA's own; in the tests it is that
// of tests/support/simt, which runs the same bodies on the CPU. Three things are spelled our way, so that
// both can do them: launches (Launch), shared arrays (COUPLET_SHARED) and dynamic shared memory
// (COUPLET_DYNAMIC_SHARED). Contraction is off on both sides (--fmad=false, -ffp-contract=off): write fmaf()
// where one rounding is meant. For .cuh and .cu only. C++14.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/activation.h"
#include "kernels/launch.h"

#if defined(COUPLET_SIMT)
// The Makefile puts the harness in front: -DCOUPLET_SIMT -include tests/support/simt/simt.h.
#elif defined(__CUDACC__)

#include <cuda_fp16.h>
#include <cuda_runtime.h>

// COUPLET_SHARED(float, tile, [8][33]); declares a shared array. One a line.
#define COUPLET_SHARED(T, name, extents) __shared__ T name extents
// COUPLET_DYNAMIC_SHARED(float, name); names the dynamic shared memory of the launch, aligned to 16 bytes.
#define COUPLET_DYNAMIC_SHARED(T, name)             \
  extern __shared__ uint4 couplet_dynamic_shared[]; \
  T* const name = reinterpret_cast<T*>(couplet_dynamic_shared)
// In the harness: a fault unless p is a multiple of `bytes`, as the GPU would have it.
#define COUPLET_CHECK_ALIGNED(p, bytes) \
  do {                                  \
  } while (false)

#else
#error "kernel bodies are compiled by nvcc, or for tests/support/simt with -DCOUPLET_SIMT"
#endif

namespace couplet {

// Shared memory a block gets without asking.
constexpr size_t kPlainSharedBytes = 48 * 1024;

#if defined(COUPLET_SIMT)

inline size_t SharedLimit() {
  return simt::SharedLimit();
}
inline int DeviceArch() {
  return simt::DeviceArch();
}

template <typename... Params, typename... Args>
LaunchResult Launch(void (*kernel)(Params...), dim3 grid, dim3 block, size_t shared_bytes,
                    DeviceStream stream, Args... args) {
  return simt::Launch({grid.x, grid.y, grid.z, block.x, block.y, block.z, shared_bytes}, stream,
                      [=] { kernel(static_cast<Params>(args)...); });
}

#else

// The most dynamic shared memory a block can have on the current device, after asking: 64 KB on sm_75, 227 on
// sm_90.
inline size_t SharedLimit() {
  int device = 0, bytes = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) != cudaSuccess) {
    return kPlainSharedBytes;
  }
  return static_cast<size_t>(bytes);
}

// 10 * major + minor of the current device's compute capability; 0 when it does not say.
inline int DeviceArch() {
  int device = 0, major = 0, minor = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) != cudaSuccess) {
    return 0;
  }
  return 10 * major + minor;
}

// The only spelling of a launch: queues kernel(args...) on `stream` and gives 0 or a cudaError_t. A launch
// with more than 48 KB of dynamic shared memory raises the kernel's limit first.
template <typename... Params, typename... Args>
LaunchResult Launch(void (*kernel)(Params...), dim3 grid, dim3 block, size_t shared_bytes,
                    DeviceStream stream, Args... args) {
  if (shared_bytes > kPlainSharedBytes) {
    const cudaError_t raised =
        cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes));
    if (raised != cudaSuccess) return static_cast<LaunchResult>(raised);
  }
  // clang-format off
  kernel<<<grid, block, shared_bytes, stream>>>(static_cast<Params>(args)...);
  // clang-format on
  return static_cast<LaunchResult>(cudaGetLastError());
}

#endif

// Blocks that cover n with `each` apiece.
__host__ __device__ constexpr int CeilDiv(int n, int each) {
  return (n + each - 1) / each;
}

inline bool IsAligned(const void* p, size_t bytes) {
  return reinterpret_cast<uintptr_t>(p) % bytes == 0;
}

// Elements of T in one 16-byte access.
template <typename T>
struct VectorOf;
template <>
struct VectorOf<float> {
  static constexpr int kWidth = 4;
};
template <>
struct VectorOf<__half> {
  static constexpr int kWidth = 8;
};

// N floats in registers, whatever the element type in memory was.
template <int N>
struct FloatVec {
  float v[N];
  __device__ float& operator[](int i) { return v[i]; }
  __device__ float operator[](int i) const { return v[i]; }
};

namespace vector_access {

template <typename T, int N>
struct Access;

template <>
struct Access<float, 1> {
  static __device__ void Load(const float* p, float* v) { v[0] = *p; }
  static __device__ void Store(float* p, const float* v) { *p = v[0]; }
};
template <>
struct Access<float, 2> {
  static __device__ void Store(float* p, const float* v) {
    COUPLET_CHECK_ALIGNED(p, 8);
    *reinterpret_cast<float2*>(p) = make_float2(v[0], v[1]);
  }
};
template <>
struct Access<float, 4> {
  static __device__ void Load(const float* p, float* v) {
    COUPLET_CHECK_ALIGNED(p, 16);
    const float4 f = *reinterpret_cast<const float4*>(p);
    v[0] = f.x, v[1] = f.y, v[2] = f.z, v[3] = f.w;
  }
  static __device__ void Store(float* p, const float* v) {
    COUPLET_CHECK_ALIGNED(p, 16);
    *reinterpret_cast<float4*>(p) = make_float4(v[0], v[1], v[2], v[3]);
  }
};
template <>
struct Access<float, 8> {
  static __device__ void Load(const float* p, float* v) {
    Access<float, 4>::Load(p, v);
    Access<float, 4>::Load(p + 4, v + 4);
  }
  static __device__ void Store(float* p, const float* v) {
    Access<float, 4>::Store(p, v);
    Access<float, 4>::Store(p + 4, v + 4);
  }
};

// Two halves in a 32-bit word, the first in the low bits.
__device__ inline void UnpackHalves(unsigned word, float* v) {
  const __half low = __ushort_as_half(static_cast<unsigned short>(word & 0xffffu));
  const __half high = __ushort_as_half(static_cast<unsigned short>(word >> 16));
  v[0] = __half2float(low);
  v[1] = __half2float(high);
}
__device__ inline unsigned PackHalves(float low, float high) {
  return static_cast<unsigned>(__half_as_ushort(__float2half_rn(low))) |
         (static_cast<unsigned>(__half_as_ushort(__float2half_rn(high))) << 16);
}

template <>
struct Access<__half, 1> {
  static __device__ void Load(const __half* p, float* v) { v[0] = __half2float(*p); }
  static __device__ void Store(__half* p, const float* v) { *p = __float2half_rn(v[0]); }
};
template <>
struct Access<__half, 2> {
  static __device__ void Store(__half* p, const float* v) {
    COUPLET_CHECK_ALIGNED(p, 4);
    *reinterpret_cast<unsigned*>(p) = PackHalves(v[0], v[1]);
  }
};
template <>
struct Access<__half, 4> {
  static __device__ void Load(const __half* p, float* v) {
    COUPLET_CHECK_ALIGNED(p, 8);
    const uint2 u = *reinterpret_cast<const uint2*>(p);
    UnpackHalves(u.x, v);
    UnpackHalves(u.y, v + 2);
  }
  static __device__ void Store(__half* p, const float* v) {
    COUPLET_CHECK_ALIGNED(p, 8);
    *reinterpret_cast<uint2*>(p) = make_uint2(PackHalves(v[0], v[1]), PackHalves(v[2], v[3]));
  }
};
template <>
struct Access<__half, 8> {
  static __device__ void Load(const __half* p, float* v) {
    COUPLET_CHECK_ALIGNED(p, 16);
    const uint4 u = *reinterpret_cast<const uint4*>(p);
    UnpackHalves(u.x, v);
    UnpackHalves(u.y, v + 2);
    UnpackHalves(u.z, v + 4);
    UnpackHalves(u.w, v + 6);
  }
  static __device__ void Store(__half* p, const float* v) {
    COUPLET_CHECK_ALIGNED(p, 16);
    *reinterpret_cast<uint4*>(p) = make_uint4(PackHalves(v[0], v[1]), PackHalves(v[2], v[3]),
                                              PackHalves(v[4], v[5]), PackHalves(v[6], v[7]));
  }
};

}  // namespace vector_access

// N consecutive elements as floats, N = 1, 4, 8; 2 can be stored only. The address is a multiple of min(16, N * sizeof(T)).
template <int N, typename T>
__device__ inline FloatVec<N> LoadFloats(const T* p) {
  FloatVec<N> out;
  vector_access::Access<T, N>::Load(p, out.v);
  return out;
}
template <int N, typename T>
__device__ inline void StoreFloats(T* p, const FloatVec<N>& values) {
  vector_access::Access<T, N>::Store(p, values.v);
}
template <int N, typename T>
__device__ inline void StoreFloats(T* p, const float (&values)[N]) {
  vector_access::Access<T, N>::Store(p, values);
}

}  // namespace couplet
