// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/int8_convolution.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "runtime/cpu/int8_kernel.h"
#include "runtime/cpu/packed_weights.h"
#include "runtime/cpu/window_table.h"
#include "runtime/cpu/worker.h"
#include "runtime/planner.h"

namespace couplet::cpu::own {
namespace {

// Weights as bytes, a step for every channel of the result.
class Int8Weights {
 public:
  Int8Weights() = default;
  Int8Weights(const Panels& panels, size_t rows, int channels)
      : panels_(panels), bytes_(rows * static_cast<size_t>(panels.channels())), channels_(static_cast<size_t>(channels)),
        weights_(MakePacked<int8_t>(bytes_)), steps_(static_cast<size_t>(panels.channels())), sums_(steps_.size()) {
    std::fill_n(weights_.get(), bytes_, int8_t{0});
  }

  // most: [channels], the greatest magnitude of each.
  void set_most(const std::vector<float>& most) {
    inverses_.resize(channels_);
    for (size_t o = 0; o < channels_; ++o) {
      const Int8Grid grid = GridOf({.magnitude = std::bit_cast<uint32_t>(most[o]), .negative = true});
      steps_[o] = grid.step, inverses_[o] = grid.inverse;
    }
  }
  // Row `k` of the matrix; what its bytes lack is left in `row`.
  void set_row(size_t k, std::vector<float>& row) {
    const size_t rows = bytes_ / steps_.size();
    for (int panel = 0; panel < panels_.count; ++panel) {
      const size_t first = static_cast<size_t>(panels_.first(panel)), width = static_cast<size_t>(panels_.width(panel));
      int8_t* const to = weights_.get() + rows * first + k / kInt8Group * width * kInt8Group + k % kInt8Group;
      for (size_t o = first; o < std::min(first + width, channels_); ++o) {
        const auto weight = static_cast<int8_t>(std::bit_cast<int32_t>(row[o] * inverses_[o] + kInt8WholeNumbers));
        to[(o - first) * kInt8Group] = weight;
        sums_[o] += weight;
        row[o] -= static_cast<float>(weight) * steps_[o];
      }
    }
  }

  // `t` knows its sources; bias: [panels.channels()]; dst: its first pixel.
  void Run(Int8Panel t, const float* bias, float* dst) const {
    t.tile = panels_.tile;
    for (int panel = 0; panel < panels_.count; ++panel) {
      const size_t first = static_cast<size_t>(panels_.first(panel));
      t.width = panels_.width(panel);
      t.channels = std::min(t.width, static_cast<int>(channels_ - first));
      t.weights = weights_.get() + bytes_ / steps_.size() * first;
      t.weight_steps = steps_.data() + first, t.weight_sums = sums_.data() + first, t.bias = bias + first;
      t.dst = dst + first;
      RunInt8Panel(t);
    }
  }

