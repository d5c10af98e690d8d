// Each stage of our own code once on a small fixed case, for valgrind's callgrind to count instructions: a count does not care
// how busy the machine is. Kernels are compiled for several instruction sets; here they are held to AVX2, on one thread.
//   valgrind --tool=callgrind --instr-atstart=no --callgrind-out-file=DIR/counts build/tests/instructions TEMP
// leaves DIR/counts.N, one a stage, named in its "desc: Trigger" line (tests/check_instructions.sh reads them). Ends with 77
// on a processor without AVX2. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <valgrind/callgrind.h>

#include <cstring>
#include <functional>

#include "kernels/philox.h"
#include "loaders/bottleneck_store.h"
#include "loaders/event_file.h"
#include "loaders/files.h"
#include "loaders/image.h"
#include "loaders/image_list.h"
#include "models/backbone.h"
#include "models/classifier_head.h"
#include "models/feature_extractor.h"
#include "models/near_duplicates.h"
#include "runtime/backend.h"
#include "runtime/cpu/dispatch.h"
#include "runtime/cpu/preprocess.h"
#include "runtime/graph_passes.h"
#include "runtime/session.h"
#include "tests/bench/one_layer.h"
#include "tests/gpu/material.h"
#include "tests/support/graph_generator.h"
#include "tests/support/pictures.h"

