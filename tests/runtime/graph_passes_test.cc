// SPDX-License-Identifier: Apache-2.0
#include "runtime/graph_passes.h"

#include <cmath>

#include "tests/support/test.h"

using namespace couplet;

namespace {

// Builds small graphs in a line or two: Add() gives the new layer's index.
struct Builder {
  Graph graph;
  int Add(std::string name, std::vector<int> inputs, Shape shape, LayerAttrs attrs) {
    graph.layers.push_back({std::move(name), std::move(inputs), shape, std::move(attrs)});
    graph.output = static_cast<int>(graph.layers.size()) - 1;
    return graph.output;
  }
};

constexpr Shape kPlane{1, 4, 4, 2};

ConvAttrs Conv(int kh = 1, int kw = 1) {
  ConvAttrs attrs;
  attrs.weights = ConstTensor({kh, kw, 2, 2}, std::vector<float>(static_cast<size_t>(kh * kw) * 4, 1.0f));
  return attrs;
}
DepthwiseAttrs Depthwise(int kh = 1, int kw = 1) {
  DepthwiseAttrs attrs;
  attrs.weights = ConstTensor({kh, kw, 2, 1}, std::vector<float>(static_cast<size_t>(kh * kw) * 2, 1.0f));
  return attrs;
}
FullyConnectedAttrs Connected() {
  FullyConnectedAttrs attrs;
  attrs.weights = ConstTensor({2, 2}, std::vector<float>(4, 1.0f));
  return attrs;
}
AffineAttrs Scale(float a, float b) { return {{a, b}, {}}; }
AffineAttrs Offset(float a, float b) { return {{}, {a, b}}; }
ActivationAttrs Relu6() { return {Activation::kRelu6}; }

std::string Names(const Graph& graph) {
  std::string names;
  for (const Layer& layer : graph.layers) names += (names.empty() ? "" : " ") + layer.name;
  return names;
}

}  // namespace

TEST_CASE("passes: DropIdentity gives readers the source and the output its name") {
  Builder b;
  const int in = b.Add("in", {}, kPlane, InputAttrs{});
  const int i1 = b.Add("i1", {in}, kPlane, IdentityAttrs{});
  const int i2 = b.Add("i2", {i1}, kPlane, IdentityAttrs{});
  const int conv = b.Add("conv", {i2}, kPlane, Conv());
  const int cat = b.Add("cat", {conv, i1, conv}, {1, 4, 4, 6}, ConcatAttrs{});
  b.Add("out", {cat}, {1, 4, 4, 6}, IdentityAttrs{});
  const Graph g = DropIdentity(b.graph);
  CHECK(Names(g) == "in conv out");
  CHECK(g.output == 2);
  CHECK(std::holds_alternative<ConcatAttrs>(g.layers[2].attrs));
  CHECK(g.layers[1].inputs == std::vector<int>{0});
  CHECK(g.layers[2].inputs == std::vector<int>{1, 0, 1});
}

TEST_CASE("passes: DropIdentity keeps a reshape that moves elements, and an output that is the input") {
  Builder b;
  const int in = b.Add("in", {}, kPlane, InputAttrs{});
  b.Add("conv", {in}, kPlane, Conv());
  b.Add("flat", {1}, {1, 1, 1, 32}, IdentityAttrs{});
  CHECK(Names(DropIdentity(b.graph)) == "in conv flat");

  Builder only;
  only.Add("in", {}, kPlane, InputAttrs{});
  only.Add("out", {0}, kPlane, IdentityAttrs{});
  const Graph g = DropIdentity(only.graph);
  CHECK(Names(g) == "in out");
  CHECK(g.output == 1);
}

TEST_CASE("passes: FoldPad adds the pads to the one convolution that reads them") {
  for (const bool depthwise : {false, true}) {
    CAPTURE(depthwise);
    Builder b;
    const int in = b.Add("in", {}, kPlane, InputAttrs{});
    const int pad = b.Add("pad", {in}, {1, 5, 7, 2}, PadAttrs{{0, 1, 1, 2}});
    LayerAttrs attrs;
    if (depthwise) {
      DepthwiseAttrs d = Depthwise(3, 3);
      d.dw = 2;
      d.pads = {1, 0, 1, 1};
      attrs = d;
    } else {
      ConvAttrs c = Conv(3, 3);
      c.dw = 2;
      c.pads = {1, 0, 1, 1};
      attrs = c;
    }
    b.Add("conv", {pad}, kPlane, attrs);
    const Graph g = FoldPad(b.graph);
    CHECK(Names(g) == "in conv");
    CHECK(g.layers[1].inputs == std::vector<int>{0});
    const Pads want{1, 1, 2, 3};
    if (depthwise)
      CHECK(std::get<DepthwiseAttrs>(g.layers[1].attrs).pads == want);
    else
      CHECK(std::get<ConvAttrs>(g.layers[1].attrs).pads == want);
  }
}