 private:
  Panels panels_;
  size_t bytes_ = 0, channels_ = 0;
  PackedArray<int8_t> weights_;  // panel by panel, [rows / kInt8Group, width, kInt8Group]; zeros where there is no channel
  std::vector<float> steps_, inverses_;
  std::vector<int32_t> sums_;
};

// Rows of a picture that are worked on at once, dealt evenly: as few as have kLeast pixels.
struct Groups {
  static constexpr int kLeast = 512;
  Groups() = default;
  explicit Groups(const Shape& shape) : rows(shape.h), columns(shape.w), count(std::max(1, shape.h * shape.w / kLeast)) { count = std::min(count, rows); }
  int first(int group) const { return static_cast<int>(int64_t{rows} * group / count); }
  int most_pixels() const { return (rows + count - 1) / count * columns; }
  int rows = 0, columns = 0, count = 0;
};

// A pixel's result would be off by the sum of its values times what each weight lost as it became a byte. Values behind a ReLU have a
// mean, so most of that is the same for all pixels: their mean times what the weights lost, which goes to the bias. Where a pixel sees
// its own place alone, a group of rows has its own grid and mean, and is made bytes right before it is worked on. Else windows of one
// pixel see several rows, so all of a photo has one of each; what a window sees of the padding is then taken for the mean as well.
class Int8Convolution final : public PreparedOp {
 public:
  Int8Convolution(const Convolution& c, std::unique_ptr<Window3x3> before, int threads)
      : before_(std::move(before)), src_(c.src), dst_(c.dst), dst_stride_(c.dst_stride != 0 ? c.dst_stride : c.dst.c), lanes_(threads), segments_(c.kh * c.kw),
        length_(UpToGroup(c.src.c)), panels_(Int8PanelsFor(c.dst.c)), clamp_(ClampOf(c.activation)), windows_(c, length_), src_groups_(c.src),
        dst_groups_(c.dst), bias_(BiasOf(c, static_cast<size_t>(panels_.channels()))) {
    pointwise_ = IsPointwise(c);
    COUPLET_CHECK(pointwise_ || before_ == nullptr);
    const size_t pixels = static_cast<size_t>(src_groups_.most_pixels()), ic = static_cast<size_t>(src_.c);
    const size_t mean_bytes = Room::Of<float>(ic) + Room::Of<uint8_t>(static_cast<size_t>(length_)) + Room::Of<float>(bias_.size());
    if (pointwise_) {
      lane_bytes_ = (before_ != nullptr ? Room::Of<float>(pixels * ic) : 0) + Room::Of<uint8_t>(pixels * static_cast<size_t>(length_)) +
                    Room::Of<int32_t>(sums()) + mean_bytes;
    } else {
      const size_t groups = static_cast<size_t>(src_groups_.count);
      lane_bytes_ = AlignUp(windows_.bytes(dst_groups_.most_pixels()));
      photo_bytes_ = Room::Of<Int8Extent>(groups) + Room::Of<uint8_t>(static_cast<size_t>(int64_t{src_.h} * src_.w + 1) * static_cast<size_t>(length_)) +
                     Room::Of<int32_t>(groups * sums()) + mean_bytes;
    }
    Pack(c);
  }

  size_t scratch_bytes() const override { return photo_bytes_ + static_cast<size_t>(lanes_) * lane_bytes_; }

  Status run(const RunArgs& args) const override {
    pointwise_ ? RunGroups(args) : RunPhotos(args);
    return {};
  }

 private:
  // Takes what it hands out off the front of a stretch of scratch.
  struct Room {
    std::byte* at;
    template <class T>
    static size_t Of(size_t count) {
      return AlignUp(count * sizeof(T));
    }
    template <class T>
    T* take(size_t count) {
      T* const taken = reinterpret_cast<T*>(at);
      at += Of<T>(count);
      return taken;
    }
  };

  void Pack(const Convolution& c) {
    const size_t oc = static_cast<size_t>(dst_.c), ic = static_cast<size_t>(src_.c), taps = static_cast<size_t>(segments_);
    std::vector<float> row(oc), most(oc, 0.0f), lost(ic * oc, 0.0f);  // lost: by the weights of all taps together
    const auto load = [&](size_t r) {
      c.weights->copy_to(row.data(), r * oc, oc);
      if (!c.scale.empty())
        for (size_t o = 0; o < oc; ++o) row[o] *= c.scale[o];
    };
    const auto take_most = [&](const float* of) {
      for (size_t o = 0; o < oc; ++o) most[o] = std::max(most[o], std::fabs(of[o]));
    };
    weights_ = Int8Weights(panels_, taps * static_cast<size_t>(length_), dst_.c);
    for (size_t r = 0; r < taps * ic; ++r) load(r), take_most(row.data());
    weights_.set_most(most);
    for (size_t r = 0; r < taps * ic; ++r) {
      load(r);
      weights_.set_row(r / ic * static_cast<size_t>(length_) + r % ic, row);
      float* const sum = lost.data() + r % ic * oc;
      for (size_t o = 0; o < oc; ++o) sum[o] += row[o];
    }
    lost_ = Int8Weights(panels_, static_cast<size_t>(length_), dst_.c);
    std::fill(most.begin(), most.end(), 0.0f);
    for (size_t i = 0; i < ic; ++i) take_most(lost.data() + i * oc);
    lost_.set_most(most);
    for (size_t i = 0; i < ic; ++i) {
      std::copy_n(lost.data() + i * oc, oc, row.data());
      lost_.set_row(i, row);
    }
  }

