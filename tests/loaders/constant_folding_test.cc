// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/loaders/import_cases.h"

using namespace couplet;
using namespace couplet::test;

namespace {
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
}

TEST_CASE("import: constants are folded in float32: the decomposed batch norm of MobileNet's files") {
  Tiny tiny;
  NormCase::Params(tiny);
  tiny.Floats("y", {}, {0.001f});
  tiny.Node("variance/read", "Identity", {"variance"});
  tiny.Node("add", "Add", {"variance/read", "y"});
  tiny.Node("rsqrt", "Rsqrt", {"add"});
  tiny.Node("mul", "Mul", {"rsqrt", "gamma"});
  tiny.Node("mul_1", "Mul", {"input", "mul"});
  tiny.Node("mul_2", "Mul", {"mean", "mul"});
  tiny.Node("sub", "Sub", {"beta", "mul_2"});
  tiny.Node("out", "Add", {"mul_1", "sub"});
  const auto graph = tiny.Import();
  REQUIRE(graph.ok());
  REQUIRE(graph->layers.size() == 3);
  const auto& scale = std::get<AffineAttrs>(graph->layers[1].attrs).scale;
  const auto& offset = std::get<AffineAttrs>(graph->layers[2].attrs).offset;
  const float mean[] = {1, -2, 0.5f}, variance[] = {4, 0.25f, 0}, beta[] = {0, 1, -1}, gamma[] = {2, 3, 0.5f};
  for (size_t c = 0; c < 3; ++c) {
    const float mul = 1.0f / std::sqrt(variance[c] + 0.001f) * gamma[c];
    CHECK(scale[c] == mul);
    CHECK(offset[c] == beta[c] - mean[c] * mul);
  }
}

TEST_CASE("import: constants broadcast as in numpy, and are reshaped") {
  Tiny tiny;
  tiny.Floats("column", {2, 1}, {1, 2});
  tiny.Floats("row", {3}, {10, 20, 30});
  tiny.Node("grid", "Sub", {"row", "column"});  // [2, 3]
  tiny.Int32s("to", {4}, {1, 1, -1, 2});
  tiny.Node("w", "Reshape", {"grid", "to"});
  tiny.Node("out", "Conv2D", {"input", "w"}).Ints("strides", {1, 1, 1, 1}).String("padding", "SAME");
  const auto* conv = tiny.Last<ConvAttrs>();
  REQUIRE(conv != nullptr);
  CHECK(conv->weights.dims() == std::vector<int64_t>{1, 1, 3, 2});
  CHECK(conv->weights.ToVector() == std::vector<float>{9, 19, 29, 8, 18, 28});
  tiny.Ramp("four", {4});
  tiny.Node("no_fit", "Mul", {"row", "four"});
  tiny.Node("bad", "Add", {"input", "no_fit"});
  CHECK(tiny.error_without({"'no_fit' (Mul)", "[3]", "[4]"}, "bad") == "");
  tiny.Int32s("to_five", {1}, {5});
  tiny.Node("bad_reshape", "Reshape", {"grid", "to_five"});
  tiny.Node("bad2", "Add", {"input", "bad_reshape"});
  CHECK(tiny.error_without({"'bad_reshape'", "[2,3]", "[5]"}, "bad2") == "");
}

TEST_CASE("import: Dequantize as TensorFlow: MIN_FIRST rounds the minimum to a step, MIN_COMBINED does not") {
  struct Case {
    const char* mode;
    tf::DataType dtype;
    float min, max;
  };
  const Case cases[] = {
      {"MIN_FIRST", tf::DT_QUINT8, -1.37f, 2.11f}, {"MIN_COMBINED", tf::DT_QUINT8, -1.37f, 2.11f},
      {"MIN_FIRST", tf::DT_QINT8, -0.3f, 0.9f},    {"MIN_COMBINED", tf::DT_QINT8, -0.3f, 0.9f},
      {"MIN_FIRST", tf::DT_QUINT8, 0.5f, 0.5f},    {"", tf::DT_QUINT8, -1.0f, 1.0f}};
  for (const Case& c : cases) {
    CAPTURE(c.mode);
    CAPTURE(c.min);
    Tiny tiny;
    tiny.Tensor("q", c.dtype, {3}).set_tensor_content(std::string("\x00\x7f\xff", 3));
    tiny.Tensor("min", tf::DT_FLOAT, {}).add_float_val(c.min);
    tiny.Tensor("max", tf::DT_FLOAT, {}).add_float_val(c.max);
    TinyNode node = tiny.Node("b", "Dequantize", {"q", "min", "max"}).Type("T", c.dtype);
    if (*c.mode != '\0') node.String("mode", c.mode);
    tiny.Node("out", "Add", {"input", "b"});
    const auto* affine = tiny.Last<AffineAttrs>();
    REQUIRE(affine != nullptr);
    const bool is_signed = c.dtype == tf::DT_QINT8;
    const float steps[] = {is_signed ? 128.0f : 0.0f, is_signed ? 255.0f : 127.0f,
                           is_signed ? 127.0f : 255.0f};
    const float scale = (c.max - c.min) / 255.0f;
    const bool rounded = std::string(c.mode) == "MIN_FIRST" && c.min != c.max;
    const float start = rounded ? std::round(c.min / scale) * scale : c.min;
    for (size_t i = 0; i < 3; ++i) CHECK(affine->offset[i] == steps[i] * scale + start);
  }
}

