// SPDX-License-Identifier: Apache-2.0
#include "kernels/depthwise_pointwise.cuh"

#include <cstring>

#include "kernels/depthwise.cuh"

namespace couplet {
namespace {

template <typename T>
size_t PackedCount(int ic, int oc) {
  return static_cast<size_t>(CeilDiv(ic, Fragment<T>::kTerms)) * static_cast<size_t>(CeilDiv(oc, 8)) * 32 *
         Fragment<T>::kPerLane;
}

float RoundTo(float weight, const float*) {
  unsigned bits;
  std::memcpy(&bits, &weight, sizeof bits);
  bits = Tf32Bits(bits);
  std::memcpy(&weight, &bits, sizeof bits);
  return weight;
}
__half RoundTo(float weight, const __half*) {
  return __float2half_rn(weight);
}

template <typename T>
void Pack(int ic, int oc, const float* weights, T* packed) {
  using F = Fragment<T>;
  for (int k = 0; k < CeilDiv(ic, F::kTerms); ++k)
    for (int tile = 0; tile < CeilDiv(oc, 8); ++tile)
      for (int lane = 0; lane < 32; ++lane)
        for (int e = 0; e < F::kPerLane; ++e) {
          const int i = k * F::kTerms + PackedTerm<T>(lane, e), o = tile * 8 + lane / 4;
          const bool inside = i < ic && o < oc;
          const size_t at = static_cast<size_t>(i) * static_cast<size_t>(oc) + static_cast<size_t>(o);
          *packed = RoundTo(inside ? weights[at] : 0.0f, packed);
          ++packed;
        }
}

template <typename T, int kStride, int kWide, int kChunk>
LaunchResult Run(const DepthwisePointwiseShape& shape, const T* src, const float* depthwise_weights,
                 const float* depthwise_bias, const T* packed, const float* bias, T* dst,
                 DeviceStream stream) {
  const DepthwiseShape& s = shape.depthwise;
  const int64_t tiles = static_cast<int64_t>(s.n) * CeilDiv(s.oh, kFusedSide) * CeilDiv(s.ow, kFusedSide);
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(CeilDiv(shape.oc, kWide)));
  return Launch(DepthwisePointwiseKernel<T, kStride, kWide, kChunk>, grid, dim3(kFusedThreads), 0, stream, shape, src,
                depthwise_weights, depthwise_bias, packed, bias, dst);
}

template <typename T, int kStride>
LaunchResult Widen(const DepthwisePointwiseShape& shape, const T* src, const float* depthwise_weights,
                   const float* depthwise_bias, const T* packed, const float* bias, T* dst,
                   DeviceStream stream) {
  if (shape.oc <= 64 && shape.depthwise.ic <= 32)
    return Run<T, kStride, 64, 32>(shape, src, depthwise_weights, depthwise_bias, packed, bias, dst, stream);
  if (shape.oc <= 64)
    return Run<T, kStride, 64, 64>(shape, src, depthwise_weights, depthwise_bias, packed, bias, dst, stream);
  if (shape.oc <= 128)
    return Run<T, kStride, 128, 64>(shape, src, depthwise_weights, depthwise_bias, packed, bias, dst, stream);
  return Run<T, kStride, 256, 64>(shape, src, depthwise_weights, depthwise_bias, packed, bias, dst, stream);
}

template <typename T>
LaunchResult Choose(DepthwisePointwiseShape shape, const T* src, const float* depthwise_weights,
                    const float* depthwise_bias, const T* packed, const float* bias, T* dst,
                    DeviceStream stream) {
  const DepthwiseShape& s = shape.depthwise;
  if (!ValidDepthwise3x3(s) || shape.oc < 1) return kLaunchInvalidValue;
  if (shape.dst_stride != 0 && shape.dst_stride < shape.oc) return kLaunchInvalidValue;
  if (s.ic % kFusedVec != 0 || !IsAligned(src, kFusedVec * sizeof(T)) || !IsAligned(depthwise_weights, 16) ||
      !IsAligned(depthwise_bias, 16) || !IsAligned(packed, 8) || !IsAligned(dst, 2 * sizeof(T))) {
    return kLaunchInvalidValue;
  }
  if (shape.dst_stride == 0) shape.dst_stride = shape.oc;
  return s.sh == 1 ? Widen<T, 1>(shape, src, depthwise_weights, depthwise_bias, packed, bias, dst, stream)
                   : Widen<T, 2>(shape, src, depthwise_weights, depthwise_bias, packed, bias, dst, stream);
}

}  // namespace

size_t PackedPointwiseCount(int ic, int oc, const float*) {
  return PackedCount<float>(ic, oc);
}
size_t PackedPointwiseCount(int ic, int oc, const __half*) {
  return PackedCount<__half>(ic, oc);
}
void PackPointwise(int ic, int oc, const float* weights, float* packed) {
  Pack(ic, oc, weights, packed);
}
void PackPointwise(int ic, int oc, const float* weights, __half* packed) {
  Pack(ic, oc, weights, packed);
}

LaunchResult DepthwisePointwise(const DepthwisePointwiseShape& shape, const float* src,
                                const float* depthwise_weights, const float* depthwise_bias,
                                const float* packed, const float* bias, float* dst, DeviceStream stream) {
  if (DeviceArch() < 80) return kLaunchNotSupported;
  return Choose(shape, src, depthwise_weights, depthwise_bias, packed, bias, dst, stream);
}
LaunchResult DepthwisePointwise(const DepthwisePointwiseShape& shape, const __half* src,
                                const float* depthwise_weights, const float* depthwise_bias,
                                const __half* packed, const float* bias, __half* dst, DeviceStream stream) {
  return Choose(shape, src, depthwise_weights, depthwise_bias, packed, bias, dst, stream);
}

}  // namespace couplet
