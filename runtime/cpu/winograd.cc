// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/winograd.h"

#include <algorithm>
#include <array>

#include "runtime/cpu/bands.h"
#include "runtime/cpu/packed_weights.h"
#include "runtime/cpu/winograd_kernel.h"
#include "runtime/cpu/worker.h"

namespace couplet::cpu::own {
namespace {

constexpr size_t kPlaces = kWinogradPlaces;
constexpr size_t kMostWindows = 2;

// G g G' of a 3x3 window.
std::array<float, kPlaces> TransformWindow(const std::array<float, 9>& window) {
  const auto transform = [](double a, double b, double c, double* to, size_t step) {
    for (int place = 0; place < kWinogradQuad; ++place, to += step) *to = WinogradWeight(a, b, c, place);
  };
  double down[12];  // [4, 3]
  for (size_t x = 0; x < 3; ++x) transform(window[x], window[3 + x], window[6 + x], down + x, 3);
  double places[kPlaces];
  for (size_t r = 0; r < 4; ++r) transform(down[3 * r], down[3 * r + 1], down[3 * r + 2], places + 4 * r, 1);
  std::array<float, kPlaces> rounded;
  std::transform(places, places + kPlaces, rounded.begin(), [](double value) { return static_cast<float>(value); });
  return rounded;
}

// The 3x3 window in a row and a column of a larger one's, of taps that no window before it has.
template <class Tap>
std::array<float, 9> WindowAt(int row, int column, const Tap& tap) {
  std::array<float, 9> window{};
  for (size_t y = row > 0 ? 1 : 0; y < 3; ++y)
    for (size_t x = column > 0 ? 1 : 0; x < 3; ++x) window[3 * y + x] = tap(2 * static_cast<size_t>(row) + y, 2 * static_cast<size_t>(column) + x);
  return window;
}

// Tiles lie in a grid, of which a 3x3 window sees one at a time. A 5x5 window sees two by two: the first with its upper left 3x3 taps,
// the others, two pixels on, with those that are left, as 3x3 windows whose first row or column is zero, so that the tile's places of
// that row or column have no part in it: 49 products for 2 x 2 results where the window takes 100. Its grid has a column more than
// there are results; the products in there are nobody's.
class Winograd final : public PreparedOp {
 public:
  Winograd(const Convolution& c, int threads)
      : src_(c.src), dst_(c.dst), dst_stride_(c.dst_stride != 0 ? c.dst_stride : c.dst.c), pads_(c.pads),
        lanes_(CutIntoBands(c).whole() ? 1 : threads), panels_(PanelsFor(c.dst.c)), windows_(c.kh / 2),
        columns_((c.dst.w + 1) / 2 + windows_ - 1), tiles_((c.dst.h + 1) / 2 * columns_), more_((windows_ - 1) * (columns_ + 1)),
        bias_(BiasOf(c, static_cast<size_t>(c.dst.c))), clamp_(ClampOf(c.activation)) {
    const int widest = panels_.widest();
    const int64_t tile_bytes = int64_t{kWinogradPlaces} * (src_.c + widest) * static_cast<int64_t>(sizeof(float));
    block_ = static_cast<int>(std::clamp<int64_t>(kBlockBytes / tile_bytes, kMinBlock, kMaxBlock));
    source_stride_ = static_cast<size_t>(block_ + more_) * static_cast<size_t>(src_.c) + kApart;
    product_stride_ = static_cast<size_t>(block_) * static_cast<size_t>(widest) + kApart;
    lane_floats_ = kPlaces * (source_stride_ + product_stride_ + static_cast<size_t>(src_.c));
    Pack(c);
  }

  size_t scratch_bytes() const override { return static_cast<size_t>(lanes_) * lane_floats_ * sizeof(float); }