namespace couplet::bench {
namespace {

using gpu::OrDie;

// Once before, so that what happens the first time only (tables, dynamic linking) is not counted.
void Count(const std::string& stage, const std::function<void()>& work) {
  work();
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
  work();
  CALLGRIND_STOP_INSTRUMENTATION;
  CALLGRIND_DUMP_STATS_AT(stage.c_str());
}

std::vector<float> Values(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i * 7 % 1013) / 1013.0f;
  return values;
}

void Photos() {
  const std::vector<uint8_t> jpeg = test::EncodeJpeg(test::MakePicture(300, 200, 1, 0.3), 300, 200);
  DecodeOptions options;
  options.resize_rows = 128;
  Image image;
  Count("decode a JPEG of 300 x 200", [&] { OrDie(DecodeImage(jpeg, options, &image)); });
  options.resize_rows = 20;
  Image few;
  Count("decode a JPEG of 300 x 200, rows for 20", [&] { OrDie(DecodeImage(jpeg, options, &few)); });
  std::vector<uint8_t> thumbnail;
  Count("thumbnail", [&] { OrDie(MakeThumbnail(image, 96, &thumbnail)); });
  const std::vector<uint8_t>& bytes = jpeg;
  Count("SHA-256 of a photo", [&] { Sha256(std::as_bytes(std::span(bytes))); });
  alignas(64) static char scratch[1 << 16];
  std::vector<float> pixels(128 * 128 * 3);
  COUPLET_CHECK(cpu::PreprocessScratchBytes(128) <= sizeof scratch);
  Count("preprocess to 128 x 128", [&] {
    OrDie(cpu::Preprocess({image.pixels, {&image.entry, 1}}, 0, 128, 128, {127.5f, 127.5f, {}}, scratch, pixels.data()));
  });
}

void CountLayer(Backend& backend, const std::string& name, const Layer& layer, const Shape& src) {
  OneLayer one(backend, layer, src);
  Count(name, [&] { one.Run(); });
}

Layer PoolOf(PoolAttrs::Kind kind, const Shape& dst) {
  Layer layer;
  layer.name = "pool";
  layer.inputs = {0};
  layer.shape = dst;
  PoolAttrs attrs;
  attrs.kind = kind, attrs.kh = attrs.kw = 3, attrs.sh = attrs.sw = 1;
  attrs.pads = {1, 1, 1, 1};
  layer.attrs = attrs;
  return layer;
}

void Layers() {
  const auto backend = MakeCpuBackend(CpuKernels::kOwn);
  const auto shape_of = [](const std::string& name, int side, int ic, int oc, int kernel, int stride, bool depthwise) {
    test::ConvShape shape;
    shape.name = name, shape.depthwise = depthwise;
    shape.ih = shape.iw = side, shape.ic = ic, shape.oc = oc;
    shape.kh = shape.kw = kernel, shape.sh = shape.sw = stride;
    shape.pads = test::SamePads(shape);
    return shape;
  };
  const auto convolution = [&](const std::string& name, int side, int ic, int oc, int kernel, int stride, bool depthwise = false) {
    CountLayer(*backend, name, MakeLayer(shape_of(name, side, ic, oc, kernel, stride, depthwise)), {.n = 1, .h = side, .w = side, .c = ic});
  };
  convolution("first convolution 3x3/2, 32 x 32 x 3 to 16", 32, 3, 16, 3, 2);
  convolution("1x1, 14 x 14 x 64 to 64", 14, 64, 64, 1, 1);
  convolution("3x3, 12 x 12 x 32 to 48", 12, 32, 48, 3, 1);
  convolution("3x3 by F(2x2, 3x3), 24 x 24 x 32 to 48", 24, 32, 48, 3, 1);
  test::ConvShape line = shape_of("1x7 by F(2, 3), 17 x 17 x 32 to 48", 17, 32, 48, 1, 1, false);
  line.kw = 7, line.pads = test::SamePads(line);
  CountLayer(*backend, line.name, MakeLayer(line), {.n = 1, .h = 17, .w = 17, .c = 32});
  convolution("depthwise, 28 x 28 x 48", 28, 48, 48, 3, 1, true);
  convolution("depthwise/2, 28 x 28 x 48", 28, 48, 48, 3, 2, true);
  convolution("fully connected, 256 to 1001", 1, 256, 1001, 1, 1);
  const test::ConvShape packed = shape_of("packed", 14, 128, 128, 1, 1, false);
  const Layer layer = MakeLayer(packed);
  const Shape src = {.n = 1, .h = 14, .w = 14, .c = 128};
  Count("weights packed, 128 to 128", [&] { OrDie(backend->prepare(layer, std::span(&src, 1), {})); });
  const Shape pooled = {.n = 1, .h = 17, .w = 17, .c = 48};
  CountLayer(*backend, "maximum pool 3x3, 17 x 17 x 48", PoolOf(PoolAttrs::Kind::kMax, pooled), pooled);
  CountLayer(*backend, "average pool 3x3, 17 x 17 x 48", PoolOf(PoolAttrs::Kind::kAverage, pooled), pooled);
}

void Head(int classes) {
  constexpr int kFeatures = 256, kBatch = 50;
  const auto backend = MakeCpuBackend(CpuKernels::kOwn);
  const auto trainer = OrDie(backend->make_head_trainer({kFeatures, classes}));
  const std::vector<float> vectors = Values(size_t{200} * kFeatures);
  OrDie(trainer->set_vectors(vectors));
  HeadParams params;
  const std::string shape = fmt::format("256 x {}", classes);
  Count("first weights, " + shape, [&] { params = InitialParams({kFeatures, classes}, 1); });
  OrDie(trainer->set_params(params));
  std::vector<std::vector<uint32_t>> rows(static_cast<size_t>(classes));
  for (uint32_t i = 0; i < 200; ++i) rows[i % static_cast<uint32_t>(classes)].push_back(i);
  HeadBatch batch;
  Count(fmt::format("a batch of 50 drawn from {} classes", classes), [&] { batch = DrawBatch(rows, kBatch, 1, 1, 0); });
  Count("a step, 50 x " + shape, [&] { OrDie(trainer->step(batch.rows, batch.labels, 0.01f, {})); });
  Count("an evaluation, 50 x " + shape, [&] { OrDie(trainer->evaluate(batch.rows, batch.labels, {})); });
  Count("parameters read, " + shape, [&] { OrDie(trainer->read_params(&params)); });
}

// Vectors that have little to do with each other, and some that are nearly others.
void Copies() {
  constexpr uint32_t kFeatures = 256, kPhotos = 400;
  HeadData data;
  data.features = kFeatures, data.classes = 1;
  for (auto& rows : data.rows) rows.resize(1);
  for (uint32_t row = 0; row < kPhotos; ++row) {
    data.rows[row % 5 < 3 ? 0 : row % 5 - 2][0].push_back(row);
    const uint32_t like = row % 20 == 4 ? row - 4 : row;
    for (uint32_t f = 0; f < kFeatures; ++f)
      data.vectors.push_back(static_cast<float>(Philox(1, like, f % 40, 0).v[0] % 1000 + Philox(1, row, f, 1).v[0] % 100));
  }
  Count("copies among 400 vectors of 256", [&] { OrDie(FindNearDuplicates(data, 0.97f, 1)); });
}

void Graphs(const std::string& temp) {
  const std::string path = JoinPath(temp, "network.pb");
  OrDie(WriteFileAtomically(path, test::GenerateMobileNet({})));
  Count("GraphDef opened", [&] { OrDie(GraphDef::Open(path)); });
  const GraphDef def = OrDie(GraphDef::Open(path));
  ImportOptions options;
  options.input_layer = "input", options.output_layer = test::kMobileNetBottleneck;
  options.input_height = options.input_width = 128;
  Graph graph;
  Count("GraphDef imported", [&] { graph = OrDie(ImportGraph(def, options)); });
  Count("graph passes", [&] { Optimize(graph); });
  const auto backend = MakeCpuBackend(CpuKernels::kOwn);
  Count("session made, MobileNet 0.25_128", [&] { OrDie(OrDie(MakePhotoNetwork(graph, *backend)).make_session({})); });
}

void Files(const std::string& temp) {
  constexpr int kFeatures = 256, kPhotos = 32;
  const std::vector<float> vectors = Values(size_t{kFeatures} * kPhotos);
  std::vector<std::string> paths;
  for (int i = 0; i < kPhotos; ++i) {
    const std::string folder = JoinPath(temp, i % 2 == 0 ? "photos/one" : "photos/two");
    OrDie(MakeDirectories(folder));
    paths.push_back(JoinPath(folder, fmt::format("{}.jpg", i)));
    OrDie(WriteFileAtomically(paths.back(), std::to_string(i), Durability::kMayBeOld));
  }
  ImageListOptions listed;
  listed.image_dir = JoinPath(temp, "photos");
  Count("32 photos listed", [&] { OrDie(CreateImageLists(listed)); });
  const std::string dir = JoinPath(temp, "store");
  const auto store = OrDie(BottleneckStore::Open(dir, {}, kFeatures));
  std::vector<BottleneckStore::Record> records;
  for (size_t i = 0; i < kPhotos; ++i)
    records.push_back({paths[i], *StampFile(paths[i]), Sha256(std::as_bytes(std::span(paths[i]))),
                       std::span(vectors).subspan(i * kFeatures, kFeatures), {}});
  for (auto& record : records) record.stamp.taken_ns += 3'000'000'000;  // old enough to be trusted
  Count("store: 32 vectors put", [&] { OrDie(store->Put(records)); });
  const auto again = OrDie(BottleneckStore::Open(dir, {}, kFeatures));
  std::vector<float> found(vectors.size());
  Count("store: 32 vectors found by path", [&] { OrDie(again->Find(paths, found)); });
  COUPLET_CHECK(found == vectors);
  const std::string text = JoinPath(temp, "vector.txt");
  Count("a text bottleneck written", [&] { FormatBottleneckText(std::span(vectors).first(kFeatures)); });
  OrDie(WriteFileAtomically(text, FormatBottleneckText(std::span(vectors).first(kFeatures))));
  Count("a text bottleneck read", [&] { OrDie(ReadBottleneckText(text, std::span(found).first(kFeatures))); });
}

void Events(const std::string& temp) {
  const auto writer = OrDie(EventFileWriter::Create(JoinPath(temp, "events")));
  const std::vector<float> values = Values(5005);
  HistogramValue histogram;
  Count("a histogram of 5,005 values", [&] { MakeHistogram(values, &histogram); });
  const SummaryValue summary[] = {{"accuracy_1", 0.5f, nullptr}, {"final_training_ops/weights", 0, &histogram}};
  Count("ten summaries of a scalar and a histogram", [&] {
    for (int step = 0; step < 10; ++step) OrDie(writer->AddSummary(step, summary));
    OrDie(writer->Flush());
  });
}

}  // namespace
}  // namespace couplet::bench

int main(int argc, char** argv) {
  if (argc < 2 || !couplet::MakeDirectories(argv[1]).ok()) {
    fmt::print(stderr, "instructions: needs a folder to write into\n");
    return 2;
  }
  couplet::cpu::LimitSimd(couplet::cpu::Simd::kAvx2);
  if (couplet::cpu::BestSimd() != couplet::cpu::Simd::kAvx2) return 77;
  using namespace couplet::bench;
  Photos();
  Layers();
  for (const int classes : {5, 64}) Head(classes);
  Copies();
  Graphs(argv[1]);
  Files(argv[1]);
  Events(argv[1]);
  return 0;
}
