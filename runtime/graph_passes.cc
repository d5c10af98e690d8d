// SPDX-License-Identifier: Apache-2.0
#include "runtime/graph_passes.h"

#include <utility>

namespace couplet {

namespace {

// How many layers read each layer; being the output counts as one more.
std::vector<int> CountReaders(const Graph& graph) {
  std::vector<int> readers(graph.layers.size(), 0);
  for (const Layer& layer : graph.layers)
    for (const int source : layer.inputs) ++readers[source];
  if (graph.output >= 0) ++readers[graph.output];
  return readers;
}

// Keeps the layers with keep[i]; a dropped layer's readers read forward[i], an earlier layer that is kept.
Graph Compact(Graph graph, const std::vector<bool>& keep, const std::vector<int>& forward) {
  std::vector<int> moved(graph.layers.size(), -1);
  Graph out;
  for (size_t i = 0; i < graph.layers.size(); ++i) {
    if (!keep[i]) {
      if (forward[i] >= 0) moved[i] = moved[forward[i]];
      continue;
    }
    moved[i] = static_cast<int>(out.layers.size());
    for (int& source : graph.layers[i].inputs) source = moved[source];
    out.layers.push_back(std::move(graph.layers[i]));
  }
  if (graph.output >= 0) out.output = moved[graph.output];
  return out;
}

// Offers every layer with one source to fuse(layer, source) where nobody else reads that source. When it says
// true, the source has taken the layer in and carries its name, as the value is now the layer's.
template <class Fuse>
Graph FuseIntoSource(Graph graph, Fuse fuse) {
  const std::vector<int> readers = CountReaders(graph);
  std::vector<bool> keep(graph.layers.size(), true);
  std::vector<int> forward(graph.layers.size(), -1);
  for (size_t i = 0; i < graph.layers.size(); ++i) {
    Layer& layer = graph.layers[i];
    if (layer.inputs.size() != 1 || readers[layer.inputs[0]] != 1) continue;
    int source = layer.inputs[0];
    if (!keep[source]) source = forward[source];  // itself fused before: the layer that took it in
    Layer& before = graph.layers[source];
    if (before.shape != layer.shape || !fuse(layer, before)) continue;
    before.name = layer.name;
    keep[i] = false;
    forward[i] = source;
  }
  return Compact(std::move(graph), keep, forward);
}

// Calls visit(attrs) for the kinds with scale, bias and activation; false for the others.
template <class Visit>
bool VisitLinear(LayerAttrs& attrs, Visit visit) {
  if (auto* conv = std::get_if<ConvAttrs>(&attrs)) return visit(*conv);
  if (auto* depthwise = std::get_if<DepthwiseAttrs>(&attrs)) return visit(*depthwise);
  if (auto* connected = std::get_if<FullyConnectedAttrs>(&attrs)) return visit(*connected);
  return false;
}

// (y * scale + bias) * s + o, composed in double and rounded to float once a fold.
template <class Attrs>
void Compose(const AffineAttrs& affine, Attrs& linear) {
  if (!affine.scale.empty()) {
    if (linear.scale.empty())
      linear.scale = affine.scale;
    else
      for (size_t c = 0; c < linear.scale.size(); ++c)
        linear.scale[c] = static_cast<float>(double{linear.scale[c]} * affine.scale[c]);
  }
  if (linear.bias.empty()) {
    linear.bias = affine.offset;
    return;
  }
  for (size_t c = 0; c < linear.bias.size(); ++c) {
    const double scale = affine.scale.empty() ? 1.0 : affine.scale[c];
    const double offset = affine.offset.empty() ? 0.0 : affine.offset[c];
    linear.bias[c] = static_cast<float>(linear.bias[c] * scale + offset);
  }
}

// Pad widths a convolution can take over: no window may lie in the padding alone.
template <class Attrs>
bool AddPads(const Pads& extra, Attrs& conv) {
  const auto& dims = conv.weights.dims();
  const int64_t reach_h = (dims[0] - 1) * conv.dh + 1, reach_w = (dims[1] - 1) * conv.dw + 1;
  const Pads sum{conv.pads.top + extra.top, conv.pads.left + extra.left, conv.pads.bottom + extra.bottom,
                 conv.pads.right + extra.right};
  if (sum.top >= reach_h || sum.bottom >= reach_h || sum.left >= reach_w || sum.right >= reach_w)
    return false;
  conv.pads = sum;
  return true;
}

}  // namespace

Graph DropIdentity(Graph graph) {
  std::vector<bool> keep(graph.layers.size(), true);
  std::vector<int> forward(graph.layers.size(), -1);
  for (size_t i = 0; i < graph.layers.size(); ++i) {
    const Layer& layer = graph.layers[i];
    if (!std::holds_alternative<IdentityAttrs>(layer.attrs)) continue;
    int source = layer.inputs[0];
    if (!keep[source]) source = forward[source];
    // A reshape that moves elements between h, w and c stays: its readers need the new shape.
    if (graph.layers[source].shape != layer.shape) continue;
    if (static_cast<int>(i) == graph.output) {
      if (source == 0) continue;  // the input keeps its own name
      graph.layers[source].name = layer.name;
    }
    keep[i] = false;
    forward[i] = source;
  }
  return Compact(std::move(graph), keep, forward);
}

Graph FoldPad(Graph graph) {
  const std::vector<int> readers = CountReaders(graph);
  for (Layer& layer : graph.layers) {
    if (layer.inputs.size() != 1 || readers[layer.inputs[0]] != 1) continue;
    const Layer& before = graph.layers[layer.inputs[0]];
    const auto* pad = std::get_if<PadAttrs>(&before.attrs);
    if (pad == nullptr) continue;
    bool folded = false;
    if (auto* conv = std::get_if<ConvAttrs>(&layer.attrs)) folded = AddPads(pad->pads, *conv);
    if (auto* depthwise = std::get_if<DepthwiseAttrs>(&layer.attrs)) folded = AddPads(pad->pads, *depthwise);
    if (folded) layer.inputs = before.inputs;
  }
  return DropUnreachable(std::move(graph));
}

Graph FoldAffine(Graph graph) {
  return FuseIntoSource(std::move(graph), [](const Layer& layer, Layer& before) {
    const auto* affine = std::get_if<AffineAttrs>(&layer.attrs);
    if (affine == nullptr) return false;
    return VisitLinear(before.attrs, [&](auto& linear) {
      if (linear.activation != Activation::kNone) return false;
      Compose(*affine, linear);
      return true;
    });
  });
}

Graph FuseActivation(Graph graph) {
  return FuseIntoSource(std::move(graph), [](const Layer& layer, Layer& before) {
    const auto* activation = std::get_if<ActivationAttrs>(&layer.attrs);
    if (activation == nullptr) return false;
    return VisitLinear(before.attrs, [&](auto& linear) {
      if (linear.activation != Activation::kNone) return false;
      linear.activation = activation->activation;
      return true;
    });
  });
}

Graph DropUnreachable(Graph graph) {
  std::vector<bool> keep(graph.layers.size(), false);
  if (!keep.empty()) keep[0] = true;  // what is fed stays, needed or not
  if (graph.output >= 0) keep[graph.output] = true;
  for (size_t i = graph.layers.size(); i-- > 0;)
    if (keep[i])
      for (const int source : graph.layers[i].inputs) keep[source] = true;
  return Compact(std::move(graph), keep, std::vector<int>(keep.size(), -1));
}

Graph Optimize(Graph graph) {
  graph = DropUnreachable(std::move(graph));  // first: a reader nobody needs must not stop a fold
  graph = DropIdentity(std::move(graph));
  graph = FoldPad(std::move(graph));
  graph = FoldAffine(std::move(graph));
  return FuseActivation(std::move(graph));
}

}  // namespace couplet
