// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/own.h"

#include <algorithm>
#include <cmath>

#include "runtime/cpu/bands.h"
#include "runtime/cpu/gemm_kernel.h"
#include "runtime/cpu/int8_convolution.h"
#include "runtime/cpu/packed_weights.h"
#include "runtime/cpu/row_chain.h"
#include "runtime/cpu/window3x3.h"
#include "runtime/cpu/window_kernels.h"
#include "runtime/cpu/window_table.h"
#include "runtime/cpu/winograd.h"
#include "runtime/cpu/winograd_lines.h"
#include "runtime/cpu/worker.h"
#include "runtime/planner.h"

namespace couplet::cpu::own {
namespace {

// The source's rows (or columns) that window `out` sees, as a range of its own.
struct Range {
  int begin, end;
};
Range InPicture(int out, int stride, int pad, int kernel, int size) {
  const int first = out * stride - pad;
  return {std::max(0, -first), std::min(kernel, size - first)};
}

// A convolution over all channels, its sources laid out as the kernel wants them, in one of three ways. Where a pixel sees its own
// place alone, and where few channels would make the kernel's loop short (the stretch of a row that a window sees is then one
// segment, from rows with the padding put to them), pixels follow each other at equal distances. Else a table says where each
// pixel's segments lie.
class Gemm final : public RowOp {
 public:
  Gemm(const Convolution& c, int threads)
      : src_(c.src), dst_(c.dst), dst_stride_(c.dst_stride != 0 ? c.dst_stride : c.dst.c), kh_(c.kh), kw_(c.kw), sh_(c.sh), sw_(c.sw),
        dh_(c.dh), dw_(c.dw), pads_(c.pads),
        bands_(CutIntoBands(c)), lanes_(bands_.whole() ? 1 : threads), panels_(PanelsFor(c.dst.c)),
        clamp_(ClampOf(c.activation)), windows_(c, c.src.c), bias_(BiasOf(c, static_cast<size_t>(panels_.channels()))) {
    by_rows_ = kw_ > 1 && dw_ == 1 && src_.c <= kRowChannels;
    dense_ = IsPointwise(c);
    segments_ = by_rows_ ? kh_ : kh_ * kw_;
    length_ = by_rows_ ? kw_ * src_.c : src_.c;
    const int64_t bytes = int64_t{src_.c} * sh_ * sw_ * static_cast<int64_t>(sizeof(float));
    block_ = static_cast<int>(std::clamp<int64_t>(BlockBytes() / bytes, kMinBlock, kMaxBlock));
    if (by_rows_) {
      row_floats_ = static_cast<size_t>((dst_.w - 1) * sw_ + kw_) * static_cast<size_t>(src_.c);
      pad_rows_ = pads_.left != 0 || row_floats_ > static_cast<size_t>(src_.w) * static_cast<size_t>(src_.c);
      lane_bytes_ = AlignUp(static_cast<size_t>(segments_) * sizeof(const float*));
      row_bytes_ = pad_rows_ ? AlignUp(row_floats_ * sizeof(float)) : 0;
      lane_bytes_ += static_cast<size_t>(segments_) * row_bytes_;
    } else if (!dense_) {
      lane_bytes_ = AlignUp(windows_.bytes(block_));
    }
    far_weights_ = WindowFloats() * static_cast<size_t>(panels_.channels()) * sizeof(float) >= kFarWeights;
    zeros_.assign(std::max(row_floats_, static_cast<size_t>(length_)), 0.0f);
    Pack(c);
  }

  size_t scratch_bytes() const override { return static_cast<size_t>(lanes_) * lane_bytes_; }

  void RunRows(const Rows& rows) const override {
    RunPixels(rows.src + int64_t{rows.first - rows.src_first} * src_.w * src_.c, rows.dst, 0, rows.count * dst_.w, nullptr);
  }
  bool makes_rows() const override { return dense_ && dst_stride_ == dst_.c; }
  bool sees_own_row() const override { return true; }
  Range Sees(int first, int count) const override { return {first, first + count}; }
  const Shape& src() const override { return src_; }
  const Shape& dst() const override { return dst_; }

