// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/prepare.h"

#include "kernels/first_conv.h"
#include "runtime/cuda/conv.h"
#include "runtime/cuda/gemm.h"
#include "runtime/cuda/preprocess_op.h"
#include "runtime/cuda/small_ops.h"
#include "runtime/layer_check.h"

namespace couplet::cuda {

bool IsProduct(const ConvAttrs& a) {
  return a.weights.dims()[0] == 1 && a.weights.dims()[1] == 1 && a.sh == 1 && a.sw == 1 && a.pads == Pads{};
}

bool IsFirstConv(const ConvAttrs& a, int oc) {
  const auto& dims = a.weights.dims();
  return dims[0] == 3 && dims[1] == 3 && dims[2] == 3 && a.sh == 2 && a.sw == 2 && a.dh == 1 && a.dw == 1 &&
         oc <= kFirstConvMaxChannels;
}

namespace {

class Preparer {
 public:
  Preparer(const Device& device, const Layer& layer, std::span<const Shape> src,
           const PrepareOptions& options)
      : device_(device), layer_(layer), src_(src), options_(options) {
    place_.layer = layer.name;
    place_.src = src.empty() ? Shape() : src[0];
    place_.src.n = 1;
    place_.dst = layer.shape;
    place_.stride = options.dst_stride;
  }

  OpResult operator()(const InputAttrs&) const { return Nothing(); }
  OpResult operator()(const PreprocessAttrs& a) const {
    return MakePreprocess(device_, layer_.name, layer_.shape, a.normalization, options_.max_batch);
  }
  OpResult operator()(const ConvAttrs& a) const {
    if (IsProduct(a)) return Product(a, int64_t{place_.dst.h} * place_.dst.w, place_.src.c);
    if (IsFirstConv(a, place_.dst.c))
      return MakeFirstConv(device_, place_, a.pads, Folded(a.weights, a.scale), a.bias, a.activation);
    return Convolution(a);
  }
  OpResult operator()(const DepthwiseAttrs& a) const {
    return MakeDepthwise(device_, place_, a, Folded(a.weights, a.scale), options_.clip_src);
  }
  OpResult operator()(const FullyConnectedAttrs& a) const {
    return Product(a, 1, static_cast<int>(place_.src.per_image()));
  }
  OpResult operator()(const AffineAttrs& a) const {
    return MakeAffine(device_, place_, a.scale, a.offset, Activation::kNone);
  }
  OpResult operator()(const ActivationAttrs& a) const {
    return MakeAffine(device_, place_, {}, {}, a.activation);
  }
  OpResult operator()(const PoolAttrs& a) const {
    return IsGlobalAverage(a, place_.src) ? MakeGlobalAverage(device_, place_, options_.clip_src)
                                          : MakePool(device_, place_, a);
  }
  OpResult operator()(const GlobalAverageAttrs&) const {
    return MakeGlobalAverage(device_, place_, options_.clip_src);
  }
  OpResult operator()(const PadAttrs& a) const { return MakePad(device_, place_, a.pads); }
  OpResult operator()(const ConcatAttrs&) const {
    std::vector<int> channels;
    for (const Shape& source : src_) channels.push_back(source.c);
    return MakeConcat(device_, place_, std::move(channels));
  }
  OpResult operator()(const SoftmaxAttrs&) const { return MakeSoftmax(device_, place_); }
  OpResult operator()(const IdentityAttrs&) const { return Nothing(); }

 private:
  // The session gives Input and Identity no work.
  OpResult Nothing() const {
    return MakeOp(device_, layer_.name, [](const RunArgs&, Worker&) { return Status(); });
  }
  template <class Attrs>
  OpResult Product(const Attrs& a, int64_t rows, int ic) const {
    GemmLayer gemm;
    gemm.layer = layer_.name;
    gemm.rows = rows;
    gemm.ic = ic;
    gemm.oc = place_.dst.c;
    gemm.dst_stride = options_.dst_stride;
    gemm.group = GroupOf(options_.max_batch);
    gemm.weights = Folded(a.weights, a.scale);
    gemm.bias = a.bias;
    gemm.activation = options_.leave_clip ? Activation::kRelu : a.activation;
    return MakeGemm(device_, gemm);
  }
  OpResult Convolution(const ConvAttrs& a) const {
    ConvLayer conv;
    conv.layer = layer_.name;
    conv.src = place_.src, conv.dst = place_.dst;
    conv.kh = static_cast<int>(a.weights.dims()[0]), conv.kw = static_cast<int>(a.weights.dims()[1]);
    conv.sh = a.sh, conv.sw = a.sw, conv.dh = a.dh, conv.dw = a.dw;
    conv.pads = a.pads;
    conv.dst_stride = options_.dst_stride;
    conv.max_batch = options_.max_batch;
    conv.weights = Folded(a.weights, a.scale);
    conv.bias = a.bias;
    conv.activation = a.activation;
    return MakeConv(device_, conv);
  }

  const Device& device_;
  const Layer& layer_;
  std::span<const Shape> src_;
  PrepareOptions options_;
  Place place_;
};

}  // namespace

OpResult PrepareLayer(const Device& device, const Layer& layer, std::span<const Shape> src,
                      const PrepareOptions& options) {
  return std::visit(Preparer(device, layer, src, options), layer.attrs);
}

bool LeavesClip(const Layer& layer) {
  if (const auto* conv = std::get_if<ConvAttrs>(&layer.attrs))
    return conv->activation == Activation::kRelu6 && IsProduct(*conv);
  const auto* full = std::get_if<FullyConnectedAttrs>(&layer.attrs);
  return full != nullptr && full->activation == Activation::kRelu6;
}

bool TakesClip(const Layer& layer, const Shape& src) {
  if (const auto* pool = std::get_if<PoolAttrs>(&layer.attrs)) return IsGlobalAverage(*pool, src);
  return std::holds_alternative<DepthwiseAttrs>(layer.attrs) ||
         std::holds_alternative<GlobalAverageAttrs>(layer.attrs);
}

bool WritesSlice(const Device& device, const Layer& layer, int at, int stride) {
  const bool kind =
      std::holds_alternative<ConvAttrs>(layer.attrs) || std::holds_alternative<DepthwiseAttrs>(layer.attrs) ||
      std::holds_alternative<PoolAttrs>(layer.attrs) || std::holds_alternative<AffineAttrs>(layer.attrs) ||
      std::holds_alternative<ActivationAttrs>(layer.attrs);
  // Vector accesses and cublasLt want 16 bytes.
  const size_t element = device.element_bytes();
  return kind && static_cast<size_t>(at) * element % 16 == 0 &&
         static_cast<size_t>(stride) * element % 16 == 0;
}

}  // namespace couplet::cuda
