// How a convolution's rows are shared out among threads: bands of equal height, the last one as high as what is left,
// so that at most two primitives serve them all and each row is computed in the same way whoever computes it. The cut
// follows from the layer's shape alone, never from the number of threads: equal bytes by construction.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/cpu/convolution.h"

namespace couplet::cpu {

struct Bands {
  Shape src, dst;    // of the photo
  int count = 1;
  int dst_rows = 0;  // of a band
  int stride = 1, kernel_rows = 1, pad_top = 0;

  bool whole() const { return count == 1; }
  int last_dst_rows() const { return dst.h - (count - 1) * dst_rows; }
  int dst_rows_of(int band) const { return band == count - 1 ? last_dst_rows() : dst_rows; }
  // Rows of the source that `rows` rows of the result look at, padding included unless there is one band only.
  int src_rows(int rows) const { return whole() ? src.h : (rows - 1) * stride + kernel_rows; }
  int dst_first(int band) const { return band * dst_rows; }
  int src_first(int band) const { return whole() ? 0 : dst_first(band) * stride - pad_top; }  // < 0: in the padding
  // Bytes of a band's source, for those that lie partly in the padding.
  size_t edge_bytes() const {
    return whole() ? 0 : static_cast<size_t>(src_rows(dst_rows)) * src.w * src.c * sizeof(float);
  }
};

Bands OneBand(const Shape& src, const Shape& dst);
// Several bands where a band is work enough to be worth handing to another thread.
Bands CutIntoBands(const Convolution& convolution);

// What is worked on at once, so that it stays in the machine's second cache while all panels of the weights pass by: 160 KB of 512,
// the least that is asked of it.
int64_t BlockBytes();

}  // namespace couplet::cpu
