// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/window3x3.h"

#include <algorithm>

#include "runtime/cpu/bands.h"
#include "runtime/cpu/window_kernels.h"

namespace couplet::cpu::own {
namespace {

constexpr int kMaxBandRows = 16;

}  // namespace

Window3x3::Window3x3(const Convolution& c)
    : depthwise_(c.depthwise), src_(c.src), dst_(c.dst), stride_(c.sh), pads_(c.pads), weights_(Folded(*c.weights, c.scale)),
      bias_(BiasOf(c, static_cast<size_t>(c.dst.c))), clamp_(ClampOf(c.activation)) {}

bool Window3x3::Fits(const Convolution& c, int threads) {
  if (c.kh != 3 || c.kw != 3 || c.dh != 1 || c.dw != 1 || c.sh != c.sw || c.sh > 2 || c.pads.left > 1 ||
      (c.dst.w - 1) * c.sw - c.pads.left + 2 > c.src.w || Window3x3BandRows(c.depthwise, c.dst.c, c.sh) == 0)
    return false;
  if (c.depthwise) return c.dst.c == c.src.c;
  return c.src.c == 3 && c.sh == 2 && c.dst_stride == 0 && (threads == 1 || CutIntoBands(c).whole());
}

Status Window3x3::run(const RunArgs& args) const {
  for (int n = 0; n < args.n; ++n)
    RunRows({.src = static_cast<const float*>(args.src[0]) + n * src_.per_image(), .src_first = 0, .src_rows = src_.h, .first = 0, .count = dst_.h,
             .dst = static_cast<float*>(args.dst) + n * dst_.per_image()});
  return {};
}

RowOp::Range Window3x3::Sees(int first, int count) const {
  const int begin = first * stride_ - pads_.top;
  return {std::max(begin, 0), std::min(begin + (count - 1) * stride_ + 3, src_.h)};
}

void Window3x3::RunRows(const Rows& wanted, uint32_t* most) const {
  uint32_t lanes[Window3x3Band::kMostLanes] = {};
  const int64_t row_floats = int64_t{src_.w} * src_.c;
  const float* sources[kMaxBandRows * 2 + 1];
  Window3x3Band band{.depthwise = depthwise_, .rows = sources, .columns = src_.w, .channels = dst_.c, .dst_rows = 0,
                     .dst_columns = dst_.w, .stride = stride_, .pad_left = pads_.left, .weights = weights_.data(),
                     .bias = bias_.data(), .dst = wanted.dst, .clamp = clamp_, .ahead = nullptr, .ahead_floats = 0, .most = most == nullptr ? nullptr : lanes};
  const int height = std::min(Window3x3BandRows(depthwise_, dst_.c, stride_), kMaxBandRows), end = wanted.first + wanted.count;
  for (int y = wanted.first; y < end; y += band.dst_rows, band.dst += int64_t{band.dst_rows} * dst_.w * dst_.c) {
    band.dst_rows = std::min(height, end - y);
    for (int r = 0; r < (band.dst_rows - 1) * stride_ + 3; ++r) {
      const int sy = y * stride_ - pads_.top + r;
      sources[r] = sy >= 0 && sy < src_.h ? wanted.src + (sy - wanted.src_first) % wanted.src_rows * row_floats : nullptr;
    }
    if (!depthwise_ && wanted.src_rows == src_.h) {
      // A photo comes from the third cache, and a band's rows are too many streams to be foreseen: the next band's are asked for.
      const int seen = std::clamp((y + band.dst_rows - 1) * stride_ - pads_.top + 3, 0, src_.h);
      band.ahead = wanted.src + seen * row_floats;
      band.ahead_floats = static_cast<size_t>(std::min(src_.h - seen, height * stride_) * row_floats);
    }
    RunWindow3x3Band(band);
  }
  if (most != nullptr) *most = *std::max_element(lanes, lanes + Window3x3Band::kMostLanes);
}

}  // namespace couplet::cpu::own
