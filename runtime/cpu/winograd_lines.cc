// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/winograd_lines.h"

#include <algorithm>
#include <array>

#include "runtime/cpu/bands.h"
#include "runtime/cpu/packed_weights.h"
#include "runtime/cpu/winograd_kernel.h"
#include "runtime/cpu/worker.h"

namespace couplet::cpu::own {
namespace {


constexpr int kMostTriples = 3;

// The picture as lines along which the window lies: rows of a 1x7 layer, columns of a 7x1 layer.
//
// Quad q of a line holds its pixels 2q - pad to 2q - pad + 3. Results 2p and 2p + 1 see quad p with the window's first three taps, and
// quad p + t with taps 2t + 1 and 2t + 2: as three taps, of which the first is zero, so that the quad's first place has no part in it.
// A block is some lines: [quad, line, channel] of each place is what the products take, so results follow each other at equal
// distances, and the next quad's sources lie a fixed distance away.
class WinogradLines final : public PreparedOp {
 public:
  WinogradLines(const Convolution& c, int threads)
      : src_(c.src), dst_(c.dst), is_column_(c.kw == 1), triples_((c.kh * c.kw - 1) / 2),
        pad_(is_column_ ? c.pads.top : c.pads.left), lanes_(CutIntoBands(c).whole() ? 1 : threads), panels_(PanelsFor(c.dst.c)),
        bias_(BiasOf(c, static_cast<size_t>(c.dst.c))), clamp_(ClampOf(c.activation)) {
    const int dst_stride = c.dst_stride != 0 ? c.dst_stride : c.dst.c;
    source_ = LinesOf(c.src, c.src.c), result_ = LinesOf(c.dst, dst_stride);
    dst_image_ = int64_t{c.dst.h} * c.dst.w * dst_stride;
    pairs_ = (result_.length + 1) / 2, quads_ = pairs_ + triples_ - 1;
    const int widest = panels_.widest();
    const int64_t line_bytes = (int64_t{kQuad} * quads_ * src_.c + int64_t{kQuad} * pairs_ * widest) * static_cast<int64_t>(sizeof(float));
    const int share = (result_.count + lanes_ - 1) / lanes_;
    const int most = static_cast<int>(std::clamp<int64_t>(BlockBytes() / line_bytes, 1, share));
    blocks_ = (result_.count + most - 1) / most;
    place_stride_ = static_cast<size_t>(most * quads_) * static_cast<size_t>(src_.c) + kApart;
    product_stride_ = static_cast<size_t>(most * pairs_) * static_cast<size_t>(widest) + kApart;
    lane_floats_ = kQuad * place_stride_ + kQuad * product_stride_;
    zeros_.assign(static_cast<size_t>(src_.c), 0.0f);
    Pack(c);
  }

  size_t scratch_bytes() const override { return static_cast<size_t>(lanes_) * lane_floats_ * sizeof(float); }

  Status run(const RunArgs& args) const override {
    const auto run_block = [&](int lane, int index) {
      const int photo = index / blocks_, block = index % blocks_;
      const int first = result_.count * block / blocks_, end = result_.count * (block + 1) / blocks_;
      RunBlock(static_cast<const float*>(args.src[0]) + photo * src_.per_image(), static_cast<float*>(args.dst) + photo * dst_image_, first,
               end - first, static_cast<float*>(args.scratch) + static_cast<size_t>(lane) * lane_floats_);
    };
    ForEachPiece(args.worker, lanes_, args.n * blocks_, run_block);
    return {};
  }

 private:
  static constexpr int kQuad = kWinogradQuad;
  static constexpr size_t kApart = 16;  // so that the places do not fall into one set of the first cache

  struct Lines {
    int count = 0, length = 0;    // in pixels
    int64_t step = 0, apart = 0;  // floats from a pixel of a line to its next one, and to the same one of the next line
  };
  Lines LinesOf(const Shape& shape, int pixel_stride) const {
    const int64_t row = int64_t{shape.w} * pixel_stride;
    return is_column_ ? Lines{shape.w, shape.h, row, pixel_stride} : Lines{shape.h, shape.w, pixel_stride, row};
  }

  int segments(int place) const { return place == 0 ? 1 : triples_; }

  // Panel by panel, place by place, [segment, ic, width], times scale.
  void Pack(const Convolution& c) {
    const size_t ic = static_cast<size_t>(src_.c), oc = static_cast<size_t>(dst_.c), tap = ic * oc;
    weights_ = MakePacked((1 + (kQuad - 1) * static_cast<size_t>(triples_)) * tap);
    const size_t taps = 2 * static_cast<size_t>(triples_) + 1;
    std::vector<float> channel(taps * oc);  // of the source: its taps, each with all results' channels
    for (size_t i = 0; i < ic; ++i) {
      for (size_t t = 0; t < taps; ++t) {
        float* const row = channel.data() + t * oc;
        c.weights->copy_to(row, (t * ic + i) * oc, oc);
        for (size_t o = 0; o < c.scale.size(); ++o) row[o] *= c.scale[o];
      }
      float* to = weights_.get();
      for (int panel = 0; panel < panels_.count; ++panel) {
        const size_t width = static_cast<size_t>(panels_.width(panel));
        for (int place = 0; place < kQuad; ++place)
          for (int segment = 0; segment < segments(place); ++segment, to += ic * width) {
            const float* from = channel.data() + 2 * static_cast<size_t>(segment) * oc + static_cast<size_t>(panels_.first(panel));
            PackTaps(from, oc, segment == 0, place, panels_.width(panel), to + i * width);
          }
      }
    }
  }

