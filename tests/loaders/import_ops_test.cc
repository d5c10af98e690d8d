// What each row of the importer's table makes of its op.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/loaders/import_cases.h"

using namespace couplet;
using namespace couplet::test;

TEST_CASE("import: Conv2D with SAME padding: what is odd lies right and below") {
  ConvCase conv({3, 2, 3, 7});
  conv.node.Ints("strides", {1, 2, 1, 1});
  const auto* attrs = conv.Last<ConvAttrs>();
  REQUIRE(attrs != nullptr);
  CHECK(conv.shape() == Shape{1, 3, 5, 7});
  CHECK(attrs->pads == Pads{0, 0, 1, 1});  // height: (3-1)*2+3-6 = 1; width: (5-1)+2-5 = 1
  CHECK(attrs->sh == 2);
  CHECK(attrs->sw == 1);
  CHECK(attrs->dh == 1);
  CHECK(attrs->scale.empty());
  CHECK(attrs->bias.empty());
  CHECK(attrs->activation == Activation::kNone);
  CHECK(attrs->weights.dims() == std::vector<int64_t>{3, 2, 3, 7});
  CHECK(attrs->weights.at(125) == 63.0f);
}

TEST_CASE("import: SAME, VALID and EXPLICIT give TensorFlow's sizes and pads") {
  struct Case {
    int in, k, s, d;
    const char* padding;
    int out, before, after;
  };
  // Sizes of MobileNet and Inception, both parities, dilation, a stride beyond the window, a 1x1 map.
  const Case cases[] = {
      {224, 3, 2, 1, "SAME", 112, 0, 1},  {112, 3, 1, 1, "SAME", 112, 1, 1}, {113, 3, 2, 1, "SAME", 57, 1, 1},
      {299, 3, 2, 1, "VALID", 149, 0, 0}, {8, 5, 1, 1, "SAME", 8, 2, 2},     {7, 3, 1, 2, "SAME", 7, 2, 2},
      {7, 3, 1, 3, "VALID", 1, 0, 0},     {9, 2, 4, 1, "SAME", 3, 0, 1},     {10, 1, 3, 1, "SAME", 4, 0, 0},
      {1, 3, 2, 1, "SAME", 1, 1, 1},      {6, 3, 2, 1, "EXPLICIT", 3, 1, 0}, {4, 4, 2, 1, "VALID", 1, 0, 0}};
  for (const Case& c : cases) {
    CAPTURE(c.in);
    CAPTURE(c.padding);
    Tiny tiny;
    tiny.Ramp("w", {c.k, c.k, 3, 1});
    TinyNode node = tiny.Node("out", "Conv2D", {"input", "w"});
    node.Ints("strides", {1, c.s, c.s, 1}).Ints("dilations", {1, c.d, c.d, 1}).String("padding", c.padding);
    if (std::string(c.padding) == "EXPLICIT")
      node.Ints("explicit_paddings", {0, 0, c.before, c.after, c.before, c.after, 0, 0});
    else
      node.Ints("explicit_paddings", {});
    const auto graph = tiny.Import(Options("out", c.in, c.in));
    REQUIRE_MESSAGE(graph.ok(), graph.status().message());
    const auto& attrs = std::get<ConvAttrs>(graph->layers[1].attrs);
    CHECK(graph->layers[1].shape == Shape{1, c.out, c.out, 1});
    CHECK(attrs.pads == Pads{c.before, c.before, c.after, c.after});
    CHECK(attrs.dh == c.d);
    CHECK(attrs.dw == c.d);
  }
}