TEST_CASE(
    "passes: FoldPad leaves a pad that something else reads, that is the output or that outgrows the "
    "kernel") {
  Builder shared;
  shared.Add("in", {}, kPlane, InputAttrs{});
  shared.Add("pad", {0}, {1, 6, 6, 2}, PadAttrs{{1, 1, 1, 1}});
  shared.Add("conv", {1}, kPlane, Conv(3, 3));
  shared.Add("cat", {1, 2}, kPlane, ConcatAttrs{});
  CHECK(Names(FoldPad(shared.graph)) == "in pad conv cat");

  Builder output;
  output.Add("in", {}, kPlane, InputAttrs{});
  output.Add("pad", {0}, {1, 6, 6, 2}, PadAttrs{{1, 1, 1, 1}});
  output.Add("conv", {1}, kPlane, Conv(3, 3));
  output.graph.output = 1;
  CHECK(Names(FoldPad(output.graph)) == "in pad");

  Builder wide;
  wide.Add("in", {}, kPlane, InputAttrs{});
  wide.Add("pad", {0}, {1, 6, 6, 2}, PadAttrs{{1, 1, 1, 1}});
  wide.Add("conv", {1}, {1, 6, 6, 2}, Conv(1, 1));
  CHECK(Names(FoldPad(wide.graph)) == "in pad conv");
}

TEST_CASE("passes: FoldAffine composes scales and offsets in double") {
  const LayerAttrs kinds[] = {Conv(), Depthwise(), Connected()};
  for (const LayerAttrs& kind : kinds) {
    CAPTURE(KindName(kind));
    Builder b;
    b.Add("in", {}, kPlane, InputAttrs{});
    b.Add("linear", {0}, kPlane, kind);
    b.Add("scale", {1}, kPlane, Scale(0.1f, 3.0f));
    b.Add("offset", {2}, kPlane, Offset(0.7f, -2.0f));
    b.Add("both", {3}, kPlane, AffineAttrs{{0.3f, 2.0f}, {0.9f, 1.0f}});
    const Graph g = FoldAffine(b.graph);
    CHECK(Names(g) == "in both");
    CHECK(g.output == 1);
    std::vector<float> scale, bias;
    if (const auto* c = std::get_if<ConvAttrs>(&g.layers[1].attrs)) scale = c->scale, bias = c->bias;
    if (const auto* d = std::get_if<DepthwiseAttrs>(&g.layers[1].attrs)) scale = d->scale, bias = d->bias;
    if (const auto* f = std::get_if<FullyConnectedAttrs>(&g.layers[1].attrs))
      scale = f->scale, bias = f->bias;
    CHECK(scale == std::vector<float>{static_cast<float>(double{0.1f} * double{0.3f}), 6.0f});
    CHECK(bias == std::vector<float>{static_cast<float>(double{0.7f} * double{0.3f} + double{0.9f}), -3.0f});
  }
}

TEST_CASE("passes: FoldAffine leaves a result that others read, an activation in between and lone affines") {
  Builder shared;
  shared.Add("in", {}, kPlane, InputAttrs{});
  shared.Add("conv", {0}, kPlane, Conv());
  shared.Add("scale", {1}, kPlane, Scale(2, 3));
  shared.Add("cat", {1, 2}, {1, 4, 4, 4}, ConcatAttrs{});
  CHECK(Names(FoldAffine(shared.graph)) == "in conv scale cat");

  Builder output;
  output.Add("in", {}, kPlane, InputAttrs{});
  output.Add("conv", {0}, kPlane, Conv());
  output.Add("scale", {1}, kPlane, Scale(2, 3));
  output.graph.output = 1;
  CHECK(Names(FoldAffine(output.graph)) == "in conv scale");

  Builder active;
  active.Add("in", {}, kPlane, InputAttrs{});
  ConvAttrs conv = Conv();
  conv.activation = Activation::kRelu;
  active.Add("conv", {0}, kPlane, conv);
  active.Add("scale", {1}, kPlane, Scale(2, 3));
  CHECK(Names(FoldAffine(active.graph)) == "in conv scale");

  Builder lone;
  lone.Add("in", {}, kPlane, InputAttrs{});
  lone.Add("scale", {0}, kPlane, Scale(2, 3));
  lone.Add("pool", {1}, kPlane, PoolAttrs{});
  lone.Add("offset", {2}, kPlane, Offset(2, 3));
  CHECK(Names(FoldAffine(lone.graph)) == "in scale pool offset");
}