TEST_CASE("import: Dequantize refuses what has not eight bits or no range") {
  const auto error = [](tf::DataType dtype, int value, float min, float max, const char* mode,
                        std::initializer_list<std::string> parts) {
    Tiny tiny;
    tf::TensorProto& q = tiny.Tensor("q", dtype, {3});
    q.add_int_val(value);
    tiny.Floats("min", {}, {min});
    tiny.Floats("max", {}, {max});
    tiny.Node("b", "Dequantize", {"q", "min", "max"}).String("mode", mode).Type("T", tf::DT_QUINT8);
    tiny.Node("out", "Add", {"input", "b"});
    return tiny.error_without(parts);
  };
  CHECK(error(tf::DT_QUINT8, 256, 0, 1, "MIN_FIRST", {"'b' (Dequantize)", "256"}) == "");
  CHECK(error(tf::DT_QUINT8, -1, 0, 1, "MIN_FIRST", {"'b'", "-1"}) == "");
  CHECK(error(tf::DT_QINT8, 0, 0, 1, "MIN_FIRST", {"'b'", "quint8", "qint8"}) == "");
  CHECK(error(tf::DT_UINT8, 0, 0, 1, "MIN_FIRST", {"'b'", "neither"}) == "");
  CHECK(error(tf::DT_QUINT8, 0, 2, 1, "MIN_FIRST", {"'b'", "range"}) == "");
  CHECK(error(tf::DT_QUINT8, 0, 0, 1, "SCALED", {"'b'", "SCALED"}) == "");
}

TEST_CASE("import: weights that are not finite are refused by name, on the output's path only") {
  for (const float bad :
       {kNan, std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    Tiny tiny;
    tiny.Floats("spoilt", {3}, {1, bad, 1});
    tiny.Node("read", "Identity", {"spoilt"});
    tiny.Node("out", "Mul", {"input", "read"});
    tiny.Node("clean", "Relu", {"input"});
    CHECK(tiny.error_without({"tiny.pb", "'spoilt' (Const)", "not finite"}) == "");
    CHECK(tiny.Import("clean").ok());
    ImportOptions options = Options("out");
    options.allow_nonfinite = true;
    CHECK(tiny.Import(options).ok());
  }
  Tiny folded;
  folded.Floats("minus", {3}, {1, -1, 1});
  folded.Node("root", "Rsqrt", {"minus"});
  folded.Node("out", "Mul", {"input", "root"});
  CHECK(folded.error_without({"'root' (Rsqrt)", "not finite"}) == "");
}

TEST_CASE("import: of many weights that are not finite the first is named, before what an op says of them [threads]") {
  Tiny tiny;
  constexpr int64_t kCount = 1'100'000;
  for (const std::string name : {"a", "b", "c", "d"}) {
    std::vector<float> values(kCount, 0.5f);
    if (name != "a") values[name == "b" ? kCount - 1 : 0] = kNan;  // what is found first is not the first
    tiny.Floats(name, {kCount}, values);
  }
  tiny.Node("ab", "Add", {"a", "b"});
  tiny.Node("cd", "Add", {"c", "d"});
  tiny.Node("abcd", "Add", {"ab", "cd"});
  tiny.Node("out", "Mul", {"input", "abcd"});  // does not fit its channels
  ImportOptions options = Options("out");
  for (const int threads : {1, 4}) {
    options.threads = threads;
    CHECK(NotTheLine(tiny.Import(options).status(), {"'b' (Const)", "not finite"}) == "");
  }
}

TEST_CASE("import: a few bytes cannot stand for gigabytes of constants") {
  Tiny tiny;
  for (int i = 0; i < 3; ++i) {
    tiny.Tensor(fmt::format("c{}", i), tf::DT_FLOAT, {1 << 25}).add_float_val(1);
    tiny.Node(fmt::format("s{}", i), "Mul",
              {i == 0 ? "input" : fmt::format("s{}", i - 1), fmt::format("c{}", i)});
  }
  CHECK(tiny.error_without({"'s0'"}, "s2") == "");  // the first does not fit its channels
  Tiny sum;
  for (int i = 0; i < 3; ++i) sum.Tensor(fmt::format("c{}", i), tf::DT_FLOAT, {1 << 25}).add_float_val(1);
  sum.Node("d", "Add", {"c0", "c1"});
  sum.Node("out", "Mul", {"input", "d"});
  CHECK(sum.error_without({"'d' (Add)", "computed constants"}) == "");
}