TEST_CASE("import: convolutions whose attributes or shapes do not fit are refused") {
  SUBCASE("channels") {
    ConvCase conv({3, 3, 4, 8});
    conv.node.Ints("strides", {1, 1, 1, 1});
    CHECK(conv.error_without({"'out' (Conv2D)", "[3,3,4,8]", "4 channels", "1x6x5x3"}) == "");
  }
  SUBCASE("rank of weights") {
    ConvCase conv({3, 3, 3});
    conv.node.Ints("strides", {1, 1, 1, 1});
    CHECK(conv.error_without({"'out'", "'w'", "[3,3,3]", "4 dimensions"}) == "");
  }
  SUBCASE("strides absent") {
    ConvCase conv({3, 3, 3, 1});
    CHECK(conv.error_without({"'out'", "strides"}) == "");
  }
  SUBCASE("strides of zero, below, beyond") {
    for (const int64_t bad : {int64_t{0}, int64_t{-1}, int64_t{65537}, INT64_MIN}) {
      ConvCase conv({3, 3, 3, 1});
      conv.node.Ints("strides", {1, bad, 1, 1});
      CHECK(conv.error_without({"'out'", "strides", std::to_string(bad)}) == "");
    }
  }
  SUBCASE("strides over photos or channels") {
    ConvCase conv({3, 3, 3, 1});
    conv.node.Ints("strides", {1, 1, 1, 2});
    CHECK(conv.error_without({"'out'", "[1,1,1,2]"}) == "");
  }
  SUBCASE("dilations of zero") {
    ConvCase conv({3, 3, 3, 1});
    conv.node.Ints("strides", {1, 1, 1, 1}).Ints("dilations", {1, 0, 1, 1});
    CHECK(conv.error_without({"'out'", "dilations"}) == "");
  }
  SUBCASE("a reach beyond any map") {
    ConvCase conv({3, 3, 3, 1});
    conv.node.Ints("strides", {1, 1, 1, 1}).Ints("dilations", {1, 65536, 65536, 1});
    CHECK(conv.error_without({"'out'", "reaches over 131073"}) == "");
  }
  SUBCASE("padding unknown") {
    ConvCase conv({3, 3, 3, 1}, "Conv2D", "FULL");
    conv.node.Ints("strides", {1, 1, 1, 1});
    CHECK(conv.error_without({"'out'", "'FULL'"}) == "");
    conv.node.String("padding", "A\nB\x1b");
    CHECK(conv.error_without({"'out'", "'A?B?'"}) == "");
  }
  SUBCASE("explicit padding of channels, negative, too short") {
    for (const auto& bad :
         {std::initializer_list<int64_t>{0, 0, 1, 1, 1, 1, 0, 1},
          std::initializer_list<int64_t>{0, 0, -1, 1, 1, 1, 0, 0}, std::initializer_list<int64_t>{1, 1}}) {
      ConvCase conv({3, 3, 3, 1}, "Conv2D", "EXPLICIT");
      conv.node.Ints("strides", {1, 1, 1, 1}).Ints("explicit_paddings", bad);
      CHECK(conv.error_without({"'out'", "explicit_paddings"}) == "");
    }
  }
  SUBCASE("a window larger than the map") {
    ConvCase conv({7, 3, 3, 1}, "Conv2D", "VALID");
    conv.node.Ints("strides", {1, 1, 1, 1});
    CHECK(conv.error_without({"'out'", "7x3", "1x6x5x3", "input size"}) == "");
  }
  SUBCASE("NCHW") {
    ConvCase conv({3, 3, 3, 1});
    conv.node.Ints("strides", {1, 1, 1, 1}).String("data_format", "NCHW");
    CHECK(conv.error_without({"'out'", "NCHW", "NHWC"}) == "");
  }
  SUBCASE("no output channels") {
    ConvCase conv({3, 3, 3, 0});
    conv.node.Ints("strides", {1, 1, 1, 1});
    CHECK(conv.error_without({"'out'", "1x6x5x0"}) == "");
  }
  SUBCASE("an output beyond the limit of elements") {
    Tiny tiny;
    tiny.Tensor("w", tf::DT_FLOAT, {1, 1, 3, 1 << 20}).add_float_val(1);
    tiny.Node("out", "Conv2D", {"input", "w"}).Ints("strides", {1, 1, 1, 1}).String("padding", "SAME");
    CHECK(NotTheLine(tiny.Import(Options("out", 100, 100)).status(), {"'out'", "1x100x100x1048576"}) == "");
  }
  SUBCASE("weights that are no floats") {
    Tiny tiny;
    tiny.Tensor("w", tf::DT_HALF, {1, 1, 3, 1}).set_tensor_content(std::string(6, '\0'));
    tiny.Node("out", "Conv2D", {"input", "w"}).Ints("strides", {1, 1, 1, 1}).String("padding", "SAME");
    CHECK(tiny.error_without({"'out'", "'w' is half"}) == "");
  }
}