TEST_CASE("passes: FuseActivation moves one activation into the layer before, never a second") {
  Builder b;
  b.Add("in", {}, kPlane, InputAttrs{});
  b.Add("conv", {0}, kPlane, Conv());
  b.Add("relu6", {1}, kPlane, Relu6());
  b.Add("relu", {2}, kPlane, ActivationAttrs{Activation::kRelu});
  b.Add("depthwise", {3}, kPlane, Depthwise());
  b.Add("relu6_b", {4}, kPlane, Relu6());
  b.Add("pool", {5}, kPlane, PoolAttrs{});
  b.Add("relu_c", {6}, kPlane, Relu6());
  const Graph g = FuseActivation(b.graph);
  CHECK(Names(g) == "in relu6 relu relu6_b pool relu_c");
  CHECK(std::get<ConvAttrs>(g.layers[1].attrs).activation == Activation::kRelu6);
  CHECK(std::get<DepthwiseAttrs>(g.layers[3].attrs).activation == Activation::kRelu6);
  CHECK(g.layers[3].inputs == std::vector<int>{2});
}

TEST_CASE("passes: FuseActivation leaves a value that is read before the activation") {
  Builder b;
  b.Add("in", {}, kPlane, InputAttrs{});
  b.Add("conv", {0}, kPlane, Conv());
  b.Add("relu6", {1}, kPlane, Relu6());
  b.Add("cat", {1, 2}, {1, 4, 4, 4}, ConcatAttrs{});
  CHECK(Names(FuseActivation(b.graph)) == "in conv relu6 cat");
}

TEST_CASE("passes: DropUnreachable keeps what the output needs, and the input") {
  Builder b;
  b.Add("in", {}, kPlane, InputAttrs{});
  b.Add("used", {0}, kPlane, Relu6());
  b.Add("unused", {1}, kPlane, Relu6());
  b.Add("out", {1}, kPlane, Relu6());
  b.Add("later", {3}, kPlane, Relu6());
  b.graph.output = 3;
  const Graph g = DropUnreachable(b.graph);
  CHECK(Names(g) == "in used out");
  CHECK(g.output == 2);
  CHECK(g.layers[2].inputs == std::vector<int>{1});
}

TEST_CASE(
    "passes: Optimize makes MobileNet's block two layers, and folds what only an unneeded layer blocked") {
  Builder b;
  b.Add("in", {}, kPlane, InputAttrs{});
  b.Add("dw", {0}, kPlane, Depthwise(3, 3));
  b.Add("dw/mul_1", {1}, kPlane, Scale(2, 3));
  b.Add("dw/add_1", {2}, kPlane, Offset(4, 5));
  b.Add("dw/Relu6", {3}, kPlane, Relu6());
  b.Add("pad", {4}, {1, 6, 6, 2}, PadAttrs{{1, 1, 1, 1}});
  b.Add("pw", {5}, kPlane, Conv(3, 3));
  b.Add("pw/check", {6}, kPlane, IdentityAttrs{});
  b.Add("pw/mul_1", {7}, kPlane, Scale(6, 7));
  b.Add("pw/add_1", {8}, kPlane, Offset(8, 9));
  b.Add("pw/Relu6", {9}, kPlane, Relu6());
  b.Add("unneeded", {5}, {1, 6, 6, 2}, Relu6());
  b.graph.output = 10;
  const Graph g = Optimize(b.graph);
  CHECK(Names(g) == "in dw/Relu6 pw/Relu6");
  CHECK(g.output == 2);
  const auto& pw = std::get<ConvAttrs>(g.layers[2].attrs);
  CHECK(pw.scale == std::vector<float>{6, 7});
  CHECK(pw.bias == std::vector<float>{8, 9});
  CHECK(pw.activation == Activation::kRelu6);
  CHECK(pw.pads == Pads{1, 1, 1, 1});
}

TEST_CASE("passes: Optimize puts the bias of a head into its FullyConnected") {
  Builder b;
  b.Add("in", {}, {1, 1, 1, 2}, InputAttrs{});
  b.Add("MatMul", {0}, {1, 1, 1, 2}, Connected());
  b.Add("add", {1}, {1, 1, 1, 2}, Offset(1, 2));
  b.Add("final_result", {2}, {1, 1, 1, 2}, SoftmaxAttrs{});
  const Graph g = Optimize(b.graph);
  CHECK(Names(g) == "in add final_result");
  CHECK(std::get<FullyConnectedAttrs>(g.layers[1].attrs).bias == std::vector<float>{1, 2});
  CHECK(Names(Optimize(g)) == Names(g));
}
