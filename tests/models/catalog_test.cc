// SPDX-License-Identifier: Apache-2.0
#include "models/catalog.h"

#include <set>

#include "loaders/files.h"
#include "loaders/hash.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

TEST_CASE("catalog: thirty-two MobileNets, Inception and our own, each found by its name") {
  const auto names = ModelNames();
  CHECK(names.size() == 34);
  CHECK(std::set<std::string>(names.begin(), names.end()).size() == 34);
  for (const auto& name : names) {
    CAPTURE(name);
    const auto spec = FindModel(name);
    REQUIRE(spec.ok());
    CHECK(spec->architecture == name);
  }
}

TEST_CASE("catalog: what the codelab's architecture stands for") {
  const auto spec = FindModel("mobilenet_0.50_224");
  REQUIRE(spec.ok());
  CHECK(spec->url ==
        "https://storage.googleapis.com/download.tensorflow.org/models/mobilenet_v1_0.50_224_frozen.tgz");
  CHECK(spec->http_url == "http://download.tensorflow.org/models/mobilenet_v1_0.50_224_frozen.tgz");
  CHECK(spec->archive_name == "mobilenet_v1_0.50_224_frozen.tgz");
  CHECK(spec->folder == "mobilenet_v1_0.50_224");
  CHECK(spec->graph_name == "frozen_graph.pb");
  CHECK(spec->input_layer == "input");
  CHECK(spec->bottleneck_layer == "MobilenetV1/Predictions/Reshape");
  CHECK(spec->input_size == 224);
  CHECK(spec->features == 1001);
  CHECK(spec->normalization.mean == 127.5f);
  CHECK(spec->normalization.std == 127.5f);
  const auto quantized = FindModel("MobileNet_1.0_192_QUANTIZED");
  REQUIRE(quantized.ok());
  CHECK(quantized->architecture == "mobilenet_1.0_192_quantized");
  CHECK(quantized->archive_name == "mobilenet_v1_1.0_192_frozen.tgz");
  CHECK(quantized->graph_name == "quantized_graph.pb");
}

TEST_CASE("catalog: Inception of 2015") {
  const auto spec = FindModel("inception_v3");
  REQUIRE(spec.ok());
  CHECK(spec->url == "https://storage.googleapis.com/download.tensorflow.org/models/image/imagenet/"
                     "inception-2015-12-05.tgz");
  CHECK(spec->folder == "");
  CHECK(spec->graph_name == "classify_image_graph_def.pb");
  CHECK(spec->input_layer == "Mul");
  CHECK(spec->bottleneck_layer == "pool_3/_reshape");
  CHECK(spec->input_size == 299);
  CHECK(spec->features == 2048);
  CHECK(spec->normalization.mean == 128.0f);
}

TEST_CASE("catalog: a name that is none is told which part is wrong, in retrain.py's words") {
  const auto message = [](const std::string& name) {
    const auto spec = FindModel(name);
    CHECK(!spec.ok());
    CHECK(spec.status().code() == Code::kBadInput);
    return spec.status().message();
  };
  CHECK_HAS(message("resnet50"), "couldn't understand architecture name 'resnet50': there are inception_v3");
  CHECK_HAS(message("mobilenet_0.50"), "couldn't understand architecture name");
  CHECK_HAS(message(""), "couldn't understand architecture name ''");
  CHECK_HAS(message("mobilenet_0.50_224_quantized_x"), "couldn't understand architecture name");
  CHECK_HAS(message("mobilenet_0.5_224"), "but found '0.5' for architecture 'mobilenet_0.5_224'");
  CHECK_HAS(message("mobilenet_0.50_225"), "but found '225' for architecture");
  CHECK_HAS(message("mobilenet_0.50_224_quantised"), "architecture suffix 'quantised'");
}

TEST_CASE("catalog: the graph that comes with Couplet is found beside the programs, never in model_dir, nor downloaded") {
  const auto spec = FindModel("Couplet_0.25_128");
  REQUIRE(spec.ok());
  CHECK(spec->url == "");
  CHECK(spec->input_size == 128);
  const test::TempDir dir;
  ArchiveRequest request = RequestFor(*spec, dir / "models", /*offline=*/true);
  const auto path = ObtainGraph(*spec, request, {});
  REQUIRE_MESSAGE(path.ok(), path.status().message());
  CHECK(test::FileContents(*path) == test::FileContents("weights/couplet_mobilenet_v1_0.25_128.pb"));
  CHECK(!FileExists(dir / "models"));
  auto graph = GraphDef::Open(*path);
  REQUIRE(graph.ok());
  CHECK(CheckGraph(*spec, *graph).message() == "");
  auto other = *spec;
  other.graph_sha256[0] = other.graph_sha256[0] == '0' ? '1' : '0';
  const Status damaged = ObtainGraph(other, request, {}).status();
  CHECK(damaged.code() == Code::kBadInput);
  CHECK_HAS(damaged.message(), "it is damaged or another one; give it with --model_file");
}

TEST_CASE("catalog: weights/manifest.tsv says the same") {
  // build/fetch manifest > weights/manifest.tsv
  CHECK(test::FileContents("weights/manifest.tsv") == ManifestText());
}

TEST_CASE("catalog: the hashes are those of Google's files") {
  COUPLET_NEEDS_SHARED(shared);
  int compared = 0;
  const auto compare = [&](const std::string& path, const std::string& sha256, uint64_t bytes) {
    CAPTURE(path);
    if (!FileExists(path) || sha256.empty()) return;
    const auto file = MappedFile::Open(path, uint64_t{512} << 20);
    REQUIRE(file.ok());
    CHECK(ToHex(Sha256((*file)->bytes())) == sha256);
    CHECK((*file)->bytes().size() == bytes);
    ++compared;
  };
  for (const auto& name : ModelNames()) {
    const auto spec = FindModel(name).value();
    compare(JoinPath(shared, "models/" + spec.archive_name), spec.archive_sha256, spec.archive_bytes);
    compare(JoinPath(shared, "models/" + spec.folder + "/" + spec.graph_name), spec.graph_sha256, spec.graph_bytes);
  }
  CHECK(compared >= 14);
}

TEST_CASE("catalog: a graph is of its family, width and size, or is told apart") {
  COUPLET_NEEDS_SHARED(shared);
  const auto open = [&](const std::string& path) {
    auto graph = GraphDef::Open(JoinPath(shared, "models/" + path));
    REQUIRE_MESSAGE(graph.ok(), graph.status().message());
    return std::move(*graph);
  };
  const auto check = [](const std::string& name, const GraphDef& graph) {
    return CheckGraph(FindModel(name).value(), graph).message();
  };
  const auto quarter = open("mobilenet_v1_0.25_128/frozen_graph.pb");
  CHECK(check("mobilenet_0.25_128", quarter) == "");
  CHECK_HAS(check("mobilenet_0.25_160", quarter), "its photos are 128 pixels wide");
  CHECK_HAS(check("mobilenet_0.50_128", quarter), "is not made for 512 channels");
  CHECK_HAS(check("inception_v3", quarter), "it has no node \"Mul\"");
  const auto quantized = open("mobilenet_v1_0.50_224/quantized_graph.pb");
  CHECK(check("mobilenet_0.50_224_quantized", quantized) == "");
  CHECK_HAS(check("mobilenet_1.0_224_quantized", quantized), "is not made for 1024 channels");
  const auto inception = open("inception_2015/classify_image_graph_def.pb");
  CHECK(check("inception_v3", inception) == "");
  CHECK_HAS(check("mobilenet_0.25_128", inception), "it has no node");
}

}  // namespace
}  // namespace couplet
