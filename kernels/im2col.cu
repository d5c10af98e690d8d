// Launcher of the gathering of windows.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/im2col.h"

#include <initializer_list>

#include "kernels/im2col.cuh"
#include "kernels/vectors.h"

namespace couplet {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostInt = 2147483647;

// Whether the kernel's ints hold: positions of pixels, the window, a row of src and of dst, with what the last block
// goes past its end.
bool Valid(const Im2colShape& s) {
  for (const int size : {s.n, s.ih, s.iw, s.ic, s.oh, s.ow, s.kh, s.kw, s.sh, s.sw, s.dh, s.dw})
    if (size <= 0) return false;
  if (s.pad_top < 0 || s.pad_left < 0) return false;
  const int64_t taps = int64_t{s.kh} * s.kw, past = int64_t{s.ow} + kThreads * kIm2colPixels;
  if (taps > kMostInt || taps * s.ic > kMostInt - kThreads) return false;
  return int64_t{s.iw} * s.ic <= kMostInt && past * s.sw <= kMostInt - int64_t{s.kw} * s.dw - kThreads &&
         int64_t{s.oh} * s.sh <= kMostInt - int64_t{s.kh} * s.dh && past <= kMostInt / (taps * s.ic);
}

template <class Word>
LaunchResult Run(const Im2colShape& shape, const void* src, void* dst, DeviceStream stream) {
  const int columns = shape.kh * shape.kw * shape.ic;
  const int column_blocks = CeilDiv(columns, kThreads);
  const int across = CeilDiv(columns, column_blocks);
  const int pixels = CeilDiv(shape.ow, kIm2colPixels);
  const int down = kThreads / across < pixels ? kThreads / across : pixels;
  const int64_t blocks = BlocksOf(pixels, down) * column_blocks;
  if (blocks > kMaxGridX || shape.oh > kMaxGridYZ || shape.n > kMaxGridYZ) return kLaunchInvalidValue;
  const dim3 grid(static_cast<unsigned>(blocks), static_cast<unsigned>(shape.oh), static_cast<unsigned>(shape.n));
  return Launch(Im2colKernel<Word>, grid, dim3(static_cast<unsigned>(across), static_cast<unsigned>(down)), 0, stream,
                shape, static_cast<unsigned>(column_blocks), static_cast<const Word*>(src), static_cast<Word*>(dst));
}

}  // namespace

template <class T>
LaunchResult LaunchIm2col(const Im2colShape& given, const T* src, T* dst, DeviceStream stream) {
  if (!Valid(given)) return kLaunchInvalidValue;
  if (!MovesVectors(given.ic, given.ic, given.ic, src, dst)) return Run<T>(given, src, dst, stream);
  Im2colShape shape = given;
  shape.ic /= VectorOf<T>::kWidth;
  return Run<uint4>(shape, src, dst, stream);
}

template LaunchResult LaunchIm2col(const Im2colShape&, const float*, float*, DeviceStream);
template LaunchResult LaunchIm2col(const Im2colShape&, const __half*, __half*, DeviceStream);

}  // namespace couplet
