// Ops that work element by element or over channels, and those that only change a shape. Arithmetic with a
// constant a channel, and every batch norm, becomes an Affine layer.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "loaders/import_context.h"
#include "runtime/shape.h"

namespace couplet::import_tf {
namespace {

Result<Value> SameShapeLayer(ImportContext& context, const NodeView& node, const Value& src,
                             LayerAttrs attrs) {
  const Shape shape = context.shape(src);  // a copy: the layers move when one is added
  return context.AddLayer(node, {src.layer}, shape, src.rank, std::move(attrs));
}

// The constant `inputs[i]` as one number a channel of `src`; scalars are repeated.
Result<std::vector<float>> PerChannel(ImportContext& context, const NodeView& node, Inputs inputs, size_t i,
                                      const Value& src) {
  COUPLET_ASSIGN_OR_RETURN(const ConstTensor values, context.Floats(node, inputs, i));
  const std::vector<int64_t>& dims = values.dims();
  const size_t channels = static_cast<size_t>(context.shape(src).c);
  const bool scalar = values.count() == 1;
  const bool a_channel = !dims.empty() && dims.back() == context.shape(src).c && values.count() == channels;
  if ((!scalar && !a_channel) || dims.size() > static_cast<size_t>(src.rank))
    return context.Error(
        node, fmt::format("its constant of shape [{}] is neither one number nor one a channel of {}",
                          fmt::join(dims, ","), ToString(context.shape(src))));
  COUPLET_RETURN_IF_ERROR(context.Charge(node, channels));
  return scalar ? std::vector<float>(channels, values.at(0)) : values.ToVector();
}

// Which input of a two-sided op is the constant; both computed is refused.
Result<size_t> ConstantSide(const ImportContext& context, const NodeView& node, Inputs inputs) {
  if (inputs[0].is_constant()) return size_t{0};
  if (inputs[1].is_constant()) return size_t{1};
  return context.Error(
      node, fmt::format("joins two computed values ('{}' and '{}'); Couplet runs networks where one "
                        "side is a constant (no residual connections)",
                        node.inputs[0], node.inputs[1]));
}

// [c], as TensorFlow demands of a batch norm's parameters.
Result<ConstTensor> NormVector(const ImportContext& context, const NodeView& node, Inputs inputs, size_t i) {
  COUPLET_ASSIGN_OR_RETURN(ConstTensor vector, context.Floats(node, inputs, i, 1));
  const Shape& src = context.shape(inputs[0]);
  if (vector.dims()[0] != src.c)
    return context.Error(node, fmt::format("its input '{}' has {} values; {} has {} channels", node.inputs[i],
                                           vector.dims()[0], ToString(src), src.c));
  return vector;
}

struct NormInputs {
  size_t mean, variance, beta, gamma;  // positions
  bool use_gamma;
  float epsilon;
};
// scale = gamma / sqrt(variance + epsilon), offset = beta - mean * scale, in double as optimize_for_inference
// folds.
Result<Value> ImportNorm(ImportContext& context, const NodeView& node, Inputs inputs, const NormInputs& at) {
  COUPLET_ASSIGN_OR_RETURN(const ConstTensor mean, NormVector(context, node, inputs, at.mean));
  COUPLET_ASSIGN_OR_RETURN(const ConstTensor variance, NormVector(context, node, inputs, at.variance));
  COUPLET_ASSIGN_OR_RETURN(const ConstTensor beta, NormVector(context, node, inputs, at.beta));
  COUPLET_ASSIGN_OR_RETURN(const ConstTensor gamma, NormVector(context, node, inputs, at.gamma));
  COUPLET_RETURN_IF_ERROR(context.Charge(node, mean.count()));
  AffineAttrs affine{std::vector<float>(mean.count()), std::vector<float>(mean.count())};
  for (size_t c = 0; c < mean.count(); ++c) {
    double scale = 1.0 / std::sqrt(static_cast<double>(variance.at(c)) + static_cast<double>(at.epsilon));
    if (at.use_gamma) scale *= static_cast<double>(gamma.at(c));
    affine.scale[c] = static_cast<float>(scale);
    affine.offset[c] =
        static_cast<float>(static_cast<double>(beta.at(c)) - static_cast<double>(mean.at(c)) * scale);
    if (!context.options().allow_nonfinite &&
        !(std::isfinite(affine.scale[c]) && std::isfinite(affine.offset[c])))
      return context.Error(
          node, fmt::format("its parameters give a scale or offset that is not finite (channel {})", c));
  }
  return SameShapeLayer(context, node, inputs[0], std::move(affine));
}

// New per-photo shape of a Reshape to `dims`: the first one is the photos', whatever it says (Inception's
// file has 1).
std::optional<Shape> ReshapePhoto(const Shape& src, const std::vector<int64_t>& dims) {
  if ((dims.size() != 2 && dims.size() != 4) || (dims[0] != -1 && dims[0] != 1)) return std::nullopt;
  std::vector<int64_t> rest(dims.begin() + 1, dims.end());
  const auto free_dim = std::find(rest.begin(), rest.end(), -1);
  if (free_dim != rest.end()) {
    if (dims[0] == -1) return std::nullopt;
    *free_dim = 1;
    const std::optional<int64_t> known = ElementCount(rest);
    if (!known || *known == 0) return std::nullopt;
    *free_dim = src.per_image() / *known;
  }
  if (ElementCount(rest) != src.per_image()) return std::nullopt;
  if (rest.size() == 1) return Shape{1, 1, 1, static_cast<int>(rest[0])};
  return Shape{1, static_cast<int>(rest[0]), static_cast<int>(rest[1]), static_cast<int>(rest[2])};
}

Result<Value> ImportConcatOf(ImportContext& context, const NodeView& node, Inputs inputs, size_t axis_at) {
  if (!inputs[axis_at].is_constant()) return context.Error(node, "its axis is not a constant");
  COUPLET_ASSIGN_OR_RETURN(const std::vector<int64_t> axis, context.Integers(node, inputs, axis_at));
  std::vector<int> layers;
  Shape shape;
  int rank = 0;
  int64_t channels = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (i == axis_at) continue;
    if (inputs[i].is_constant())
      return context.Error(node, fmt::format("its input '{}' is a constant", node.inputs[i]));
    const Shape& src = context.shape(inputs[i]);
    if (layers.empty()) {
      shape = src;
      rank = inputs[i].rank;
    }
    if (src.h != shape.h || src.w != shape.w || inputs[i].rank != rank)
      return context.Error(node, fmt::format("joins {} and {}, which differ in more than channels",
                                             ToString(shape), ToString(src)));
    channels += src.c;  // at most 64 times 2^28
    layers.push_back(inputs[i].layer);
  }
  if (axis.size() != 1 || (axis[0] != rank - 1 && axis[0] != -1))
    return context.Error(node, "joins along another axis than channels");
  if (channels > kMaxElements)
    return context.Error(node, fmt::format("its output has {} channels", channels));
  shape.c = static_cast<int>(channels);
  return context.AddLayer(node, std::move(layers), shape, rank, ConcatAttrs{});
}

}  // namespace

