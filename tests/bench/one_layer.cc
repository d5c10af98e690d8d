// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/one_layer.h"

#include <cstdlib>

namespace couplet::bench {

Layer MakeLayer(const test::ConvShape& s) {
  const auto floats = [](int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 7 % 13) / 13.0f - 0.5f;
    return values;
  };
  const int64_t multiplier = s.depthwise ? 1 : s.oc;
  const ConstTensor weights({s.kh, s.kw, s.ic, multiplier}, floats(int64_t{s.kh} * s.kw * s.ic * multiplier));
  Layer layer;
  layer.name = s.name;
  layer.inputs = {0};
  layer.shape = {.n = 1, .h = s.oh(), .w = s.ow(), .c = s.oc};
  const auto fill = [&](auto attrs) {
    attrs.sh = s.sh, attrs.sw = s.sw, attrs.pads = s.pads;
    attrs.weights = weights, attrs.bias = floats(s.oc), attrs.activation = Activation::kRelu6;
    layer.attrs = attrs;
  };
  s.depthwise ? fill(DepthwiseAttrs()) : fill(ConvAttrs());
  return layer;
}

OneLayer::OneLayer(Backend& backend, const Layer& layer, const Shape& src) {
  auto op = backend.prepare(layer, std::span(&src, 1), {});
  if (!op.ok()) std::abort();
  op_ = std::move(*op);
  state_ = op_->make_state();
  auto scratch = backend.allocate(op_->scratch_bytes());
  auto from = backend.allocate(static_cast<size_t>(src.elements()) * sizeof(float));
  auto to = backend.allocate(static_cast<size_t>(layer.shape.elements()) * sizeof(float));
  if (!scratch.ok() || !from.ok() || !to.ok()) std::abort();
  scratch_ = std::move(*scratch), src_ = std::move(*from), dst_ = std::move(*to);
  for (int64_t i = 0; i < src.elements(); ++i) reinterpret_cast<float*>(src_.data())[i] = static_cast<float>(i % 11) / 11.0f;
}

void OneLayer::Run() const {
  const void* src = src_.data();
  if (!op_->run({.n = 1, .src = std::span(&src, 1), .dst = dst_.data(), .scratch = scratch_.data(), .state = state_.get()}).ok())
    std::abort();
}

}  // namespace couplet::bench
