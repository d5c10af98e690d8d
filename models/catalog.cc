// SPDX-License-Identifier: Apache-2.0
#include "models/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>

#include "loaders/files.h"
#include "loaders/hash.h"
#include "loaders/own_files.h"

namespace couplet {
namespace {

constexpr std::string_view kHttps = "https://storage.googleapis.com/download.tensorflow.org/";
constexpr std::string_view kHttp = "http://download.tensorflow.org/";

constexpr std::array<std::string_view, 4> kWidths = {"1.0", "0.75", "0.50", "0.25"};
constexpr std::array<std::string_view, 4> kSizes = {"224", "192", "160", "128"};

// SHA-256 and size of Google's files, as far as they are known; "" and 0 otherwise.
struct KnownFile {
  std::string_view name;
  std::string_view sha256;
  uint64_t bytes;
};
constexpr KnownFile kKnownArchives[] = {
    {"mobilenet_v1_0.25_128_frozen.tgz", "30af63cf9039861bc03f86c7b8092fab754d51b27f042830c456ddbfa2b72fce", 2617289},
    {"mobilenet_v1_0.25_224_frozen.tgz", "1cddeede49eb35af36061aaa66bf643b81f7ea89abc85f6ffef8f0bf00891756", 2621521},
};
constexpr KnownFile kKnownGraphs[] = {
    {"mobilenet_0.25_128", "76fec915bb13a76014a1863ff0976f848d8506388a76fe571e7b366541cc812f", 1998252},
    {"mobilenet_0.25_160", "45e57efffce7921acdbafc9c9e5cb660144a91908bf61e5753810a7424923f1e", 1998252},
    {"mobilenet_0.25_192", "1bc748dd780c677c59370659e5484e038e17b48de45520a54fc5cb9568198f29", 1998252},
    {"mobilenet_0.25_224", "bf56de7d43277493cbf251dc97e5ce3332725f2d134cf62418d666278f9b5ff7", 1998252},
    {"mobilenet_0.25_128_quantized", "221cd63ad56dec7eec4e1868f0009ccac6c0ce6c32bba57234c62987a9124ff7", 941805},
    {"mobilenet_0.25_160_quantized", "9dd991eefdfeadbe3d33355554416807aa5f2e1349bd927c9c2dc2c4b0d72fd1", 941805},
    {"mobilenet_0.25_192_quantized", "ce3850cbcde8ddb036da0fe16985d9c2ccb37f1a4f4c49b98b2ce774508022a9", 941805},
    {"mobilenet_0.25_224_quantized", "afd3860980c05c339d823c575f87b4cc54cc03ab151855809a59186ef719b0d7", 941805},
    {"mobilenet_0.50_160_quantized", "72e92a4b245384603dbad3359c72828fd1ed2ce76666b11b7f518d2a67b575b9", 1651524},
    {"mobilenet_0.50_224_quantized", "42eed25cc25407e8f11dcbbf7a089a9d12747ddd20599aaa9ba194a829e97653", 1651524},
    {"mobilenet_0.75_160_quantized", "4f4b12fbb684914f9296c6febb5ff671da09da80e431bd3031611b7c5608e9b2", 2969694},
    {"mobilenet_0.75_224_quantized", "5870f323860a793cce6a7d3a31b558535fe375528334ea0dfb23d5060b94a714", 2969694},
};
// The graph in weights/.
constexpr std::string_view kOwnName = "couplet_0.25_128";
constexpr KnownFile kOwnGraph = {
    "couplet_mobilenet_v1_0.25_128.pb", "5e0767f969b80c278742e9e9e7ccdf2ccf63467dc6f802121afb68c9c85a5bad", 1998252};
// As TensorFlow's own list of data sets publishes it.
constexpr KnownFile kFlowerPhotos = {
    "flower_photos.tgz", "4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c", 228813984};

template <size_t kCount>
KnownFile Known(const KnownFile (&files)[kCount], std::string_view name) {
  const auto* found = std::find_if(files, files + kCount, [&](const auto& file) { return file.name == name; });
  return found == files + kCount ? KnownFile{name, "", 0} : *found;
}

template <size_t kCount>
bool Contains(const std::array<std::string_view, kCount>& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

ModelSpec Inception() {
  ModelSpec spec;
  spec.architecture = "inception_v3";
  const std::string path = "models/image/imagenet/inception-2015-12-05.tgz";
  spec.url = std::string(kHttps) + path;
  spec.http_url = std::string(kHttp) + path;
  spec.archive_name = "inception-2015-12-05.tgz";
  spec.graph_name = "classify_image_graph_def.pb";
  spec.input_layer = "Mul";
  spec.bottleneck_layer = "pool_3/_reshape";
  spec.input_size = 299;
  spec.features = 2048;
  spec.normalization = {128.0f, 128.0f, Normalization::Mode::kMultiply};
  return spec;
}

ModelSpec MobileNet(std::string_view width, std::string_view size, bool is_quantized) {
  ModelSpec spec;
  spec.architecture = fmt::format("mobilenet_{}_{}{}", width, size, is_quantized ? "_quantized" : "");
  spec.folder = fmt::format("mobilenet_v1_{}_{}", width, size);
  spec.archive_name = spec.folder + "_frozen.tgz";
  spec.url = fmt::format("{}models/{}", kHttps, spec.archive_name);
  spec.http_url = fmt::format("{}models/{}", kHttp, spec.archive_name);
  spec.graph_name = is_quantized ? "quantized_graph.pb" : "frozen_graph.pb";
  const KnownFile archive = Known(kKnownArchives, spec.archive_name);
  const KnownFile graph = Known(kKnownGraphs, spec.architecture);
  spec.archive_sha256 = archive.sha256;
  spec.archive_bytes = archive.bytes;
  spec.graph_sha256 = graph.sha256;
  spec.graph_bytes = graph.bytes;
  spec.input_layer = "input";
  spec.bottleneck_layer = "MobilenetV1/Predictions/Reshape";
  spec.input_size = std::stoi(std::string(size));
  spec.features = 1001;
  spec.normalization = {127.5f, 127.5f, Normalization::Mode::kMultiply};
  return spec;
}

ModelSpec OwnModel() {
  ModelSpec spec = MobileNet("0.25", "128", false);
  spec.architecture = kOwnName;
  spec.url = spec.http_url = spec.archive_name = spec.folder = spec.archive_sha256 = "";
  spec.archive_bytes = 0;
  spec.graph_name = kOwnGraph.name;
  spec.graph_sha256 = kOwnGraph.sha256;
  spec.graph_bytes = kOwnGraph.bytes;
  return spec;
}

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text)
    if (c == separator)
      parts.emplace_back();
    else
      parts.back() += c;
  return parts;
}

// The dims of what a layer multiplies with: a constant of floats, or of eight bits behind a Dequantize; Identities
// between are passed.
std::optional<std::vector<int64_t>> WeightDims(const GraphDef& graph, const std::string& layer) {
  const NodeView* node = graph.Find(layer);
  if (node == nullptr || node->inputs.size() < 2) return std::nullopt;
  node = graph.Find(node->inputs[1]);
  constexpr int kSteps = 4;
  for (int i = 0; i < kSteps && node != nullptr && (node->op == "Identity" || node->op == "Dequantize"); ++i)
    node = node->inputs.empty() ? nullptr : graph.Find(node->inputs[0]);
  if (node == nullptr || node->op != "Const") return std::nullopt;
  const auto value = graph.ConstValue(*node);
  return value.ok() ? std::optional(value->dims) : std::nullopt;
}

}  // namespace