TEST_CASE("import: DepthwiseConv2dNative keeps [kh, kw, ic, multiplier]") {
  ConvCase conv({3, 3, 3, 2}, "DepthwiseConv2dNative");
  conv.node.Ints("strides", {1, 2, 2, 1});
  const auto* attrs = conv.Last<DepthwiseAttrs>();
  REQUIRE(attrs != nullptr);
  CHECK(conv.shape() == Shape{1, 3, 3, 6});
  CHECK(attrs->pads == Pads{0, 1, 1, 1});
  CHECK(attrs->weights.dims() == std::vector<int64_t>{3, 3, 3, 2});
  ConvCase other({3, 3, 2, 1}, "DepthwiseConv2dNative");
  other.node.Ints("strides", {1, 1, 1, 1});
  CHECK(other.error_without({"'out' (DepthwiseConv2dNative)", "2 channels"}) == "");
}

TEST_CASE("import: pools") {
  PoolCase average("AvgPool");
  average.node.Ints("ksize", {1, 6, 5, 1}).Ints("strides", {1, 2, 2, 1}).String("padding", "VALID");
  const auto* attrs = average.Last<PoolAttrs>();
  REQUIRE(attrs != nullptr);
  CHECK(attrs->kind == PoolAttrs::Kind::kAverage);
  CHECK(attrs->kh == 6);
  CHECK(attrs->kw == 5);
  CHECK(average.shape() == Shape{1, 1, 1, 3});
  PoolCase max("MaxPool");
  max.node.Ints("ksize", {1, 3, 3, 1}).Ints("strides", {1, 2, 2, 1}).String("padding", "SAME");
  attrs = max.Last<PoolAttrs>();
  REQUIRE(attrs != nullptr);
  CHECK(attrs->kind == PoolAttrs::Kind::kMax);
  CHECK(attrs->pads == Pads{0, 1, 1, 1});
  CHECK(attrs->sh == 2);
  CHECK(max.shape() == Shape{1, 3, 3, 3});
  PoolCase channels("MaxPool");
  channels.node.Ints("ksize", {1, 1, 1, 3}).Ints("strides", {1, 1, 1, 3}).String("padding", "VALID");
  CHECK(channels.error_without({"'out' (MaxPool)", "ksize"}) == "");
  PoolCase padded("MaxPool");
  padded.node.Ints("ksize", {1, 2, 2, 1}).Ints("strides", {1, 1, 1, 1}).String("padding", "EXPLICIT");
  padded.node.Ints("explicit_paddings", {0, 0, 2, 0, 0, 0, 0, 0});
  CHECK(padded.error_without({"'out'", "as large as its window"}) == "");
}

TEST_CASE("import: Pad and Mean") {
  Tiny pad;
  pad.Int32s("p", {4, 2}, {0, 0, 1, 2, 3, 0, 0, 0});
  pad.Node("out", "Pad", {"input", "p"});
  const auto* attrs = pad.Last<PadAttrs>();
  REQUIRE(attrs != nullptr);
  CHECK(attrs->pads == Pads{1, 3, 2, 0});
  CHECK(pad.shape() == Shape{1, 9, 8, 3});
  Tiny channels;
  channels.Int32s("p", {4, 2}, {0, 0, 1, 2, 3, 0, 0, 1});
  channels.Node("out", "Pad", {"input", "p"});
  CHECK(channels.error_without({"'out' (Pad)", "paddings"}) == "");
  Tiny flat;
  flat.Int32s("p", {8}, {0, 0, 1, 2, 3, 0, 0, 0});
  flat.Node("out", "Pad", {"input", "p"});
  CHECK(flat.error_without({"'out' (Pad)", "[8]"}) == "");
  Tiny mean;
  mean.Int32s("axes", {2}, {-2, 1});
  mean.Node("out", "Mean", {"input", "axes"}).Bool("keep_dims", true);
  REQUIRE(mean.Last<GlobalAverageAttrs>() != nullptr);
  CHECK(mean.shape() == Shape{1, 1, 1, 3});
  Tiny other;
  other.Int32s("axes", {1}, {3});
  other.Node("out", "Mean", {"input", "axes"});
  CHECK(other.error_without({"'out' (Mean)", "axes"}) == "");
}

