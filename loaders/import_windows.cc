// Ops that look at a window of the map: convolutions, pools, explicit zeros, the mean over the whole map.
// TensorFlow's SAME and VALID become explicit pads here, from the size that really comes in
// (tensorflow/core/framework/kernel_shape_util.cc).
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "loaders/import_context.h"
#include "runtime/shape.h"

namespace couplet::import_tf {
namespace {

// Far above any real network; keeps every later sum of positions inside an int.
constexpr int64_t kMaxWindow = 1 << 16;

struct Window {
  int kh = 1, kw = 1, sh = 1, sw = 1, dh = 1, dw = 1;
  Pads pads;
  int oh = 0, ow = 0;
};

struct Axis {
  int64_t out, before, after;
};
// REQUIRES: in, kernel, stride, dilation in [1, 2^31), kernel and dilation <= kMaxWindow.
Axis SameAxis(int64_t in, int64_t kernel, int64_t stride, int64_t dilation) {
  const int64_t reach = (kernel - 1) * dilation + 1;
  const int64_t out = (in + stride - 1) / stride;
  const int64_t need = std::max<int64_t>(0, (out - 1) * stride + reach - in);
  return {out, need / 2, need - need / 2};
}
Axis PaddedAxis(int64_t in, int64_t kernel, int64_t stride, int64_t dilation, int64_t before, int64_t after) {
  const int64_t room = in + before + after - ((kernel - 1) * dilation + 1);
  return {room < 0 ? 0 : room / stride + 1, before, after};
}

// An attribute [1, h, w, 1]: both numbers, each in [1, kMaxWindow].
Result<std::pair<int, int>> HeightAndWidth(const ImportContext& context, const NodeView& node,
                                           const char* attr, bool required) {
  const auto list = GraphDef::AttrInts(node, attr);
  if (!list && !required) return std::pair{1, 1};
  if (!list || list->size() != 4)
    return context.Error(node, fmt::format("its attribute {} is not a list of 4 integers", attr));
  if ((*list)[0] != 1 || (*list)[3] != 1)
    return context.Error(
        node, fmt::format("its attribute {} is [{}]; Couplet steps over height and width only", attr,
                          fmt::join(*list, ",")));
  for (const int64_t value : {(*list)[1], (*list)[2]})
    if (value < 1 || value > kMaxWindow)
      return context.Error(node, fmt::format("its attribute {} is [{}]; each must lie within 1 and {}", attr,
                                             fmt::join(*list, ","), kMaxWindow));
  return std::pair{static_cast<int>((*list)[1]), static_cast<int>((*list)[2])};
}

Result<Pads> ExplicitPads(const ImportContext& context, const NodeView& node) {
  const auto list = GraphDef::AttrInts(node, "explicit_paddings");
  if (!list || list->size() != 8)
    return context.Error(node, "its padding is EXPLICIT but explicit_paddings is not a list of 8 integers");
  const std::vector<int64_t>& p = *list;  // n, h, w, c: before and after each
  if (p[0] != 0 || p[1] != 0 || p[6] != 0 || p[7] != 0 ||
      std::any_of(p.begin(), p.end(), [](int64_t pad) { return pad < 0 || pad > kMaxWindow; }))
    return context.Error(node, fmt::format("its explicit_paddings [{}] cannot be used", fmt::join(p, ",")));
  return Pads{static_cast<int>(p[2]), static_cast<int>(p[4]), static_cast<int>(p[3]), static_cast<int>(p[5])};
}

// strides, dilations and padding of a node whose kernel is kh x kw.
Result<Window> ReadWindow(const ImportContext& context, const NodeView& node, const Shape& src, int64_t kh,
                          int64_t kw) {
  COUPLET_RETURN_IF_ERROR(RequireNhwc(context, node));
  if (kh < 1 || kw < 1 || kh > kMaxWindow || kw > kMaxWindow)
    return context.Error(node, fmt::format("its window is {}x{}", kh, kw));
  COUPLET_ASSIGN_OR_RETURN(const auto strides, HeightAndWidth(context, node, "strides", true));
  COUPLET_ASSIGN_OR_RETURN(const auto dilations, HeightAndWidth(context, node, "dilations", false));
  for (const int64_t reach : {(kh - 1) * dilations.first + 1, (kw - 1) * dilations.second + 1})
    if (reach > kMaxWindow)
      return context.Error(
          node, fmt::format("its window reaches over {} positions; the limit is {}", reach, kMaxWindow));
  const std::string padding = GraphDef::AttrString(node, "padding").value_or("");
  Window window{.kh = static_cast<int>(kh),
                .kw = static_cast<int>(kw),
                .sh = strides.first,
                .sw = strides.second,
                .dh = dilations.first,
                .dw = dilations.second,
                .pads = {},
                .oh = 0,
                .ow = 0};
  Axis h{}, w{};
  if (padding == "SAME") {
    h = SameAxis(src.h, kh, window.sh, window.dh);
    w = SameAxis(src.w, kw, window.sw, window.dw);
  } else if (padding == "VALID" || padding == "EXPLICIT") {
    Pads pads;
    if (padding == "EXPLICIT") {
      COUPLET_ASSIGN_OR_RETURN(pads, ExplicitPads(context, node));
    }
    h = PaddedAxis(src.h, kh, window.sh, window.dh, pads.top, pads.bottom);
    w = PaddedAxis(src.w, kw, window.sw, window.dw, pads.left, pads.right);
  } else {
    return context.Error(
        node, fmt::format("its padding '{}' is none of SAME, VALID, EXPLICIT", Printable(padding)));
  }
  if (h.out < 1 || w.out < 1)
    return context.Error(node,
                         fmt::format("its window of {}x{} does not fit its input of {} (is the input size "
                                     "right?)",
                                     kh, kw, ToString(src)));
  window.pads = {static_cast<int>(h.before), static_cast<int>(w.before), static_cast<int>(h.after),
                 static_cast<int>(w.after)};
  window.oh = static_cast<int>(h.out);
  window.ow = static_cast<int>(w.out);
  return window;
}

Status RequireMap(const ImportContext& context, const NodeView& node, const Value& src) {
  return src.rank == 4 ? Status() : context.Error(node, "needs a map [n,h,w,c] as input, not a matrix [n,c]");
}

// [kh, kw, ic, x] whose ic is the input's.
Result<ConstTensor> Weights(const ImportContext& context, const NodeView& node, Inputs inputs) {
  COUPLET_RETURN_IF_ERROR(RequireMap(context, node, inputs[0]));
  COUPLET_ASSIGN_OR_RETURN(ConstTensor weights, context.Floats(node, inputs, 1, 4));
  const Shape& src = context.shape(inputs[0]);
  if (weights.dims()[2] != src.c)
    return context.Error(
        node, fmt::format("its weights [{}] take {} channels, its input {} has {}",
                          fmt::join(weights.dims(), ","), weights.dims()[2], ToString(src), src.c));
  return weights;
}

Result<Value> ImportPool(ImportContext& context, const NodeView& node, Inputs inputs, PoolAttrs::Kind kind) {
  COUPLET_RETURN_IF_ERROR(RequireMap(context, node, inputs[0]));
  const Shape& src = context.shape(inputs[0]);
  COUPLET_ASSIGN_OR_RETURN(const auto ksize, HeightAndWidth(context, node, "ksize", true));
  COUPLET_ASSIGN_OR_RETURN(const Window window, ReadWindow(context, node, src, ksize.first, ksize.second));
  if (window.dh != 1 || window.dw != 1) return context.Error(node, "a pool with dilations is not supported");
  // A window that lies in the padding alone would have no maximum and no mean.
  if (std::max(window.pads.top, window.pads.bottom) >= window.kh ||
      std::max(window.pads.left, window.pads.right) >= window.kw)
    return context.Error(node, "its padding is as large as its window");
  return context.AddLayer(node, {inputs[0].layer}, {1, window.oh, window.ow, src.c}, 4,
                          PoolAttrs{.kind = kind,
                                    .kh = window.kh,
                                    .kw = window.kw,
                                    .sh = window.sh,
                                    .sw = window.sw,
                                    .pads = window.pads});
}

}  // namespace

Status RequireNhwc(const ImportContext& context, const NodeView& node) {
  const std::string format = GraphDef::AttrString(node, "data_format").value_or("NHWC");
  if (format == "NHWC") return {};
  return context.Error(node,
                       fmt::format("its data_format is {}; Couplet takes NHWC only: freeze the graph for the "
                                   "CPU",
                                   Printable(format)));
}

Result<Value> ImportConv2D(ImportContext& context, const NodeView& node, Inputs inputs) {
  COUPLET_ASSIGN_OR_RETURN(ConstTensor weights, Weights(context, node, inputs));
  COUPLET_ASSIGN_OR_RETURN(const Window window, ReadWindow(context, node, context.shape(inputs[0]),
                                                           weights.dims()[0], weights.dims()[1]));
  const Shape shape{1, window.oh, window.ow, static_cast<int>(weights.dims()[3])};
  ConvAttrs attrs{.sh = window.sh,
                  .sw = window.sw,
                  .dh = window.dh,
                  .dw = window.dw,
                  .pads = window.pads,
                  .weights = std::move(weights),
                  .scale = {},
                  .bias = {},
                  .activation = Activation::kNone};
  return context.AddLayer(node, {inputs[0].layer}, shape, 4, std::move(attrs));
}

Result<Value> ImportDepthwise(ImportContext& context, const NodeView& node, Inputs inputs) {
  COUPLET_ASSIGN_OR_RETURN(ConstTensor weights, Weights(context, node, inputs));
  COUPLET_ASSIGN_OR_RETURN(const Window window, ReadWindow(context, node, context.shape(inputs[0]),
                                                           weights.dims()[0], weights.dims()[1]));
  const std::optional<int64_t> oc = ElementCount(std::span(weights.dims()).subspan(2));
  COUPLET_CHECK(oc);  // a part of a count that was checked
  const Shape shape{1, window.oh, window.ow, static_cast<int>(*oc)};
  DepthwiseAttrs attrs{.sh = window.sh,
                       .sw = window.sw,
                       .dh = window.dh,
                       .dw = window.dw,
                       .pads = window.pads,
                       .weights = std::move(weights),
                       .scale = {},
                       .bias = {},
                       .activation = Activation::kNone};
  return context.AddLayer(node, {inputs[0].layer}, shape, 4, std::move(attrs));
}

Result<Value> ImportAvgPool(ImportContext& context, const NodeView& node, Inputs inputs) {
  return ImportPool(context, node, inputs, PoolAttrs::Kind::kAverage);
}
Result<Value> ImportMaxPool(ImportContext& context, const NodeView& node, Inputs inputs) {
  return ImportPool(context, node, inputs, PoolAttrs::Kind::kMax);
}

Result<Value> ImportPad(ImportContext& context, const NodeView& node, Inputs inputs) {
  COUPLET_RETURN_IF_ERROR(RequireMap(context, node, inputs[0]));
  COUPLET_ASSIGN_OR_RETURN(const std::vector<int64_t> p, context.Integers(node, inputs, 1));  // [4, 2]
  const Constant& paddings = *inputs[1].constant;
  if (paddings.dims != std::vector<int64_t>{4, 2} || p[0] != 0 || p[1] != 0 || p[6] != 0 || p[7] != 0 ||
      std::any_of(p.begin(), p.end(), [](int64_t pad) { return pad < 0 || pad > kMaxWindow; }))
    return context.Error(
        node, fmt::format("its paddings [{}] of shape [{}] cannot be used (height and width only)",
                          fmt::join(p, ","), fmt::join(paddings.dims, ",")));
  const Pads pads{static_cast<int>(p[2]), static_cast<int>(p[4]), static_cast<int>(p[3]),
                  static_cast<int>(p[5])};
  Shape shape = context.shape(inputs[0]);  // below 2^28 each, so the sums fit
  shape.h += pads.top + pads.bottom;
  shape.w += pads.left + pads.right;
  return context.AddLayer(node, {inputs[0].layer}, shape, 4, PadAttrs{pads});
}

Result<Value> ImportMean(ImportContext& context, const NodeView& node, Inputs inputs) {
  COUPLET_RETURN_IF_ERROR(RequireMap(context, node, inputs[0]));
  COUPLET_ASSIGN_OR_RETURN(std::vector<int64_t> axes, context.Integers(node, inputs, 1));
  for (int64_t& axis : axes)
    if (axis < 0) axis += 4;
  std::sort(axes.begin(), axes.end());
  if (axes != std::vector<int64_t>{1, 2})
    return context.Error(node, "takes the mean over other axes than height and width");
  const int rank = GraphDef::AttrBool(node, "keep_dims").value_or(false) ? 4 : 2;
  return context.AddLayer(node, {inputs[0].layer}, {1, 1, 1, context.shape(inputs[0]).c}, rank,
                          GlobalAverageAttrs{});
}

}  // namespace couplet::import_tf