Result<Value> ImportIdentity(ImportContext& context, const NodeView& node, Inputs inputs) {
  return SameShapeLayer(context, node, inputs[0], IdentityAttrs{});
}

Result<Value> ImportAdd(ImportContext& context, const NodeView& node, Inputs inputs) {
  COUPLET_ASSIGN_OR_RETURN(const size_t side, ConstantSide(context, node, inputs));
  COUPLET_ASSIGN_OR_RETURN(auto offset, PerChannel(context, node, inputs, side, inputs[1 - side]));
  return SameShapeLayer(context, node, inputs[1 - side], AffineAttrs{{}, std::move(offset)});
}

Result<Value> ImportSub(ImportContext& context, const NodeView& node, Inputs inputs) {
  COUPLET_ASSIGN_OR_RETURN(const size_t side, ConstantSide(context, node, inputs));
  COUPLET_ASSIGN_OR_RETURN(auto offset, PerChannel(context, node, inputs, side, inputs[1 - side]));
  if (side == 0) {  // constant - src
    std::vector<float> minus_one(offset.size(), -1.0f);
    return SameShapeLayer(context, node, inputs[1], AffineAttrs{std::move(minus_one), std::move(offset)});
  }
  for (float& value : offset) value = -value;
  return SameShapeLayer(context, node, inputs[0], AffineAttrs{{}, std::move(offset)});
}

Result<Value> ImportMul(ImportContext& context, const NodeView& node, Inputs inputs) {
  COUPLET_ASSIGN_OR_RETURN(const size_t side, ConstantSide(context, node, inputs));
  COUPLET_ASSIGN_OR_RETURN(auto scale, PerChannel(context, node, inputs, side, inputs[1 - side]));
  return SameShapeLayer(context, node, inputs[1 - side], AffineAttrs{std::move(scale), {}});
}

Result<Value> ImportBiasAdd(ImportContext& context, const NodeView& node, Inputs inputs) {
  COUPLET_RETURN_IF_ERROR(RequireNhwc(context, node));
  COUPLET_ASSIGN_OR_RETURN(const ConstTensor bias, NormVector(context, node, inputs, 1));
  COUPLET_RETURN_IF_ERROR(context.Charge(node, bias.count()));
  return SameShapeLayer(context, node, inputs[0], AffineAttrs{{}, bias.ToVector()});
}

Result<Value> ImportRelu(ImportContext& context, const NodeView& node, Inputs inputs) {
  return SameShapeLayer(context, node, inputs[0], ActivationAttrs{Activation::kRelu});
}
Result<Value> ImportRelu6(ImportContext& context, const NodeView& node, Inputs inputs) {
  return SameShapeLayer(context, node, inputs[0], ActivationAttrs{Activation::kRelu6});
}