TEST_CASE("import: arithmetic with a constant a channel, or one for all, is Affine") {
  Tiny tiny;
  tiny.Floats("c", {3}, {1, 2, -3});
  tiny.Floats("wide", {1, 1, 1, 3}, {1, 2, -3});
  tiny.Floats("one", {}, {0.5f});
  const std::vector<float> c = {1, 2, -3}, minus_c = {-1, -2, 3}, half(3, 0.5f), none, minus(3, -1.0f);
  struct Case {
    const char *op, *a, *b;
    std::vector<float> scale, offset;
  };
  const Case cases[] = {{"Add", "input", "c", none, c},       {"Add", "c", "input", none, c},
                        {"AddV2", "input", "wide", none, c},  {"AddV2", "one", "input", none, half},
                        {"Mul", "input", "c", c, none},       {"Mul", "one", "input", half, none},
                        {"Sub", "input", "c", none, minus_c}, {"Sub", "c", "input", minus, c},
                        {"BiasAdd", "input", "c", none, c}};
  for (size_t i = 0; i < std::size(cases); ++i) {
    const Case& expected = cases[i];
    CAPTURE(i);
    const std::string name = fmt::format("out{}", i);
    tiny.Node(name, expected.op, {expected.a, expected.b});
    const auto* affine = tiny.Last<AffineAttrs>(name);
    REQUIRE(affine != nullptr);
    CHECK(affine->scale == expected.scale);
    CHECK(affine->offset == expected.offset);
    CHECK(tiny.shape() == Shape{1, 6, 5, 3});
  }
  tiny.Ramp("pixels", {1, 6, 5, 3});
  tiny.Ramp("four", {4});
  tiny.Ramp("rows", {3, 1});
  tiny.Ramp("five", {1, 1, 1, 1, 3});
  for (const char* bad : {"pixels", "four", "rows", "five"}) {
    CAPTURE(bad);
    const std::string name = fmt::format("bad_{}", bad);
    tiny.Node(name, "Mul", {"input", bad});
    CHECK(tiny.error_without({name, "(Mul)", "neither one number nor one a channel"}, name) == "");
  }
  // [1,1,1,3] would make four dimensions of two.
  MatrixCase matrix;
  matrix.Ramp("wide", {1, 1, 1, 3});
  matrix.Node("out", "Add", {"mean", "wide"});
  CHECK(matrix.error_without({"'out'", "[1,1,1,3]"}) == "");
}

TEST_CASE("import: activations, Identity and CheckNumerics") {
  Tiny tiny;
  tiny.Node("a", "Relu", {"input"});
  tiny.Node("b", "Relu6", {"a"});
  tiny.Node("c", "Identity", {"b"});
  tiny.Node("d", "CheckNumerics", {"c"});
  tiny.Node("out", "PlaceholderWithDefault", {"d"}).Shape("shape", {-1, 6, 5, 3});
  const auto graph = tiny.Import();
  REQUIRE(graph.ok());
  REQUIRE(graph->layers.size() == 6);
  CHECK(std::get<ActivationAttrs>(graph->layers[1].attrs).activation == Activation::kRelu);
  CHECK(std::get<ActivationAttrs>(graph->layers[2].attrs).activation == Activation::kRelu6);
  for (size_t i = 3; i < 6; ++i) CHECK(std::holds_alternative<IdentityAttrs>(graph->layers[i].attrs));
}

