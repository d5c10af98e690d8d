// The engine's own picture of a network: a list of layers in topological order, NHWC, float32. It knows nothing of
// TensorFlow or of files. A layer owns attributes only; memory belongs to the session that runs it.
// Vocabulary: src dst weights bias, n ic oc ih iw oh ow kh kw sh sw dh dw.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "kernels/activation.h"  // enum class Activation
#include "runtime/shape.h"
#include "runtime/tensor.h"

namespace couplet {

// TensorFlow's SAME is asymmetric, hence four.
struct Pads {
  int top = 0, left = 0, bottom = 0, right = 0;
  friend bool operator==(const Pads&, const Pads&) = default;
};

// How a byte becomes a float. kMultiply: (x - mean) * (1 / std), retrain.py's way; kDivide: (x - mean) / std,
// label_image.py's way. They differ in the last bit.
struct Normalization {
  enum class Mode { kMultiply, kDivide };
  float mean = 0.0f, std = 1.0f;
  Mode mode = Mode::kMultiply;
};

// First layer of a network that is fed with photos: legacy bilinear resize (align_corners = false,
// half_pixel_centers = false) to the layer's h x w, then normalisation. dst [n, h, w, 3].
struct PreprocessAttrs {
  Normalization normalization;
};
// First layer of a network that is fed with floats.
struct InputAttrs {};
// dst[n,oh,ow,oc] = activation(bias[oc] + scale[oc] * sum src * weights). Empty scale = 1, empty bias = 0: scale is
// a batch norm that was folded but not yet multiplied into the weights, which may lie in a mapped file; the backend
// does it while packing.
struct ConvAttrs {
  int sh = 1, sw = 1, dh = 1, dw = 1;
  Pads pads;
  ConstTensor weights;  // [kh, kw, ic, oc]
  std::vector<float> scale, bias;  // [oc] or empty
  Activation activation = Activation::kNone;
};
// As ConvAttrs, a channel at a time: oc = ic * multiplier, output channel ic_index * multiplier + m.
struct DepthwiseAttrs {
  int sh = 1, sw = 1, dh = 1, dw = 1;
  Pads pads;
  ConstTensor weights;  // [kh, kw, ic, multiplier]
  std::vector<float> scale, bias;  // [ic * multiplier] or empty
  Activation activation = Activation::kNone;
};
// dst[n,oc] = activation(bias + scale * src[n,ic] . weights)
struct FullyConnectedAttrs {
  ConstTensor weights;  // [ic, oc]
  std::vector<float> scale, bias;  // [oc] or empty
  Activation activation = Activation::kNone;
};
// dst = src * scale + offset, a channel at a time (Mul, Add, Sub, BiasAdd and every batch norm become this).
struct AffineAttrs {
  std::vector<float> scale, offset;  // [c] or empty
};
struct ActivationAttrs {
  Activation activation = Activation::kRelu;
};
// Padding never wins a maximum and is not counted in an average (TensorFlow's rule).
struct PoolAttrs {
  enum class Kind { kMax, kAverage };
  Kind kind = Kind::kMax;
  int kh = 1, kw = 1, sh = 1, sw = 1;
  Pads pads;
};
struct GlobalAverageAttrs {};  // mean over h and w
struct PadAttrs {
  Pads pads;  // zeros
};
struct ConcatAttrs {};    // along channels
struct SoftmaxAttrs {};   // over channels
struct IdentityAttrs {};  // same elements in the same order: Identity, CheckNumerics, Reshape, Squeeze

using LayerAttrs = std::variant<InputAttrs, PreprocessAttrs, ConvAttrs, DepthwiseAttrs, FullyConnectedAttrs,
                                AffineAttrs, ActivationAttrs, PoolAttrs, GlobalAverageAttrs, PadAttrs,
                                ConcatAttrs, SoftmaxAttrs, IdentityAttrs>;

struct Layer {
  std::string name;         // of the node whose value this layer computes (after fusion: the last one fused)
  std::vector<int> inputs;  // indices of earlier layers
  Shape shape;              // of dst, n = 1
  LayerAttrs attrs;
};

struct Graph {
  std::vector<Layer> layers;  // topological; layers[0] is the only input
  int output = -1;            // index of the wanted layer
};

const char* KindName(const LayerAttrs& attrs);  // "Conv", "Pool", ...
// Index of the layer with that name, -1 if there is none.
int FindLayer(const Graph& graph, const std::string& name);

}  // namespace couplet