Result<Value> ImportFusedBatchNorm(ImportContext& context, const NodeView& node, Inputs inputs) {
  COUPLET_RETURN_IF_ERROR(RequireNhwc(context, node));
  if (GraphDef::AttrBool(node, "is_training").value_or(false))
    return context.Error(
        node,
        "is in training mode, where photos of a batch influence each other: freeze the graph "
        "for inference");
  // x, scale, offset, mean, variance
  return ImportNorm(context, node, inputs,
                    {.mean = 3,
                     .variance = 4,
                     .beta = 2,
                     .gamma = 1,
                     .use_gamma = true,
                     .epsilon = GraphDef::AttrFloat(node, "epsilon").value_or(1e-4f)});
}

Result<Value> ImportGlobalBatchNorm(ImportContext& context, const NodeView& node, Inputs inputs) {
  const auto epsilon = GraphDef::AttrFloat(node, "variance_epsilon");
  const auto use_gamma = GraphDef::AttrBool(node, "scale_after_normalization");
  if (!epsilon || !use_gamma)
    return context.Error(node, "lacks variance_epsilon or scale_after_normalization");
  // t, m, v, beta, gamma
  return ImportNorm(
      context, node, inputs,
      {.mean = 1, .variance = 2, .beta = 3, .gamma = 4, .use_gamma = *use_gamma, .epsilon = *epsilon});
}

Result<Value> ImportMatMul(ImportContext& context, const NodeView& node, Inputs inputs) {
  if (GraphDef::AttrBool(node, "transpose_a").value_or(false))
    return context.Error(node, "transposes the photos (transpose_a)");
  if (inputs[0].rank != 2) return context.Error(node, "needs a matrix [n,c] as input, not a map [n,h,w,c]");
  COUPLET_ASSIGN_OR_RETURN(ConstTensor weights, context.Floats(node, inputs, 1, 2));
  if (GraphDef::AttrBool(node, "transpose_b").value_or(false)) {
    COUPLET_RETURN_IF_ERROR(context.Charge(node, weights.count()));
    const size_t rows = static_cast<size_t>(weights.dims()[0]), cols = static_cast<size_t>(weights.dims()[1]);
    std::vector<float> transposed(weights.count());
    for (size_t r = 0; r < rows; ++r)
      for (size_t c = 0; c < cols; ++c) transposed[c * rows + r] = weights.at(r * cols + c);
    weights = ConstTensor({weights.dims()[1], weights.dims()[0]}, std::move(transposed));
  }
  const Shape& src = context.shape(inputs[0]);
  if (weights.dims()[0] != src.c)
    return context.Error(node, fmt::format("its weights [{}] take {} values, its input has {}",
                                           fmt::join(weights.dims(), ","), weights.dims()[0], src.c));
  const Shape shape{1, 1, 1, static_cast<int>(weights.dims()[1])};
  FullyConnectedAttrs attrs{
      .weights = std::move(weights), .scale = {}, .bias = {}, .activation = Activation::kNone};
  return context.AddLayer(node, {inputs[0].layer}, shape, 2, std::move(attrs));
}

Result<Value> ImportSoftmax(ImportContext& context, const NodeView& node, Inputs inputs) {
  return SameShapeLayer(context, node, inputs[0], SoftmaxAttrs{});
}

Result<Value> ImportReshape(ImportContext& context, const NodeView& node, Inputs inputs) {
  COUPLET_ASSIGN_OR_RETURN(const std::vector<int64_t> dims, context.Integers(node, inputs, 1));
  const std::optional<Shape> shape = ReshapePhoto(context.shape(inputs[0]), dims);
  if (!shape)
    return context.Error(node,
                         fmt::format("cannot reshape {} to [{}] and keep photos apart (is the input size "
                                     "right?)",
                                     ToString(context.shape(inputs[0])), fmt::join(dims, ",")));
  return context.AddLayer(node, {inputs[0].layer}, *shape, static_cast<int>(dims.size()), IdentityAttrs{});
}

Result<Value> ImportSqueeze(ImportContext& context, const NodeView& node, Inputs inputs) {
  const Shape src = context.shape(inputs[0]);
  std::vector<int64_t> axes = GraphDef::AttrInts(node, "squeeze_dims").value_or(std::vector<int64_t>());
  for (int64_t& axis : axes)
    if (axis < 0) axis += inputs[0].rank;
  std::sort(axes.begin(), axes.end());
  if (inputs[0].rank != 4 || axes != std::vector<int64_t>{1, 2} || src.h != 1 || src.w != 1)
    return context.Error(node,
                         fmt::format("squeezes [{}] out of {}; Couplet takes height and width of 1 only (is "
                                     "the input size right?)",
                                     fmt::join(axes, ","), ToString(src)));
  return context.AddLayer(node, {inputs[0].layer}, {1, 1, 1, src.c}, 2, IdentityAttrs{});
}

Result<Value> ImportConcat(ImportContext& context, const NodeView& node, Inputs inputs) {
  return ImportConcatOf(context, node, inputs, 0);
}
Result<Value> ImportConcatV2(ImportContext& context, const NodeView& node, Inputs inputs) {
  return ImportConcatOf(context, node, inputs, inputs.size() - 1);
}

}  // namespace couplet::import_tf
