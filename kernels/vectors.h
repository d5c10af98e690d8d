// What the launchers of the small kernels share: may 16 bytes be moved at once, and how many blocks there
// are.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/device.h"

namespace couplet {

// Whether every pixel's `channels` can be moved 16 bytes at a time on both sides.
template <class T>
bool MovesVectors(int channels, int src_stride, int dst_stride, const T* src, const T* dst) {
  const int wide = VectorOf<T>::kWidth;
  return channels % wide == 0 && src_stride % wide == 0 && dst_stride % wide == 0 && IsAligned(src, 16) &&
         IsAligned(dst, 16);
}

// Stride 0 means dense.
inline int StrideOr(int stride, int channels) {
  return stride != 0 ? stride : channels;
}

inline int64_t BlocksOf(int64_t count, int each) {
  return (count + each - 1) / each;
}

// Whole pixels of `chunks` accesses each that make up a block's work: about 1,024 accesses, four a thread.
inline int PixelsPerBlock(int chunks) {
  return chunks < 1024 ? 1024 / chunks : 1;
}

// Limits of a grid: 2^31 - 1 blocks along x, 65,535 along y and z.
constexpr int64_t kMaxGridX = 2147483647, kMaxGridYZ = 65535;

}  // namespace couplet
