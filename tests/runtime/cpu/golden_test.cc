// Whole networks against values that TensorFlow wrote: photos decoded, resized and run through real graphs.
// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

#include "loaders/files.h"
#include "loaders/graphdef.h"
#include "loaders/image.h"
#include "loaders/import_tf.h"
#include "models/graph_facts.h"
#include "runtime/graph_passes.h"
#include "runtime/session.h"
#include "tests/support/test.h"

using namespace couplet;
using namespace couplet::test;

namespace {

std::vector<float> ParseFloats(const std::string& text) {
  std::vector<float> values;
  std::stringstream stream(text);
  for (std::string field; std::getline(stream, field, ',');)
    values.push_back(std::strtof(field.c_str(), nullptr));
  return values;
}
std::vector<float> ReadBottleneck(const std::string& path) {
  std::ifstream file(path);
  return ParseFloats({std::istreambuf_iterator<char>(file), {}});
}

// A real graph up to `output` (its bottleneck when empty), with a backend and one worker.
struct Network {
  std::unique_ptr<Backend> backend = MakeCpuBackend();
  std::unique_ptr<Session> session;
  std::unique_ptr<Session::Worker> worker;

  Network(const std::string& path, std::string output, SessionOptions options) {
    const auto def = GraphDef::Open(path);
    REQUIRE_MESSAGE(def.ok(), def.status().message());
    const GraphFacts facts = InspectGraph(*def);
    if (output.empty()) output = facts.bottleneck_layer;
    auto graph = ImportGraph(*def, {.input_layer = facts.input_layer,
                                    .output_layer = output,
                                    .input_height = facts.input_size,
                                    .input_width = facts.input_size,
                                    .normalization = facts.normalization});
    REQUIRE_MESSAGE(graph.ok(), graph.status().message());
    auto made = Session::Create(Optimize(*std::move(graph)), *backend, options);
    REQUIRE_MESSAGE(made.ok(), made.status().message());
    session = *std::move(made);
    worker = *session->NewWorker();
  }