  Status run(const RunArgs& args) const override {
    const auto* src = static_cast<const float*>(args.src[0]);
    auto* dst = static_cast<float*>(args.dst);
    // The photos' pixels are those of one picture: they share the weights.
    if (dense_ && bands_.whole() && dst_stride_ == dst_.c) {
      RunPixels(src, dst, 0, args.n * dst_.h * dst_.w, static_cast<std::byte*>(args.scratch));
      return {};
    }
    const auto run_band = [&](int lane, int index) {
      const int photo = index / bands_.count, band = index % bands_.count;
      const int first = bands_.dst_first(band) * dst_.w, count = bands_.dst_rows_of(band) * dst_.w;
      RunPixels(src + photo * src_.per_image(), dst + photo * (int64_t{dst_.h} * dst_.w * dst_stride_), first, count,
                static_cast<std::byte*>(args.scratch) + static_cast<size_t>(lane) * lane_bytes_);
    };
    const int pieces = args.n * bands_.count;
    ForEachPiece(args.worker, lanes_, pieces, run_band);
    return {};
  }

 private:
  static constexpr int kRowChannels = 8;
  static constexpr int kMinBlock = 66, kMaxBlock = 504;
  // From so many bytes on a layer's weights are gone from the second cache by the next photo: while a panel is worked on, the next
  // one is asked for, if there are pixels enough to do it meanwhile.
  static constexpr size_t kFarWeights = 32 << 10;
  static constexpr int kLeastPixelsAhead = 12;

  size_t WindowFloats() const { return static_cast<size_t>(segments_) * static_cast<size_t>(length_); }

  // Panel by panel, [kh * kw * ic, width], times scale; zeros where there is no channel.
  void Pack(const Convolution& c) {
    const size_t rows = static_cast<size_t>(kh_) * static_cast<size_t>(kw_) * static_cast<size_t>(src_.c);
    const size_t oc = static_cast<size_t>(dst_.c);
    weights_ = MakePacked(rows * static_cast<size_t>(panels_.channels()));
    float* to = weights_.get();
    for (int panel = 0; panel < panels_.count; ++panel) {
      const size_t first = static_cast<size_t>(panels_.first(panel)), width = static_cast<size_t>(panels_.width(panel));
      const size_t count = std::min(width, oc - first);
      for (size_t row = 0; row < rows; ++row, to += width) {
        c.weights->copy_to(to, row * oc + first, count);
        if (!c.scale.empty())
          for (size_t i = 0; i < count; ++i) to[i] *= c.scale[first + i];
        std::fill(to + count, to + width, 0.0f);
      }
    }
  }

  // Results [first, first + count), counted in pixels of the photo: whole rows of it.
  void RunPixels(const float* src, float* dst, int first, int count, std::byte* scratch) const {
    if (by_rows_) {
      for (int y = first / dst_.w; y < (first + count) / dst_.w; ++y)
        RunPanels({.src = PointRow(src, y, scratch), .pixel_stride = static_cast<size_t>(sw_) * static_cast<size_t>(src_.c), .pixels = dst_.w},
                  dst + int64_t{y} * dst_.w * dst_stride_);
      return;
    }
    const int blocks = (count + block_ - 1) / block_;
    for (int i = 0; i < blocks; ++i) {
      const int begin = first + static_cast<int>(int64_t{count} * i / blocks);
      const int end = first + static_cast<int>(int64_t{count} * (i + 1) / blocks);
      const float* dense = src + int64_t{begin} * src_.c;
      GemmPanel t{.src = &dense, .pixel_stride = static_cast<size_t>(src_.c), .pixels = end - begin};
      if (!dense_) {
        auto* table = reinterpret_cast<const float**>(scratch);
        windows_.Point(src, begin, end - begin, panels_.tile, zeros_.data(), table);
        t.src = table, t.pixel_stride = 0;
      }
      RunPanels(t, dst + int64_t{begin} * dst_stride_);
    }
  }