  Status run(const RunArgs& args) const override {
    const int blocks = (tiles_ + block_ - 1) / block_;
    const auto run_block = [&](int lane, int index) {
      const int photo = index / blocks, block = index % blocks;
      const int first = static_cast<int>(int64_t{tiles_} * block / blocks), end = static_cast<int>(int64_t{tiles_} * (block + 1) / blocks);
      RunBlock(static_cast<const float*>(args.src[0]) + photo * src_.per_image(),
               static_cast<float*>(args.dst) + photo * (int64_t{dst_.h} * dst_.w * dst_stride_), first, end - first,
               static_cast<float*>(args.scratch) + static_cast<size_t>(lane) * lane_floats_);
    };
    ForEachPiece(args.worker, lanes_, args.n * blocks, run_block);
    return {};
  }

 private:
  // The transformed sources of a block, and one panel's products with them, stay in the second cache.
  static constexpr int64_t kBlockBytes = 256 << 10;
  static constexpr int kMinBlock = 24, kMaxBlock = 96;
  static constexpr size_t kApart = 16;  // so that the places do not fall into one set of the first cache

  // How many rows and columns of 3x3 windows have a part in a place.
  int window_rows(size_t place) const { return place / 4 == 0 ? 1 : windows_; }
  int window_columns(size_t place) const { return place % 4 == 0 ? 1 : windows_; }
  int segments(size_t place) const { return window_rows(place) * window_columns(place); }

  // Panel by panel, place by place, [window, ic, width], times scale.
  void Pack(const Convolution& c) {
    const size_t ic = static_cast<size_t>(src_.c), oc = static_cast<size_t>(dst_.c), side = static_cast<size_t>(c.kw);
    std::array<size_t, kPlaces + 1> before = {};  // segments of the places before
    for (size_t p = 0; p < kPlaces; ++p) before[p + 1] = before[p] + static_cast<size_t>(segments(p));
    weights_ = MakePacked(before[kPlaces] * ic * oc);
    std::vector<float> taps(side * side * oc);  // of one channel of the source
    for (size_t i = 0; i < ic; ++i) {
      for (size_t tap = 0; tap < side * side; ++tap) c.weights->copy_to(taps.data() + tap * oc, (tap * ic + i) * oc, oc);
      for (int row = 0; row < windows_; ++row)
        for (int column = 0; column < windows_; ++column)
          for (int panel = 0; panel < panels_.count; ++panel) {
            const size_t first = static_cast<size_t>(panels_.first(panel)), width = static_cast<size_t>(panels_.width(panel));
            float* const panel_weights = weights_.get() + before[kPlaces] * ic * first;
            for (size_t o = 0; o < width; ++o) {
              const float scale = c.scale.empty() ? 1.0f : c.scale[first + o];
              const auto tap = [&](size_t y, size_t x) { return taps[(y * side + x) * oc + first + o] * scale; };
              const std::array<float, kPlaces> places = TransformWindow(WindowAt(row, column, tap));
              for (size_t p = 0; p < kPlaces; ++p)
                if (row < window_rows(p) && column < window_columns(p)) {
                  const size_t segment = before[p] + static_cast<size_t>(row * window_columns(p) + column);
                  panel_weights[(segment * ic + i) * width + o] = places[p];
                }
            }
          }
    }
  }

  void RunBlock(const float* src, float* dst, int first, int count, float* scratch) const {
    const size_t ic = static_cast<size_t>(src_.c);
    float* const products = scratch + kPlaces * source_stride_;
    float* const patch = products + kPlaces * product_stride_;
    for (int i = 0; i < count + more_; ++i) TransformSource(src, first + i, patch, scratch + static_cast<size_t>(i) * ic);
    const float* weights = weights_.get();
    for (int panel = 0; panel < panels_.count; ++panel) {
      const int width = panels_.width(panel);
      GemmPanel gemm{.pixel_stride = ic, .pixels = count, .tile = panels_.tile, .length = src_.c, .width = width,
                     .dst_stride = static_cast<size_t>(width)};
      for (size_t p = 0; p < kPlaces; ++p) {
        std::array<const float*, kMostWindows * kMostWindows> sources;
        size_t segment = 0;
        for (int row = 0; row < window_rows(p); ++row)
          for (int column = 0; column < window_columns(p); ++column) {
            const int64_t tile = int64_t{row} * columns_ + column;
            sources[segment++] = scratch + p * source_stride_ + tile * src_.c;
          }
        gemm.src = sources.data(), gemm.segments = segments(p);
        gemm.weights = weights, gemm.dst = products + p * product_stride_;
        RunGemmPanel(gemm);
        weights += static_cast<size_t>(gemm.segments) * ic * static_cast<size_t>(width);
      }
      for (int i = 0; i < count; ++i) TransformResult(products + static_cast<size_t>(i) * static_cast<size_t>(width), panel, dst, first + i);
    }
  }