  std::vector<float> Run(const std::vector<std::string>& photos) {
    std::vector<uint8_t> bytes;
    std::vector<ImageEntry> entries;
    for (const std::string& path : photos) {
      std::vector<uint8_t> file;
      REQUIRE(ReadFile(path, 100 << 20, &file).ok());
      Image image;
      const Status status = DecodeImage(file, {.resize_rows = session->input_shape().h}, &image);
      REQUIRE_MESSAGE(status.ok(), status.message());
      entries.push_back(image.entry);
      entries.back().offset = bytes.size();
      bytes.insert(bytes.end(), image.pixels.begin(), image.pixels.end());
    }
    std::vector<float> vectors(photos.size() * static_cast<size_t>(session->output_size()));
    const Status status = session->Run(*worker, {bytes, entries}, vectors);
    REQUIRE_MESSAGE(status.ok(), status.message());
    return vectors;
  }
};

// Every value within 1e-4 of TensorFlow's.
void CheckClose(std::span<const float> got, const std::vector<float>& want, const std::string& what) {
  CAPTURE(what);
  REQUIRE(got.size() == want.size());
  float worst = 0.0f;
  int wrong = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const float error = std::fabs(got[i] - want[i]);
    if (!(error <= 1e-4f)) ++wrong;
    worst = std::max(worst, error);
  }
  CAPTURE(worst);
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("golden: MobileNet's bottlenecks are TensorFlow's, awkward photos included") {
  COUPLET_NEEDS_SHARED(shared);
  Network network(shared + "/models/mobilenet_v1_0.25_128/frozen_graph.pb", "", {.max_batch = 8});
  const std::string golden = shared + "/golden/tensorflow_bottlenecks/mobilenet_0.25_128/";
  std::vector<std::string> photos;
  const auto folders = ListDirectory(golden);
  REQUIRE(folders.ok());
  for (const std::string& folder : *folders) {
    const auto names = ListDirectory(golden + folder);
    REQUIRE(names.ok());
    for (const std::string& name : *names)
      if (name.ends_with(".jpg")) photos.push_back(golden + folder + "/" + name);
  }
  REQUIRE(photos.size() == 8);
  const std::vector<float> vectors = network.Run(photos);  // one batch, all sizes
  for (size_t i = 0; i < photos.size(); ++i)
    CheckClose(std::span(vectors).subspan(i * 1001, 1001),
               ReadBottleneck(photos[i] + "_mobilenet_0.25_128.txt"), photos[i]);
}

TEST_CASE("golden: Inception's bottlenecks are TensorFlow's, in batches too") {
  COUPLET_NEEDS_SHARED(shared);
  Network network(shared + "/models/inception_2015/classify_image_graph_def.pb", "", {.max_batch = 3});
  const std::string golden = shared + "/golden/inception_2015/";
  std::ifstream table(golden + "photos.tsv");
  std::vector<std::string> photos, vectors;
  std::string line;
  std::getline(table, line);
  REQUIRE(line == "golden\tclass\tphoto\tsha256");
  while (std::getline(table, line)) {
    std::stringstream fields(line);
    std::string vector, label, photo;
    std::getline(fields, vector, '\t');
    std::getline(fields, label, '\t');
    std::getline(fields, photo, '\t');
    photos.push_back(shared + "/" + photo.substr(0, photo.find(' ')));
    vectors.push_back(golden + vector);
  }
  REQUIRE(photos.size() == 6);
  for (size_t i = 0; i < (test::Sanitized() ? 3 : photos.size()); i += 3) {
    const std::vector<float> got =
        network.Run({photos.begin() + static_cast<long>(i), photos.begin() + static_cast<long>(i) + 3});
    for (size_t k = 0; k < 3; ++k)
      CheckClose(std::span(got).subspan(k * 2048, 2048), ReadBottleneck(vectors[i + k]), photos[i + k]);
    if (i != 0) continue;
    const std::vector<float> alone = network.Run({photos[1]});
    CHECK(std::memcmp(alone.data(), got.data() + 2048, 2048 * sizeof(float)) == 0);
  }
}

// First eight values, mean, deviation and extremes of every layer of the panda. The table's figures are
// relative to the layer's own size: 1e-4 of its largest magnitude.
TEST_CASE("golden: every layer of Inception agrees with TensorFlow's table") {
  COUPLET_NEEDS_SHARED(shared);
  Network network(shared + "/models/inception_2015/classify_image_graph_def.pb", "softmax",
                  {.keep_all = true});
  network.Run({shared + "/golden/inception_2015/cropped_panda.jpg"});
  std::ifstream table(shared + "/golden/inception_2015/layers.tsv");
  std::string line;
  std::getline(table, line);
  REQUIRE(line == "node\tshape\tmean\tstd\tmin\tmax\tfirst_8_values");
  int layers = 0;
  while (std::getline(table, line)) {
    std::stringstream fields(line);
    std::string name, shape, mean, deviation, low, high, first;
    for (std::string* field : {&name, &shape, &mean, &deviation, &low, &high, &first})
      std::getline(fields, *field, '\t');
    CAPTURE(name);
    // The one reshape among them is no work and no layer of an optimised graph.
    const int index = FindLayer(network.session->graph(), name == "pool_3/_reshape" ? "pool_3" : name);
    REQUIRE(index >= 0);
    const auto values = network.session->Output(*network.worker, index, 1);
    REQUIRE(values.ok());
    double sum = 0.0, squares = 0.0;
    float least = INFINITY, most = -INFINITY;
    for (const float value : *values) {
      sum += static_cast<double>(value);
      squares += static_cast<double>(value) * static_cast<double>(value);
      least = std::min(least, value);
      most = std::max(most, value);
    }
    const double count = static_cast<double>(values->size());
    const double tolerance = 1e-4 * static_cast<double>(std::max(std::fabs(least), std::fabs(most)));
    const auto close = [&](double got, const std::string& want) {
      return std::fabs(got - std::strtod(want.c_str(), nullptr)) <= tolerance;
    };
    CHECK(close(sum / count, mean));
    CHECK(close(std::sqrt(std::max(0.0, squares / count - sum / count * (sum / count))), deviation));
    CHECK(close(static_cast<double>(least), low));
    CHECK(close(static_cast<double>(most), high));
    const std::vector<float> eight = ParseFloats(first);
    REQUIRE(eight.size() == 8);
    for (size_t i = 0; i < 8; ++i)
      CHECK(std::fabs(static_cast<double>((*values)[i] - eight[i])) <= tolerance);
    ++layers;
  }
  CHECK(layers == 123);
}