  // `t` knows its sources; `dst` is its first pixel.
  void RunPanels(GemmPanel t, float* dst) const {
    t.tile = panels_.tile, t.segments = segments_, t.length = length_;
    t.dst_stride = static_cast<size_t>(dst_stride_), t.clamp = clamp_;
    t.weights = weights_.get();
    for (int panel = 0; panel < panels_.count; ++panel) {
      const int channel = panels_.first(panel);
      t.width = panels_.width(panel);
      t.channels = std::min(t.width, dst_.c - channel);
      t.bias = bias_.data() + channel;
      t.dst = dst + channel;
      t.next_weights = t.weights + WindowFloats() * static_cast<size_t>(t.width);
      const bool ahead = far_weights_ && t.pixels >= kLeastPixelsAhead && panel + 1 < panels_.count;
      t.next_count = ahead ? WindowFloats() * static_cast<size_t>(panels_.width(panel + 1)) : 0;
      RunGemmPanel(t);
      t.weights = t.next_weights;
    }
  }

  // The rows that row `y` of the results sees, with the padding to their left and right, from the first window's column on.
  const float* const* PointRow(const float* src, int y, std::byte* scratch) const {
    auto* rows = reinterpret_cast<const float**>(scratch);
    std::byte* room = scratch + lane_bytes_ - static_cast<size_t>(segments_) * row_bytes_;
    for (int ky = 0; ky < kh_; ++ky, room += row_bytes_) {
      const int sy = y * sh_ - pads_.top + ky * dh_;
      if (sy < 0 || sy >= src_.h) {
        rows[ky] = zeros_.data();
        continue;
      }
      rows[ky] = src + int64_t{sy} * src_.w * src_.c;
      if (!pad_rows_) continue;
      auto* padded = reinterpret_cast<float*>(room);
      const size_t left = std::min(static_cast<size_t>(pads_.left) * static_cast<size_t>(src_.c), row_floats_);
      const size_t inside = std::min(static_cast<size_t>(src_.w) * static_cast<size_t>(src_.c), row_floats_ - left);
      float* end = std::copy_n(rows[ky], inside, std::fill_n(padded, left, 0.0f));
      std::fill(end, padded + row_floats_, 0.0f);
      rows[ky] = padded;
    }
    return rows;
  }

  Shape src_, dst_;
  int dst_stride_;
  int kh_, kw_, sh_, sw_, dh_, dw_;
  Pads pads_;
  Bands bands_;
  int lanes_;
  Panels panels_;
  Clamp clamp_;
  bool dense_ = false, by_rows_ = false, pad_rows_ = false;
  bool far_weights_ = false;
  int segments_ = 0, length_ = 0, block_ = 0;
  WindowTable<float> windows_;
  size_t row_floats_ = 0, row_bytes_ = 0, lane_bytes_ = 0;
  PackedArray<float> weights_;
  std::vector<float> bias_, zeros_;
};

// Any window, dilation and multiplier, in no hurry: no network of the catalogue has them.
class AnyDepthwise final : public PreparedOp {
 public:
  explicit AnyDepthwise(const Convolution& c)
      : c_(c), weights_(Folded(*c.weights, c.scale)), bias_(BiasOf(c, static_cast<size_t>(c.dst.c))), clamp_(ClampOf(c.activation)) {}

  Status run(const RunArgs& args) const override {
    const auto* src = static_cast<const float*>(args.src[0]);
    auto* dst = static_cast<float*>(args.dst);
    for (int n = 0; n < args.n; ++n, src += c_.src.per_image())
      for (int y = 0; y < c_.dst.h; ++y)
        for (int x = 0; x < c_.dst.w; ++x)
          for (int o = 0; o < c_.dst.c; ++o) *dst++ = At(src, y, x, o);
    return {};
  }