  void TransformSource(const float* src, int tile, float* patch, float* dst) const {
    const int y = tile / columns_ * 2 - pads_.top, x = tile % columns_ * 2 - pads_.left;
    WinogradSource t{.row_stride = static_cast<size_t>(src_.w) * static_cast<size_t>(src_.c), .channels = src_.c, .dst = dst,
                     .place_stride = source_stride_};
    if (y >= 0 && x >= 0 && y + 4 <= src_.h && x + 4 <= src_.w) {
      t.src = src + (int64_t{y} * src_.w + x) * src_.c;
    } else {
      float* to = patch;
      for (int sy = y; sy < y + 4; ++sy)
        for (int sx = x; sx < x + 4; ++sx, to += src_.c)
          if (sy >= 0 && sy < src_.h && sx >= 0 && sx < src_.w) std::copy_n(src + (int64_t{sy} * src_.w + sx) * src_.c, src_.c, to);
          else std::fill_n(to, src_.c, 0.0f);
      t.src = patch, t.row_stride = static_cast<size_t>(src_.c) * 4;
    }
    RunWinogradSource(t);
  }

  void TransformResult(const float* products, int panel, float* dst, int tile) const {
    const int y = tile / columns_ * 2, x = tile % columns_ * 2, channel = panels_.first(panel);
    if (x >= dst_.w) return;
    RunWinogradResult({.src = products, .place_stride = product_stride_, .channels = panels_.width(panel), .bias = bias_.data() + channel,
                       .dst = dst + (int64_t{y} * dst_.w + x) * dst_stride_ + channel,
                       .row_stride = static_cast<size_t>(dst_.w) * static_cast<size_t>(dst_stride_),
                       .pixel_stride = static_cast<size_t>(dst_stride_), .rows = std::min(2, dst_.h - y), .columns = std::min(2, dst_.w - x),
                       .clamp = clamp_});
  }

  Shape src_, dst_;
  int dst_stride_;
  Pads pads_;
  int lanes_;
  Panels panels_;
  int windows_;  // of 3x3 in a row of the window
  int columns_, tiles_, more_, block_ = 0;  // of the grid; tiles of 2 x 2 results; beyond a block's that its windows see
  size_t source_stride_ = 0, product_stride_ = 0, lane_floats_ = 0;
  PackedArray<float> weights_;
  std::vector<float> bias_;
  Clamp clamp_;
};

}  // namespace

bool FitsWinograd(const Convolution& c) {
  // With more channels, or fewer tiles, the 16 matrices of weights are what a core waits for.
  constexpr int kMostChannels = 128, kLeastTiles = 128;
  return !c.depthwise && c.kh == c.kw && (c.kh == 3 || c.kh == 5) && c.sh == 1 && c.sw == 1 && c.dh == 1 && c.dw == 1 &&
         c.src.c % kWinogradChannels == 0 && c.dst.c % kWinogradChannels == 0 && c.src.c <= kMostChannels &&
         (c.dst.h + 1) / 2 * ((c.dst.w + 1) / 2) >= kLeastTiles;
}

std::unique_ptr<PreparedOp> MakeWinograd(const Convolution& convolution, int threads) {
  return std::make_unique<Winograd>(convolution, threads);
}

}  // namespace couplet::cpu::own
