// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/bands.h"

#include <unistd.h>

#include <algorithm>

namespace couplet::cpu {
namespace {

// Some 20 us of a core; handing a band over costs about 1 us.
constexpr int64_t kMinMultiplyAdds = int64_t{3} << 20;
constexpr int kMaxBands = 8;
// Half of a 14 x 14 picture. Lower bands leave the library's blocks half empty: with three rows of 17 one Inception
// photo took one thread 4 % longer than uncut, with nine 0.5 %.
constexpr int64_t kMinPixels = 98;

}  // namespace

Bands OneBand(const Shape& src, const Shape& dst) {
  return {.src = src, .dst = dst, .count = 1, .dst_rows = dst.h};
}

Bands CutIntoBands(const Convolution& c) {
  Bands bands = OneBand(c.src, c.dst);
  const int64_t multiply_adds = int64_t{c.kh} * c.kw * c.src.c * c.dst.per_image();
  const int64_t pixels = int64_t{c.dst.h} * c.dst.w;
  const int64_t count =
      std::min<int64_t>({kMaxBands, c.dst.h, pixels / kMinPixels, multiply_adds / kMinMultiplyAdds});
  if (c.depthwise || count < 2) return bands;
  bands.dst_rows = static_cast<int>((c.dst.h + count - 1) / count);
  bands.count = (c.dst.h + bands.dst_rows - 1) / bands.dst_rows;
  bands.stride = c.sh;
  bands.kernel_rows = (c.kh - 1) * c.dh + 1;
  bands.pad_top = c.pads.top;
  return bands;
}

int64_t BlockBytes() {
  static const int64_t second_cache = std::clamp<int64_t>(sysconf(_SC_LEVEL2_CACHE_SIZE), 512 << 10, 2 << 20);
  return second_cache * 5 / 16;
}

}  // namespace couplet::cpu