 private:
  float At(const float* src, int y, int x, int o) const {
    float sum = bias_[static_cast<size_t>(o)];
    const int channel = o / (c_.dst.c / c_.src.c);
    for (int ky = 0; ky < c_.kh; ++ky)
      for (int kx = 0; kx < c_.kw; ++kx) {
        const int sy = y * c_.sh - c_.pads.top + ky * c_.dh, sx = x * c_.sw - c_.pads.left + kx * c_.dw;
        if (sy < 0 || sy >= c_.src.h || sx < 0 || sx >= c_.src.w) continue;
        sum = std::fma(src[(int64_t{sy} * c_.src.w + sx) * c_.src.c + channel],
                       weights_[static_cast<size_t>(int64_t{ky * c_.kw + kx} * c_.dst.c + o)], sum);
      }
    // NaN stays NaN.
    return sum < clamp_.low ? clamp_.low : sum > clamp_.high ? clamp_.high : sum;
  }

  Convolution c_;  // its views are not looked at after prepare()
  std::vector<float> weights_, bias_;
  Clamp clamp_;
};

class Pool final : public PreparedOp {
 public:
  Pool(const Shape& src, const Shape& dst, const PoolAttrs& attrs, int dst_stride)
      : src_(src), dst_(dst), attrs_(attrs), dst_stride_(dst_stride != 0 ? dst_stride : dst.c) {}

  Status run(const RunArgs& args) const override {
    const auto* src = static_cast<const float*>(args.src[0]);
    PoolPixel pixel{.src = src, .row_stride = static_cast<size_t>(src_.w) * static_cast<size_t>(src_.c), .h = 0, .w = 0,
                    .channels = src_.c, .dst = static_cast<float*>(args.dst)};
    const auto run = attrs_.kind == PoolAttrs::Kind::kMax ? RunMaxPool : RunAveragePool;
    for (int n = 0; n < args.n; ++n, src += src_.per_image())
      for (int y = 0; y < dst_.h; ++y)
        for (int x = 0; x < dst_.w; ++x, pixel.dst += dst_stride_) {
          const Range rows = InPicture(y, attrs_.sh, attrs_.pads.top, attrs_.kh, src_.h);
          const Range columns = InPicture(x, attrs_.sw, attrs_.pads.left, attrs_.kw, src_.w);
          const int64_t sy = y * attrs_.sh - attrs_.pads.top + rows.begin;
          const int64_t sx = x * attrs_.sw - attrs_.pads.left + columns.begin;
          pixel.src = src + (sy * src_.w + sx) * src_.c;
          pixel.h = rows.end - rows.begin;
          pixel.w = columns.end - columns.begin;
          run(pixel);
        }
    return {};
  }

 private:
  Shape src_, dst_;
  PoolAttrs attrs_;
  int dst_stride_;
};

}  // namespace

std::unique_ptr<PreparedOp> MakeConvolution(const Convolution& c, Precision precision, int threads) {
  if (precision == Precision::kInt8 && FitsInt8(c))
    return MakeInt8Convolution(c, nullptr, threads);
  if (Window3x3::Fits(c, threads)) return std::make_unique<Window3x3>(c);
  if (FitsWinograd(c)) return MakeWinograd(c, threads);
  if (FitsWinogradLines(c)) return MakeWinogradLines(c, threads);
  if (!c.depthwise) return std::make_unique<Gemm>(c, threads);
  return std::make_unique<AnyDepthwise>(c);
}

std::unique_ptr<PreparedOp> MakeInt8Pair(const Convolution& first, const Convolution& second, int threads) {
  if (!first.depthwise || !Window3x3::Fits(first, threads) || !IsPointwise(second) || !FitsInt8(second)) return nullptr;
  return MakeInt8Convolution(second, std::make_unique<Window3x3>(first), threads);
}

std::unique_ptr<PreparedOp> MakePool(const Shape& src, const Shape& dst, const PoolAttrs& attrs, int dst_stride) {
  return std::make_unique<Pool>(src, dst, attrs, dst_stride);
}

std::string InstructionSet() {
  const std::string_view target = KernelTarget();
  return target == "AVX3" ? "AVX-512" : std::string(target);
}

}  // namespace couplet::cpu::own
