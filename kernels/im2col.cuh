// Body of the gathering of windows. A thread copies one place of the window, the same (ky, kx, channel), for
// kIm2colPixels output pixels of a row: all but the position of the pixel is worked out once. Threads that follow each
// other write what follows each other in dst, to the end of a window and on into the next pixel's.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/device.h"
#include "kernels/im2col.h"

namespace couplet {

constexpr int kIm2colPixels = 8;

// Word: what is moved at once, 16 bytes or an element; shape.ic counts Words. blockIdx is (pixels of a row and
// `column_blocks` parts of the window, row, photo), threadIdx (place in the window, pixel).
template <class Word>
__global__ void Im2colKernel(Im2colShape shape, unsigned column_blocks, const Word* src, Word* dst) {
  COUPLET_CHECK_ALIGNED(src, sizeof(Word));
  COUPLET_CHECK_ALIGNED(dst, sizeof(Word));
  // Unsigned: their divisions are the shorter ones.
  const unsigned channels = static_cast<unsigned>(shape.ic), kw = static_cast<unsigned>(shape.kw);
  const unsigned columns = static_cast<unsigned>(shape.kh) * kw * channels;
  const unsigned pixel_block = blockIdx.x / column_blocks;
  const unsigned column = (blockIdx.x - pixel_block * column_blocks) * blockDim.x + threadIdx.x;
  if (column >= columns) return;
  const unsigned tap = column / channels, c = column - tap * channels;
  const int ky = static_cast<int>(tap / kw), kx = static_cast<int>(tap - tap / kw * kw);
  const int y = static_cast<int>(blockIdx.y);
  const size_t n = blockIdx.z;
  const int sy = y * shape.sh - shape.pad_top + ky * shape.dh;
  const bool row_inside = sy >= 0 && sy < shape.ih;
  const Word* const from =
      src + (n * shape.ih + static_cast<size_t>(row_inside ? sy : 0)) * (static_cast<size_t>(shape.iw) * shape.ic) + c;
  Word* const to = dst + (n * shape.oh + y) * (static_cast<size_t>(shape.ow) * columns) + column;

  const int step = static_cast<int>(blockDim.y);
  const int first = static_cast<int>(pixel_block * blockDim.y) * kIm2colPixels + static_cast<int>(threadIdx.y);
  const int left = kx * shape.dw - shape.pad_left;
  Word value[kIm2colPixels];
#pragma unroll
  for (int i = 0; i < kIm2colPixels; ++i) {
    const int sx = (first + i * step) * shape.sw + left;
    value[i] = row_inside && sx >= 0 && sx < shape.iw ? from[sx * shape.ic] : Word();
  }
#pragma unroll
  for (int i = 0; i < kIm2colPixels; ++i) {
    const int x = first + i * step;
    if (x < shape.ow) to[x * static_cast<int>(columns)] = value[i];
  }
}

}  // namespace couplet
