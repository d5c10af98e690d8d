// SPDX-License-Identifier: Apache-2.0
#include "runtime/layer_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace couplet {
namespace {

class Checker {
 public:
  Checker(const Layer& layer, std::span<const Shape> src) : layer_(layer), src_(src), dst_(layer.shape) {}

  Status operator()(const InputAttrs&) const { return {}; }
  Status operator()(const PreprocessAttrs& a) const {
    if (dst_.c != 3) return Unfit(fmt::format("a photo has 3 channels, the layer {}", dst_.c));
    if (!(a.normalization.std > 0.0f)) return Unfit(fmt::format("std is {}", a.normalization.std));
    return {};
  }
  Status operator()(const ConvAttrs& a) const {
    const auto& dims = a.weights.dims();
    if (dims.size() != 4 || dims[2] != src_[0].c || dims[3] != dst_.c) return UnfitWeights(a.weights);
    return CheckWindows(a);
  }
  Status operator()(const DepthwiseAttrs& a) const {
    const auto& dims = a.weights.dims();
    if (dims.size() != 4 || dims[2] != src_[0].c || CheckedMul(dims[2], dims[3]) != dst_.c)
      return UnfitWeights(a.weights);
    return CheckWindows(a);
  }
  Status operator()(const FullyConnectedAttrs& a) const {
    const auto& dims = a.weights.dims();
    if (dims.size() != 2 || dims[0] != src_[0].per_image() || dims[1] != dst_.per_image())
      return UnfitWeights(a.weights);
    return CheckChannels(a.scale, a.bias, "scale or bias is not one an output channel", dst_.per_image());
  }
  Status operator()(const AffineAttrs& a) const {
    if (src_[0].per_image() != dst_.per_image()) return Unfit("source and result differ in shape");
    return CheckChannels(a.scale, a.offset, "scale or offset is not one a channel", dst_.c);
  }
  Status operator()(const ActivationAttrs&) const { return SameSize("source and result differ in shape"); }
  Status operator()(const PoolAttrs& a) const {
    if (src_[0].c != dst_.c || !FitsWindow(a.kh, a.kw, a.sh, a.sw, 1, 1, a.pads)) return UnfitWindow();
    if (a.pads.top >= a.kh || a.pads.left >= a.kw || a.pads.bottom >= a.kh || a.pads.right >= a.kw)
      return Unfit("a window lies in the padding alone");
    return {};
  }
  Status operator()(const GlobalAverageAttrs&) const {
    if (dst_.per_image() != src_[0].c) return Unfit("the result is not one value a channel");
    return {};
  }
  Status operator()(const PadAttrs& a) const {
    if (src_[0].c != dst_.c || src_[0].h + a.pads.top + a.pads.bottom != dst_.h ||
        src_[0].w + a.pads.left + a.pads.right != dst_.w)
      return UnfitWindow();
    return {};
  }
  Status operator()(const ConcatAttrs&) const {
    int sum = 0;
    for (const Shape& s : src_) {
      if (s.h != dst_.h || s.w != dst_.w) return Unfit("the sources differ in height or width");
      sum += s.c;
    }
    if (sum != dst_.c) return Unfit(fmt::format("the sources have {} channels, the result {}", sum, dst_.c));
    return {};
  }
  Status operator()(const SoftmaxAttrs&) const { return SameSize("source and result differ in shape"); }
  Status operator()(const IdentityAttrs&) const { return SameSize("source and result differ in size"); }

  Status Unfit(std::string_view why) const {
    return BadInput(fmt::format("layer '{}' ({}): {}", layer_.name, KindName(layer_.attrs), why));
  }

 private:
  template <class Attrs>
  Status CheckWindows(const Attrs& a) const {
    const int kh = static_cast<int>(a.weights.dims()[0]), kw = static_cast<int>(a.weights.dims()[1]);
    if (!FitsWindow(kh, kw, a.sh, a.sw, a.dh, a.dw, a.pads)) return UnfitWindow();
    return CheckChannels(a.scale, a.bias, "scale or bias is not one an output channel", dst_.c);
  }
  Status CheckChannels(std::span<const float> scale, std::span<const float> offset, const char* why,
                       int64_t channels) const {
    for (const std::span<const float> values : {scale, offset})
      if (!values.empty() && static_cast<int64_t>(values.size()) != channels) return Unfit(why);
    return {};
  }
  bool FitsWindow(int kh, int kw, int sh, int sw, int dh, int dw, const Pads& pads) const {
    const auto fits = [](int in, int k, int stride, int dilation, int before, int after, int out) {
      const int64_t room = int64_t{in} + before + after - (int64_t{k} - 1) * dilation - 1;
      return k > 0 && stride > 0 && dilation > 0 && before >= 0 && after >= 0 && room >= 0 &&
             room / stride + 1 == out;
    };
    return fits(src_[0].h, kh, sh, dh, pads.top, pads.bottom, dst_.h) &&
           fits(src_[0].w, kw, sw, dw, pads.left, pads.right, dst_.w);
  }
  Status SameSize(const char* why) const {
    return src_[0].per_image() == dst_.per_image() ? Status() : Unfit(why);
  }
  Status UnfitWeights(const ConstTensor& weights) const {
    return Unfit(fmt::format("weights [{}] do not fit source {} and result {}",
                             fmt::join(weights.dims(), ","), ToString(src_[0]), ToString(dst_)));
  }
  Status UnfitWindow() const {
    return Unfit(
        fmt::format("kernel, strides and pads do not lead from {} to {}", ToString(src_[0]), ToString(dst_)));
  }

  const Layer& layer_;
  std::span<const Shape> src_;
  Shape dst_;
};

}  // namespace

Status CheckLayer(const Layer& layer, std::span<const Shape> src) {
  const bool source =
      std::holds_alternative<InputAttrs>(layer.attrs) || std::holds_alternative<PreprocessAttrs>(layer.attrs);
  if (src.empty() != source || (src.size() > 1 && !std::holds_alternative<ConcatAttrs>(layer.attrs)))
    return BadInput(
        fmt::format("layer '{}' ({}) has {} sources", layer.name, KindName(layer.attrs), src.size()));
  return std::visit(Checker(layer, src), layer.attrs);
}

bool IsGlobalAverage(const PoolAttrs& pool, const Shape& src) {
  return pool.kind == PoolAttrs::Kind::kAverage && pool.pads == Pads{} && pool.kh == src.h &&
         pool.kw == src.w;
}

}  // namespace couplet
