// The backbone that is shipped: what is known of it without a download, and that it has Google's layout.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "loaders/graphdef.h"
#include "loaders/import_tf.h"
#include "models/backbone.h"
#include "models/graph_facts.h"
#include "runtime/backend.h"
#include "runtime/graph_passes.h"
#include "runtime/session.h"
#include "tests/support/network.h"
#include "tests/support/test.h"

namespace couplet::test {
namespace {

const char* const kGraph = "weights/couplet_mobilenet_v1_0.25_128.pb";

GraphDef OpenGraph(const std::string& path) {
  auto def = GraphDef::Open(path);
  REQUIRE_MESSAGE(def.ok(), def.status().message());
  return std::move(def).value();
}

std::vector<float> Logits(const std::vector<float>& pixels, std::unique_ptr<Backend> backend = MakeCpuBackend()) {
  ImportOptions options = PhotoOptions("input", "MobilenetV1/Predictions/Reshape", 128, 127.5f, 127.5f, false);
  options.photos = false;
  auto graph = ImportGraph(OpenGraph(kGraph), options);
  REQUIRE_MESSAGE(graph.ok(), graph.status().message());
  auto session = Session::Create(Optimize(std::move(graph).value()), *backend, {});
  REQUIRE_MESSAGE(session.ok(), session.status().message());
  auto worker = (*session)->NewWorker();
  REQUIRE(worker.ok());
  std::vector<float> logits(1001);
  REQUIRE((*session)->RunPixels(**worker, pixels, logits).ok());
  return logits;
}

}  // namespace

TEST_CASE("default backbone: family, size and layers are read off the graph") {
  const GraphFacts facts = InspectGraph(OpenGraph(kGraph));
  CHECK(facts.family == GraphFacts::Family::kMobileNetV1);
  CHECK(facts.input_layer == "input");
  CHECK(facts.bottleneck_layer == "MobilenetV1/Predictions/Reshape");
  CHECK(facts.input_size == 128);
  CHECK(facts.normalization.mean == 127.5f);
  CHECK(facts.normalization.std == 127.5f);
}

TEST_CASE("default backbone: two pictures give two finite vectors, far apart") {
  std::vector<float> stripes(128 * 128 * 3), disc(stripes.size());
  for (int y = 0; y < 128; ++y)
    for (int x = 0; x < 128; ++x)
      for (int c = 0; c < 3; ++c) {
        const auto i = static_cast<size_t>((y * 128 + x) * 3 + c);
        stripes[i] = (x / 8 + c) % 2 == 0 ? 0.8f : -0.8f;
        disc[i] = std::hypot(x - 64, y - 64) < 40 ? (c == 0 ? 0.9f : -0.2f) : 0.1f;
      }
  const std::vector<float> a = Logits(stripes), b = Logits(disc);
  for (const float v : a) CHECK(std::isfinite(v));
  CHECK(RelativeL2(a, b) > 0.3);
  CHECK(RelativeL2(a, b) < 10);
  // What bytes change is small beside what tells pictures apart. Without what goes to the bias it would be 0.5.
  for (const auto& pixels : {stripes, disc}) {
    const double error = RelativeL2(Logits(pixels, MakeInt8CpuBackend()), Logits(pixels));
    CHECK(error < 0.15);
    CHECK(error > 1e-4);
  }
}

TEST_CASE("default backbone: Google's nodes in Google's order, with values of its own") {
  COUPLET_NEEDS_SHARED(shared);
  const GraphDef ours = OpenGraph(kGraph);
  const GraphDef google = OpenGraph(shared + "/models/mobilenet_v1_0.25_128/frozen_graph.pb");
  REQUIRE(ours.nodes().size() == google.nodes().size());
  int different = 0;
  for (size_t i = 0; i < ours.nodes().size(); ++i) {
    const NodeView &a = ours.nodes()[i], &b = google.nodes()[i];
    CHECK(a.name == b.name);
    CHECK(a.op == b.op);
    CHECK(a.inputs == b.inputs);
    if (!std::ranges::equal(a.raw, b.raw)) ++different;
  }
  CHECK(different == 27 * 5 + 2);  // weights, gamma, beta, mean and variance of 27 layers; weights, biases of the last
}

TEST_CASE("default backbone: vectors of other kernels are kept under another key, those of before under the one of before") {
  BackboneOptions options;
  options.model_file = kGraph;
  const auto backbone = Backbone::Open(options, {});
  REQUIRE_MESSAGE(backbone.ok(), backbone.status().message());
  std::set<std::string> precisions;
  for (const CpuKernels kernels : BuiltCpuKernels()) {
    const FeatureKey key = backbone->Key({}, *MakeCpuBackend(kernels));
    CHECK((key.precision == "fp32") == (kernels == CpuKernels::kOneDnn));
    precisions.insert(key.precision);
  }
  precisions.insert(backbone->Key({}, *MakeInt8CpuBackend()).precision);
  CHECK(precisions.size() == BuiltCpuKernels().size() + 1);
}

}  // namespace couplet::test