  // As many as Quantize writes.
  size_t sums() const { return static_cast<size_t>(src_.c + kInt8Lanes - 1) / kInt8Lanes * kInt8Lanes; }

  // The bias for pixels whose bytes add up to `sums`, which are lost.
  const float* BiasFor(int32_t* sums, int pixels, const Int8Grid& grid, Room* room) const {
    if (pixels == 1) return bias_.data();
    auto* const mean = room->take<float>(static_cast<size_t>(src_.c));
    const float step = grid.step / static_cast<float>(pixels);
    for (int c = 0; c < src_.c; ++c) mean[c] = static_cast<float>(sums[c] - grid.zero * pixels) * step;
    auto* const bytes = room->take<uint8_t>(static_cast<size_t>(length_));
    auto* const bias = room->take<float>(bias_.size());
    const Int8Grid mean_grid = GridOf(ExtentOf(mean, static_cast<size_t>(src_.c)));
    Quantize(mean, 1, src_.c, mean_grid, bytes, sums);
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const uint8_t* const source = bytes;
    lost_.Run({.src = &source, .pixel_stride = static_cast<size_t>(length_), .pixels = 1, .segments = 1, .length = length_, .grid = mean_grid,
               .clamp = {-kInfinity, kInfinity}},
              bias_.data(), bias);
    return bias;
  }

  void RunGroups(const RunArgs& args) const {
    ForEachPiece(args.worker, lanes_, args.n * src_groups_.count, [&](int lane, int index) {
      const int photo = index / src_groups_.count, group = index % src_groups_.count;
      const int first = src_groups_.first(group), rows = src_groups_.first(group + 1) - first, pixels = rows * src_.w;
      Room room{Lane(args, lane)};
      const auto* src = static_cast<const float*>(args.src[0]);
      const size_t count = static_cast<size_t>(pixels) * static_cast<size_t>(src_.c);
      Int8Extent extent;
      if (before_ != nullptr) {
        auto* const values = room.take<float>(count);
        uint32_t greatest = 0;
        before_->RunRows({.src = src + photo * before_->src().per_image(), .src_first = 0, .src_rows = before_->src().h, .first = first, .count = rows,
                          .dst = values}, &greatest);
        src = values;
        extent = ExtentOf(src, count, greatest);
      } else {
        src += photo * src_.per_image() + int64_t{first} * src_.w * src_.c;
        extent = ExtentOf(src, count);
      }
      const Int8Grid grid = GridOf(extent);
      auto* const bytes = room.take<uint8_t>(static_cast<size_t>(pixels) * static_cast<size_t>(length_));
      auto* const group_sums = room.take<int32_t>(sums());
      Quantize(src, pixels, src_.c, grid, bytes, group_sums);
      const uint8_t* const source = bytes;
      weights_.Run({.src = &source, .pixel_stride = static_cast<size_t>(length_), .pixels = pixels, .segments = 1, .length = length_, .grid = grid,
                    .dst_stride = static_cast<size_t>(dst_stride_), .clamp = clamp_},
                   BiasFor(group_sums, pixels, grid, &room), static_cast<float*>(args.dst) + (int64_t{photo} * dst_.h + first) * dst_.w * dst_stride_);
    });
  }