Result<ModelSpec> FindModel(const std::string& architecture) {
  std::string name = architecture;
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (name == "inception_v3") return Inception();
  if (name == kOwnName) return OwnModel();
  constexpr std::string_view kWayOut = "there are inception_v3, mobilenet_<1.0|0.75|0.50|0.25>_<224|192|160|128>"
                                       "[_quantized] and couplet_0.25_128; any other graph goes with --model_file";
  const auto parts = Split(name, '_');
  if (parts[0] != "mobilenet" || parts.size() < 3 || parts.size() > 4)
    return BadInput(fmt::format("couldn't understand architecture name '{}': {}", architecture, kWayOut));
  if (!Contains(kWidths, parts[1]))
    return BadInput(fmt::format("the Mobilenet version should be '1.0', '0.75', '0.50', or '0.25', but found '{}' for "
                                "architecture '{}'", parts[1], architecture));
  if (!Contains(kSizes, parts[2]))
    return BadInput(fmt::format("the Mobilenet input size should be '224', '192', '160', or '128', but found '{}' for "
                                "architecture '{}'", parts[2], architecture));
  if (parts.size() == 4 && parts[3] != "quantized")
    return BadInput(fmt::format("couldn't understand architecture suffix '{}' for '{}': it is 'quantized' or nothing",
                                parts[3], architecture));
  return MobileNet(parts[1], parts[2], parts.size() == 4);
}

std::vector<std::string> ModelNames() {
  std::vector<std::string> names;
  for (const bool is_quantized : {false, true})
    for (const auto width : kWidths)
      for (const auto size : kSizes) names.push_back(MobileNet(width, size, is_quantized).architecture);
  names.push_back("inception_v3");
  names.emplace_back(kOwnName);
  return names;
}