TEST_CASE("import: FusedBatchNorm of every version, epsilon 1e-4 when it does not say") {
  for (const char* op : {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"}) {
    CAPTURE(op);
    NormCase norm(op);
    norm.node.Float("epsilon", 0.001f).Bool("is_training", false);
    norm.Expect(static_cast<double>(0.001f), true);
  }
  NormCase silent("FusedBatchNorm");
  silent.Expect(static_cast<double>(1e-4f), true);
  NormCase training("FusedBatchNorm");
  training.node.Bool("is_training", true);
  CHECK(training.error_without({"'out' (FusedBatchNorm)", "training"}) == "");
  NormCase layout("FusedBatchNorm");
  layout.node.String("data_format", "NCHW");
  CHECK(layout.error_without({"'out'", "NCHW"}) == "");
}

TEST_CASE("import: BatchNormWithGlobalNormalization scales by gamma only where it says so") {
  for (const bool use_gamma : {false, true}) {
    NormCase norm("BatchNormWithGlobalNormalization");
    norm.node.Float("variance_epsilon", 0.001f).Bool("scale_after_normalization", use_gamma);
    norm.Expect(static_cast<double>(0.001f), use_gamma);
  }
  NormCase silent("BatchNormWithGlobalNormalization");
  CHECK(silent.error_without({"'out'", "variance_epsilon"}) == "");
}

TEST_CASE("import: batch norms whose parameters do not fit are refused") {
  NormCase norm("FusedBatchNorm");
  norm.proto.mutable_node(2)->mutable_attr()->clear();  // variance
  norm.proto.mutable_node(2)->set_op("Const");
  Tiny other;
  other.Floats("v", {2}, {1, 1});
  (*norm.proto.mutable_node(2)->mutable_attr()) = other.proto.node(1).attr();
  CHECK(norm.error_without({"'out'", "'variance' has 2 values", "3 channels"}) == "");
  Tiny negative;
  NormCase::Params(negative);
  negative.Floats("below", {3}, {1, -1, 1});
  negative.Node("out", "FusedBatchNorm", {"input", "gamma", "beta", "mean", "below"});
  CHECK(negative.error_without({"'out'", "not finite", "channel 1"}) == "");
}

TEST_CASE("import: MatMul, also with its weights transposed") {
  MatrixCase plain;
  plain.Ramp("w", {3, 2});
  plain.Node("out", "MatMul", {"mean", "w"}).Bool("transpose_a", false).Bool("transpose_b", false);
  const auto* attrs = plain.Last<FullyConnectedAttrs>();
  REQUIRE(attrs != nullptr);
  CHECK(plain.shape() == Shape{1, 1, 1, 2});
  CHECK(attrs->weights.ToVector() == std::vector<float>{0.5f, 1, 1.5f, 2, 2.5f, 3});
  MatrixCase turned;
  turned.Ramp("w", {2, 3});
  turned.Node("out", "MatMul", {"mean", "w"}).Bool("transpose_b", true);
  attrs = turned.Last<FullyConnectedAttrs>();
  REQUIRE(attrs != nullptr);
  CHECK(attrs->weights.dims() == std::vector<int64_t>{3, 2});
  CHECK(attrs->weights.ToVector() == std::vector<float>{0.5f, 2, 1, 2.5f, 1.5f, 3});
  MatrixCase wrong;
  wrong.Ramp("w", {2, 3});
  wrong.Node("out", "MatMul", {"mean", "w"});
  CHECK(wrong.error_without({"'out' (MatMul)", "[2,3]", "2 values", "3"}) == "");
  MatrixCase photos;
  photos.Ramp("w", {3, 3});
  photos.Node("out", "MatMul", {"mean", "w"}).Bool("transpose_a", true);
  CHECK(photos.error_without({"'out'", "transpose_a"}) == "");
  Tiny map;
  map.Ramp("w", {3, 3});
  map.Node("out", "MatMul", {"input", "w"});
  CHECK(map.error_without({"'out'", "matrix"}) == "");
}

TEST_CASE("import: Reshape and Squeeze where every photo keeps its elements in order") {
  struct Case {
    std::vector<int32_t> dims;
    Shape shape;  // c = 0: refused
  };
  const Case cases[] = {
      {{-1, 90}, {1, 1, 1, 90}},     {{1, 90}, {1, 1, 1, 90}},  // Inception's: the first is free
      {{1, -1}, {1, 1, 1, 90}},      {{-1, 5, 6, 3}, {1, 5, 6, 3}}, {{1, 1, -1, 3}, {1, 1, 30, 3}},
      {{-1, 45}, {1, 1, 1, 0}},      {{90}, {1, 1, 1, 0}},          {{-1}, {1, 1, 1, 0}},
      {{2, 45}, {1, 1, 1, 0}},       {{-1, -1}, {1, 1, 1, 0}},      {{1, -1, 0, 3}, {1, 1, 1, 0}},
      {{1, -1, 7, 3}, {1, 1, 1, 0}}, {{1, 30, 3}, {1, 1, 1, 0}}};
  for (const Case& expected : cases) {
    Tiny tiny;
    tiny.Int32s("shape", {static_cast<int64_t>(expected.dims.size())}, expected.dims);
    tiny.Node("out", "Reshape", {"input", "shape"});
    CAPTURE(fmt::format("{}", fmt::join(expected.dims, ",")));
    if (expected.shape.c == 0) {
      CHECK(tiny.error_without({"'out' (Reshape)", "1x6x5x3"}) == "");
    } else {
      CHECK(tiny.Last<IdentityAttrs>() != nullptr);
      CHECK(tiny.shape() == expected.shape);
    }
  }
  Tiny squeeze;
  squeeze.Node("pool", "AvgPool", {"input"}).Ints("ksize", {1, 6, 5, 1}).Ints("strides", {1, 1, 1, 1});
  TinyNode(squeeze.proto.mutable_node(1)).String("padding", "VALID");
  squeeze.Node("good", "Squeeze", {"pool"}).Ints("squeeze_dims", {-2, 1});
  squeeze.Node("photos_too", "Squeeze", {"pool"}).Ints("squeeze_dims", {});
  squeeze.Node("half", "Squeeze", {"pool"}).Ints("squeeze_dims", {1});
  squeeze.Node("map", "Squeeze", {"input"}).Ints("squeeze_dims", {1, 2});
  REQUIRE(squeeze.Last<IdentityAttrs>("good") != nullptr);
  CHECK(squeeze.shape() == Shape{1, 1, 1, 3});
  for (const char* bad : {"photos_too", "half", "map"})
    CHECK(squeeze.error_without({bad, "squeezes"}, bad) == "");
  // What was squeezed is a matrix.
  squeeze.Ramp("w", {3, 2});
  squeeze.Node("logits", "MatMul", {"good", "w"});
  squeeze.Node("out", "Softmax", {"logits"});
  CHECK(squeeze.Last<SoftmaxAttrs>() != nullptr);
}

TEST_CASE("import: Concat has its axis first, ConcatV2 last; channels only") {
  Tiny tiny;
  tiny.Int32s("axis", {}, {3});
  tiny.Int32s("last", {}, {-1});
  tiny.Int32s("rows", {}, {1});
  tiny.Ramp("w", {1, 1, 3, 4});
  tiny.Node("conv", "Conv2D", {"input", "w"}).Ints("strides", {1, 1, 1, 1}).String("padding", "SAME");
  tiny.Node("old", "Concat", {"axis", "input", "conv", "input"});
  tiny.Node("new", "ConcatV2", {"conv", "input", "last"});
  REQUIRE(tiny.Last<ConcatAttrs>("old") != nullptr);
  CHECK(tiny.shape() == Shape{1, 6, 5, 10});
  CHECK(tiny.kept.layers.back().inputs == std::vector<int>{0, 1, 0});
  REQUIRE(tiny.Last<ConcatAttrs>("new") != nullptr);
  CHECK(tiny.shape() == Shape{1, 6, 5, 7});
  CHECK(tiny.kept.layers.back().inputs == std::vector<int>{1, 0});
  tiny.Node("by_rows", "Concat", {"rows", "input", "conv"});
  CHECK(tiny.error_without({"'by_rows'", "axis"}, "by_rows") == "");
  tiny.Node("no_axis", "Concat", {"input", "conv"});
  CHECK(tiny.error_without({"'no_axis'", "axis is not a constant"}, "no_axis") == "");
  tiny.Node("constant", "Concat", {"axis", "input", "w"});
  CHECK(tiny.error_without({"'constant'", "'w' is a constant"}, "constant") == "");
  tiny.Node("float_axis", "Concat", {"w", "input"});
  CHECK(tiny.error_without({"'float_axis'", "'w' is float"}, "float_axis") == "");
  tiny.Node("small", "MaxPool", {"input"}).Ints("ksize", {1, 2, 2, 1}).Ints("strides", {1, 2, 2, 1});
  TinyNode(tiny.proto.mutable_node(tiny.proto.node_size() - 1)).String("padding", "SAME");
  tiny.Node("sizes", "Concat", {"axis", "input", "small"});
  CHECK(tiny.error_without({"'sizes'", "1x6x5x3", "1x3x3x3"}, "sizes") == "");
}