  void RunPhotos(const RunArgs& args) const {
    const size_t groups = static_cast<size_t>(src_groups_.count);
    const auto* src = static_cast<const float*>(args.src[0]);
    auto* dst = static_cast<float*>(args.dst);
    for (int n = 0; n < args.n; ++n, src += src_.per_image(), dst += int64_t{dst_.h} * dst_.w * dst_stride_) {
      Room room{static_cast<std::byte*>(args.scratch)};
      auto* const extents = room.take<Int8Extent>(groups);
      auto* const all_sums = room.take<int32_t>(groups * sums());
      const auto group_of = [&](int g) { return src + int64_t{src_groups_.first(g)} * src_.w * src_.c; };
      const auto pixels_of = [&](int g) { return (src_groups_.first(g + 1) - src_groups_.first(g)) * src_.w; };
      ForEachPiece(args.worker, lanes_, src_groups_.count,
                   [&](int, int g) { extents[g] = ExtentOf(group_of(g), static_cast<size_t>(pixels_of(g)) * static_cast<size_t>(src_.c)); });
      Int8Extent all;
      for (size_t g = 0; g < groups; ++g)
        all = {.magnitude = std::max(all.magnitude, extents[g].magnitude), .negative = all.negative || extents[g].negative};
      const Int8Grid grid = GridOf(all);
      // A pixel of padding, then the photo.
      auto* const outside = room.take<uint8_t>(static_cast<size_t>(int64_t{src_.h} * src_.w + 1) * static_cast<size_t>(length_));
      std::fill_n(outside, length_, static_cast<uint8_t>(grid.zero));
      uint8_t* const bytes = outside + length_;
      ForEachPiece(args.worker, lanes_, src_groups_.count, [&](int, int g) {
        Quantize(group_of(g), pixels_of(g), src_.c, grid, bytes + int64_t{src_groups_.first(g)} * src_.w * length_,
                 all_sums + static_cast<size_t>(g) * sums());
      });
      for (size_t g = 1; g < groups; ++g)
        for (int c = 0; c < src_.c; ++c) all_sums[c] += all_sums[g * sums() + static_cast<size_t>(c)];
      const float* const bias = BiasFor(all_sums, src_.h * src_.w, grid, &room);
      ForEachPiece(args.worker, lanes_, dst_groups_.count, [&](int lane, int g) {
        const int first = dst_groups_.first(g) * dst_.w, end = dst_groups_.first(g + 1) * dst_.w;
        auto** const table = reinterpret_cast<const uint8_t**>(Lane(args, lane));
        windows_.Point(bytes, first, end - first, panels_.tile, outside, table);
        weights_.Run({.src = table, .pixels = end - first, .segments = segments_, .length = length_, .grid = grid,
                      .dst_stride = static_cast<size_t>(dst_stride_), .clamp = clamp_},
                     bias, dst + int64_t{first} * dst_stride_);
      });
    }
  }

  std::byte* Lane(const RunArgs& args, int lane) const {
    return static_cast<std::byte*>(args.scratch) + photo_bytes_ + static_cast<size_t>(lane) * lane_bytes_;
  }

  std::unique_ptr<Window3x3> before_;
  Shape src_, dst_;
  int dst_stride_;
  int lanes_;
  int segments_, length_;  // length: of a pixel in bytes
  Panels panels_;
  Clamp clamp_;
  WindowTable<uint8_t> windows_;
  Groups src_groups_, dst_groups_;
  bool pointwise_ = false;
  size_t photo_bytes_ = 0, lane_bytes_ = 0;
  Int8Weights weights_, lost_;
  std::vector<float> bias_;
};

}  // namespace

bool FitsInt8(const Convolution& c) {
  // With fewer channels making bytes takes what they save; more products might leave 32 bits.
  constexpr int kLeastChannels = 8, kMostProducts = std::numeric_limits<int32_t>::max() / (255 * 127 * 2);
  return !c.depthwise && c.src.c >= kLeastChannels && int64_t{c.kh} * c.kw * UpToGroup(c.src.c) <= kMostProducts;
}

std::unique_ptr<PreparedOp> MakeInt8Convolution(const Convolution& convolution, std::unique_ptr<Window3x3> before, int threads) {
  return std::make_unique<Int8Convolution>(convolution, std::move(before), threads);
}

}  // namespace couplet::cpu::own