ArchiveRequest RequestFor(const ModelSpec& spec, const std::string& model_dir, bool offline) {
  ArchiveRequest request;
  request.dir = model_dir;
  request.folder = spec.folder;
  request.archive_name = spec.archive_name;
  request.member = spec.graph_name;
  request.url = spec.url;
  request.http_url = spec.http_url;
  request.archive_sha256 = spec.archive_sha256;
  request.member_sha256 = spec.graph_sha256;
  request.advice = fmt::format("or take --architecture={}, which comes with Couplet, or a graph of yours with --model_file",
                               kOwnName);
  request.offline = offline;
  return request;
}

Result<std::string> ObtainGraph(const ModelSpec& spec, const ArchiveRequest& request, const ProgressFn& progress) {
  if (!spec.url.empty()) return ObtainModel(request, progress);
  COUPLET_ASSIGN_OR_RETURN(const std::string path, FindOwnFile(spec.graph_name));
  COUPLET_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(path, request.max_bytes));
  if (const std::string got = ToHex(Sha256(file->bytes())); got != spec.graph_sha256)
    return BadInput(fmt::format("{} has SHA-256 {}, the graph that comes with this version {}: it is damaged or another one; "
                                "give it with --model_file", path, got, spec.graph_sha256));
  return path;
}

Status CheckGraph(const ModelSpec& spec, const GraphDef& graph) {
  const auto other = [&](const std::string& what) {
    return BadInput(fmt::format("{} is not {}: {}; remove it to have it downloaded again, or give it with --model_file",
                                graph.path(), spec.architecture, what));
  };
  for (const auto& layer : {spec.input_layer, spec.bottleneck_layer})
    if (graph.Find(layer) == nullptr) return other(fmt::format("it has no node \"{}\"", layer));
  const bool is_mobilenet = spec.features == 1001;
  if (is_mobilenet) {
    const auto shape = GraphDef::AttrShape(*graph.Find(spec.input_layer), "shape");
    if (shape && shape->size() == 4 && (*shape)[1] != spec.input_size)
      return other(fmt::format("its photos are {} pixels wide", (*shape)[1]));
  }
  const std::string layer = is_mobilenet ? "MobilenetV1/Logits/Conv2d_1c_1x1/convolution" : "softmax/logits/MatMul";
  const auto dims = WeightDims(graph, layer);
  if (!dims) return other(fmt::format("it has no layer \"{}\" with weights", layer));
  int64_t rows = spec.features;  // of a matrix [rows, classes], or of a 1x1 convolution [1, 1, rows, classes]
  if (is_mobilenet) rows = std::lround(1024 * std::stod(Split(spec.architecture, '_')[1]));
  if (dims->size() < 2 || (*dims)[dims->size() - 2] != rows)
    return other(fmt::format("\"{}\" is not made for {} channels", layer, rows));
  return {};
}

ArchiveRequest FlowerPhotos(const std::string& dir) {
  ArchiveRequest request;
  request.dir = dir;
  request.archive_name = kFlowerPhotos.name;
  request.url = std::string(kHttps) + "example_images/flower_photos.tgz";
  request.http_url = std::string(kHttp) + "example_images/flower_photos.tgz";
  request.archive_sha256 = kFlowerPhotos.sha256;
  request.advice = "or name a folder or an address that has it in COUPLET_MIRROR";
  return request;
}

std::string ManifestText() {
  const auto text = [](const std::string& value) { return value.empty() ? "-" : value; };
  const auto number = [](uint64_t value) { return value == 0 ? "-" : std::to_string(value); };
  std::string lines = "name\turl\tarchive_sha256\tarchive_bytes\tgraph\tgraph_sha256\tgraph_bytes\tinput\tbottleneck\t"
                      "size\tfeatures\n";
  for (const auto& name : ModelNames()) {
    const ModelSpec spec = FindModel(name).value();
    const std::string graph = spec.folder.empty() ? spec.graph_name : spec.folder + "/" + spec.graph_name;
    lines += fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", name, text(spec.url), text(spec.archive_sha256),
                         number(spec.archive_bytes), graph, text(spec.graph_sha256), number(spec.graph_bytes),
                         spec.input_layer + ":0", spec.bottleneck_layer + ":0", spec.input_size, spec.features);
  }
  const ArchiveRequest photos = FlowerPhotos("");
  lines += fmt::format("flower_photos\t{}\t{}\t{}\t-\t-\t-\t-\t-\t-\t-\n", photos.url, photos.archive_sha256,
                       kFlowerPhotos.bytes);
  return lines;
}

}  // namespace couplet