  // Of three taps, the first of which may be zero.
  static void PackTaps(const float* taps, size_t tap, bool has_first, int place, int count, float* to) {
    const float *a = taps, *b = taps + tap, *c = taps + 2 * tap;
    for (int o = 0; o < count; ++o) to[o] = static_cast<float>(WinogradWeight(has_first ? a[o] : 0.0f, b[o], c[o], place));
  }

  void RunBlock(const float* src, float* dst, int first, int lines, float* scratch) const {
    for (int quad = 0; quad < quads_; ++quad)
      for (int line = 0; line < lines; ++line)
        TransformSource(src + (first + line) * source_.apart, quad, scratch + static_cast<size_t>(quad * lines + line) * static_cast<size_t>(src_.c));
    float* const products = scratch + kQuad * place_stride_;
    const size_t ic = static_cast<size_t>(src_.c), next_quad = static_cast<size_t>(lines) * ic;
    const float* weights = weights_.get();
    for (int panel = 0; panel < panels_.count; ++panel) {
      const int width = panels_.width(panel), channel = panels_.first(panel);
      GemmPanel gemm{.pixel_stride = ic, .pixels = pairs_ * lines, .tile = panels_.tile, .length = src_.c, .width = width,
                     .dst_stride = static_cast<size_t>(width)};
      for (int place = 0; place < kQuad; ++place) {
        std::array<const float*, kMostTriples> sources;
        for (size_t t = 0; t < static_cast<size_t>(triples_); ++t) sources[t] = scratch + static_cast<size_t>(place) * place_stride_ + t * next_quad;
        gemm.src = sources.data(), gemm.segments = segments(place);
        gemm.weights = weights, gemm.dst = products + static_cast<size_t>(place) * product_stride_;
        weights += static_cast<size_t>(gemm.segments) * ic * static_cast<size_t>(width);
        gemm.next_weights = weights;
        const bool last = place == kQuad - 1;
        const int next_width = !last ? width : panel + 1 < panels_.count ? panels_.width(panel + 1) : 0;
        gemm.next_count = static_cast<size_t>(segments(last ? 0 : place + 1)) * ic * static_cast<size_t>(next_width);
        RunGemmPanel(gemm);
      }
      for (int pair = 0; pair < pairs_; ++pair)
        for (int line = 0; line < lines; ++line)
          RunWinogradLineResult({.src = products + static_cast<size_t>(pair * lines + line) * static_cast<size_t>(width), .place_stride = product_stride_,
                                 .channels = width, .bias = bias_.data() + channel,
                                 .dst = dst + (first + line) * result_.apart + int64_t{2} * pair * result_.step + channel,
                                 .pixel_stride = static_cast<size_t>(result_.step), .pixels = std::min(2, result_.length - 2 * pair), .clamp = clamp_});
    }
  }

  void TransformSource(const float* line, int quad, float* dst) const {
    WinogradLineSource t{.channels = src_.c, .dst = dst, .place_stride = place_stride_};
    for (int i = 0; i < kQuad; ++i) {
      const int at = 2 * quad - pad_ + i;
      t.pixels[i] = at >= 0 && at < source_.length ? line + at * source_.step : zeros_.data();
    }
    RunWinogradLineSource(t);
  }

  Shape src_, dst_;
  bool is_column_;  // the window is a column
  int triples_, pad_;
  int lanes_;
  Panels panels_;
  Lines source_, result_;
  int64_t dst_image_ = 0;
  int pairs_ = 0, quads_ = 0, blocks_ = 0;
  size_t place_stride_ = 0, product_stride_ = 0, lane_floats_ = 0;
  PackedArray<float> weights_;
  std::vector<float> bias_, zeros_;  // zeros_: a pixel of the padding
  Clamp clamp_;
};

}  // namespace

bool FitsWinogradLines(const Convolution& c) {
  const int taps = std::max(c.kh, c.kw);
  const bool pads_along_only = c.kh == 1 ? c.pads.top == 0 && c.pads.bottom == 0 : c.pads.left == 0 && c.pads.right == 0;
  return !c.depthwise && pads_along_only && std::min(c.kh, c.kw) == 1 && taps % 2 == 1 && taps >= 3 && taps <= 2 * kMostTriples + 1 && c.sh == 1 && c.sw == 1 && c.dh == 1 && c.dw == 1 &&
         c.src.c % kWinogradChannels == 0 && c.dst.c % kWinogradChannels == 0;
}

std::unique_ptr<PreparedOp> MakeWinogradLines(const Convolution& convolution, int threads) {
  return std::make_unique<WinogradLines>(convolution, threads);
}

}  // namespace couplet::cpu::own
