// Tiny graphs for the importer's tests, all fed at `input` with 6x5 photos of 3 channels.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "loaders/import_tf.h"
#include "tests/support/test.h"
#include "tests/support/tiny_graph.h"

namespace couplet::test {

inline ImportOptions Options(const std::string& output, int height = 6, int width = 5) {
  ImportOptions options;
  options.input_layer = "input";
  options.output_layer = output;
  options.input_height = height;
  options.input_width = width;
  options.photos = false;
  return options;
}

// A graph fed at `input`: 6x5 with 3 channels.
struct Tiny : TinyGraph {
  Tiny() { Placeholder(); }
  Result<Graph> Import(const ImportOptions& options) const {
    const auto def = Parse();
    if (!def.ok()) return def.status();
    return ImportGraph(*def, options);
  }
  Result<Graph> Import(const std::string& output = "out") const { return Import(Options(output)); }
  // The last layer's attributes; the graph is kept for as long as they are looked at.
  template <class Attrs>
  const Attrs* Last(const std::string& output = "out") {
    auto imported = Import(output);
    REQUIRE_MESSAGE(imported.ok(), imported.status().message());
    kept = *std::move(imported);
    return std::get_if<Attrs>(&kept.layers[static_cast<size_t>(kept.output)].attrs);
  }
  Shape shape() const { return kept.layers[static_cast<size_t>(kept.output)].shape; }
  std::string error_without(std::initializer_list<std::string> parts,
                            const std::string& output = "out") const {
    return NotTheLine(Import(output).status(), parts);
  }
  Graph kept;
};

struct ConvCase : Tiny {
  TinyNode node;
  explicit ConvCase(const std::vector<int64_t>& weights, const std::string& op = "Conv2D",
                    const std::string& padding = "SAME")
      : node(Build(weights, op, padding)) {}
  TinyNode Build(const std::vector<int64_t>& weights, const std::string& op, const std::string& padding) {
    Ramp("w", weights);
    TinyNode made = Node("out", op, {"input", "w"});
    made.String("padding", padding);
    return made;
  }
};

struct PoolCase : Tiny {
  TinyNode node;
  explicit PoolCase(const std::string& op) : node(Node("out", op, {"input"})) {}
};

// input -> Mean over the map -> [n, 3]
struct MatrixCase : Tiny {
  MatrixCase() {
    Int32s("axes", {2}, {1, 2});
    Node("mean", "Mean", {"input", "axes"});
  }
};

// A batch norm node over `input` with mean, variance, beta, gamma of three channels.
struct NormCase : Tiny {
  TinyNode node;
  explicit NormCase(const std::string& op)
      : node(Params(*this).Node(
            "out", op,
            op == "BatchNormWithGlobalNormalization"
                ? std::vector<std::string>{"input", "mean", "variance", "beta", "gamma"}
                : std::vector<std::string>{"input", "gamma", "beta", "mean", "variance"})) {}
  static Tiny& Params(Tiny& tiny) {
    tiny.Floats("mean", {3}, {1, -2, 0.5f});
    tiny.Floats("variance", {3}, {4, 0.25f, 0});
    tiny.Floats("beta", {3}, {0, 1, -1});
    tiny.Floats("gamma", {3}, {2, 3, 0.5f});
    return tiny;
  }
  // Checks scale and offset against the formula in double.
  void Expect(double epsilon, bool use_gamma) {
    const double mean[] = {1, -2, 0.5}, variance[] = {4, 0.25, 0}, beta[] = {0, 1, -1}, gamma[] = {2, 3, 0.5};
    const auto* affine = Last<AffineAttrs>();
    REQUIRE(affine != nullptr);
    REQUIRE(affine->scale.size() == 3);
    REQUIRE(affine->offset.size() == 3);
    for (size_t c = 0; c < 3; ++c) {
      const double scale = (use_gamma ? gamma[c] : 1.0) / std::sqrt(variance[c] + epsilon);
      CHECK(affine->scale[c] == doctest::Approx(scale).epsilon(1e-7));
      CHECK(affine->offset[c] == doctest::Approx(beta[c] - mean[c] * scale).epsilon(1e-7));
    }
  }
};

}  // namespace couplet::test
