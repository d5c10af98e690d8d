// make gpu-bench: what a device does, each row beside its floor (CUDA; the same on the CPU with --device=cpu).
//   - the backbone alone over pixels that lie on the device: no host, no copies. The floor is the sum over the layers
//     of what each must move or compute at least (runtime/layer_cost.h), at the rates the device states for itself.
//   - JPEG files -> vectors, cold, decoding included; - 4,000 training steps, of one head and of nine; - label_image from start to exit.
// Networks come from the generator, so nothing is downloaded; pixels are photos, never zeros. Medians of rounds.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "loaders/files.h"
#include "loaders/threads.h"
#include "models/backbone.h"
#include "models/feature_extractor.h"
#include "models/sweep.h"
#include "models/training.h"
#include "runtime/layer_cost.h"
#include "tests/bench/timing.h"
#include "tests/gpu/material.h"
#include "tests/support/graph_generator.h"

namespace couplet::bench {
namespace {

using namespace couplet::gpu;

struct Options {
  std::string device = "cuda", photos, temp = "build/bench", json, label_image;
  std::vector<std::string> networks = {"mobilenet_1.0_224", "mobilenet_0.50_224", "mobilenet_0.25_128", "inception_v3"};
  std::vector<int> batches = {1, 32, 256};
  int rounds = 5, files = 2000, steps = 4000;
  double seconds = 0.2;  // of a round
  bool tune = false;
};

class Report {
 public:
  void Add(const std::string& name, const std::string& unit, std::vector<double> rounds, double floor_fraction) {
    const double median = Median(rounds);
    const auto [low, high] = std::minmax_element(rounds.begin(), rounds.end());
    const std::string fraction = floor_fraction > 0 ? fmt::format("{:.0f} %", 100 * floor_fraction) : "-";
    fmt::print("{:<58} {:>9.4g} {:<8} {:>6}   {:.4g} .. {:.4g}\n", name, median, unit, fraction, *low, *high);
    std::fflush(stdout);
    nlohmann::ordered_json row = {{"name", name}, {"unit", unit}, {"median", median}};
    if (floor_fraction > 0) row["fraction_of_floor"] = floor_fraction;
    row["rounds"] = rounds;
    json["rows"].push_back(row);
  }
  nlohmann::ordered_json json;
};

// Photos a second through the layers after the first.
void BenchBackbone(const Options& o, const std::string& name, Precision precision, int batch, const PhotoFiles& files,
                   Report* report) {
  const auto backend = OpenDevice(o.device, precision, o.tune);
  const Backbone network = OpenNetwork(name, o.temp);
  const auto session = OrDie(
      OrDie(network.Network(*backend)).make_session({.max_batch = batch, .prepare_threads = UsableThreads()}));
  const auto worker = OrDie(session->NewWorker());
  const int n = session->max_batch();
  const PackedPhotos photos = DecodePhotos(files, n);
  const ImageBatch images = photos.batch();
  std::vector<float> vectors(static_cast<size_t>(n * session->output_size()));
  std::vector<LayerTime> times;
  for (int i = 0; i < 3; ++i) OrDie(session->Run(*worker, images, vectors));  // warm: watched, recorded, replayed
  OrDie(session->RunTimed(*worker, images, vectors, &times));
  double floor_ms = 0;
  for (size_t i = 1; i < times.size(); ++i) floor_ms += times[i].floor_ms;
  if (times[0].layer.find(" + ") != std::string::npos) {  // the first convolution is done with the photos there, alone here
    const LayerCost cost = CostOf(session->graph(), 1, precision == Precision::kFp16 ? 2.0 : 4.0);
    floor_ms += backend->floor_ms(cost.weight_bytes + n * cost.photo_bytes, n * cost.multiply_adds);
  }
  int repeats = 1;
  for (double seconds = 0; seconds < o.seconds; repeats *= 2) {
    const auto start = Clock::now();
    OrDie(session->RunAgain(*worker, n, repeats));
    seconds = SecondsSince(start);
    if (seconds >= o.seconds) break;
  }
  std::vector<double> rounds;
  for (int round = 0; round < o.rounds; ++round) {
    const auto start = Clock::now();
    OrDie(session->RunAgain(*worker, n, repeats));
    rounds.push_back(repeats * n / SecondsSince(start));
  }
  const double fraction = floor_ms * 1e-3 * Median(rounds) / n;
  report->Add(fmt::format("backbone {}, {}, batch {}", name, Name(precision), n), "photos/s", rounds, fraction);
  auto& layers = report->json["layers"][fmt::format("{} {} {}", name, Name(precision), n)];
  for (size_t i = 1; i < times.size(); ++i)
    layers.push_back({{"layer", times[i].layer}, {"ms", times[i].ms}, {"floor_ms", times[i].floor_ms}});
  if (o.tune) report->json["tuning"][fmt::format("{} {} {}", name, Name(precision), n)] = backend->tuning();
}

// Copies of the photos, each a file of its own bytes: what follows the end of a JPEG is not read.
std::vector<Photo> SpreadPhotos(const Options& o, const PhotoFiles& files) {
  const std::string folder = JoinPath(o.temp, "photos/a");
  OrDie(MakeDirectories(folder));
  std::vector<Photo> photos;
  for (int i = 0; i < o.files; ++i) {
    const auto& bytes = files.bytes[static_cast<size_t>(i) % files.bytes.size()];
    const std::string name = fmt::format("{:06}.jpg", i), path = JoinPath(folder, name);
    std::string contents(bytes.begin(), bytes.end());
    contents += fmt::format("{:08}", i);
    std::filesystem::remove(path);
    OrDie(WriteFileAtomically(path, contents));
    photos.push_back({path, "a", name});
  }
  return photos;
}

void BenchFiles(const Options& o, const std::string& name, Precision precision, const std::vector<Photo>& photos,
                Report* report) {
  const auto backend = OpenDevice(o.device, precision);
  const Backbone network = OpenNetwork(name, o.temp);
  std::vector<double> rounds;
  for (int round = 0; round < o.rounds; ++round) {
    ExtractOptions options;
    options.decode.resize_rows = network.input_size();
    options.bottleneck_dir = JoinPath(o.temp, "store");
    options.key = network.Key(options.decode, *backend);
    std::filesystem::remove_all(options.bottleneck_dir);
    const auto start = Clock::now();
    const auto result = OrDie(ExtractFeatures(photos, network.features(), OrDie(network.Network(*backend)), options,
                                              [](const ExtractProgress&) {}, [] { return false; }));
    rounds.push_back(static_cast<double>(result.computed) / SecondsSince(start));
  }
  report->Add(fmt::format("{} JPEG files -> vectors, {}, {}", photos.size(), name, Name(precision)), "photos/s", rounds, 0);
}

void BenchTraining(const Options& o, int features, int classes, bool events, Report* report) {
  const auto backend = OpenDevice(o.device, Precision::kFp32);
  const auto data = MakeHeadData(features, classes);
  std::vector<double> rounds;
  for (int round = 0; round <= o.rounds; ++round) {  // the first warms
    TrainOptions options;
    options.how_many_training_steps = o.steps;
    if (events) options.summaries_dir = JoinPath(o.temp, "events");
    const auto trainer = OrDie(backend->make_head_trainer({features, classes}));
    const auto start = Clock::now();
    OrDie(OrDie(Train(*trainer, *data, options, {})).stopped);
    if (round > 0) rounds.push_back(1e3 * SecondsSince(start));
  }
  report->Add(fmt::format("{} steps{}, D={} C={}", o.steps, events ? " with events" : "", features, classes), "ms", rounds, 0);
}

// As the lab trains: three learning rates, three seeds.
void BenchSweep(const Options& o, int features, int classes, Report* report) {
  const auto backend = OpenDevice(o.device, Precision::kFp32);
  HeadData data = *MakeHeadData(features, classes);
  data.resident = OrDie(backend->make_resident(data.vectors.size() / static_cast<size_t>(features), features, data.vectors));
  std::vector<SweepJob> jobs(9);
  for (size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].options.how_many_training_steps = o.steps;
    jobs[i].options.learning_rate = (i % 3 == 0) ? 0.005 : (i % 3 == 1) ? 0.01 : 0.1;
    jobs[i].options.seed = i / 3;
  }
  std::vector<double> rounds;
  for (int round = 0; round <= o.rounds; ++round) {
    const auto start = Clock::now();
    OrDie(RunSweep(*backend, data, jobs, UsableThreads(), [](size_t, const SweepResult&) {}, {}));
    if (round > 0) rounds.push_back(1e3 * SecondsSince(start));
  }
  report->Add(fmt::format("{} steps of {} heads, D={} C={}", o.steps, jobs.size(), features, classes), "ms", rounds, 0);
}

void BenchLabelImage(const Options& o, const std::string& photo, Report* report) {
  test::MobileNetOptions network;
  network.head_classes = 5;
  const std::string graph = JoinPath(o.temp, "labelled.pb"), labels = JoinPath(o.temp, "labelled.txt");
  OrDie(WriteFileAtomically(graph, test::GenerateMobileNet(network)));
  OrDie(WriteFileAtomically(labels, "a\nb\nc\nd\ne\n"));
  std::vector<double> rounds;
  for (int round = 0; round <= o.rounds; ++round) {
    const double ms = RunMilliseconds({o.label_image, "--device=" + o.device, "--graph=" + graph, "--labels=" + labels,
                                       "--image=" + photo});
    if (round > 0) rounds.push_back(ms);
  }
  report->Add("label_image 0.25_128, start to exit, warm page cache", "ms", rounds, 0);
}

int Run(const Options& o) {
  const PhotoFiles files = LoadPhotos(o.photos);
  if (files.photos.empty()) {
    fmt::print(stderr, "device_bench: no photos below {}\n", o.photos);
    return 2;
  }
  OrDie(MakeDirectories(o.temp));
  Report report;
  std::vector<Precision> precisions = {Precision::kFp32};
  if (o.device == "cuda") precisions = {Precision::kFp32, Precision::kTf32, Precision::kFp16};
  const std::string description = OpenDevice(o.device, precisions[0])->description();
  fmt::print("{}\n{:<58} {:>9} {:<8} {:>6}   rounds (min .. max)\n", description, "", "median", "", "floor");
  report.json["device"] = description;
  for (const std::string& name : o.networks)
    for (const Precision precision : precisions)
      for (const int batch : o.batches) BenchBackbone(o, name, precision, batch, files, &report);
  const std::vector<Photo> photos = SpreadPhotos(o, files);
  for (const std::string& name : o.networks)
    for (const Precision precision : precisions)
      if (precision != Precision::kTf32) BenchFiles(o, name, precision, photos, &report);
  for (const int features : {1001, 2048})
    for (const int classes : {5, 120}) BenchTraining(o, features, classes, false, &report);
  BenchTraining(o, 1001, 5, true, &report);
  for (const int features : {1001, 2048}) BenchSweep(o, features, 5, &report);
  if (!o.label_image.empty()) BenchLabelImage(o, files.photos[0].path, &report);
  if (!o.json.empty()) OrDie(WriteFileAtomically(o.json, report.json.dump(1) + "\n"));
  return 0;
}

}  // namespace
}  // namespace couplet::bench

int main(int argc, char** argv) {
  couplet::bench::Options o;
  CLI::App app("Times a device's backbones, extraction, training and label_image.", "device_bench");
  app.add_option("--device", o.device, "cuda or cpu")->capture_default_str()->check(CLI::IsMember({"cuda", "cpu"}));
  app.add_option("--photos", o.photos, "folder of JPEG files")->required();
  app.add_option("--label_image", o.label_image, "program to time [none]");
  app.add_option("--temp", o.temp, "for graphs, copies of photos and stores")->capture_default_str();
  app.add_option("--json", o.json, "figures for programs");
  app.add_option("--networks", o.networks, "mobilenet_WIDTH_SIZE, inception_v3")->delimiter(',');
  app.add_option("--batches", o.batches, "photos a batch")->delimiter(',');
  app.add_option("--rounds", o.rounds, "timed rounds a row")->capture_default_str()->check(CLI::Range(1, 100));
  app.add_option("--seconds", o.seconds, "of a backbone's round")->capture_default_str();
  app.add_option("--files", o.files, "JPEG files to make")->capture_default_str()->check(CLI::Range(1, 100000));
  app.add_option("--steps", o.steps, "training steps")->capture_default_str()->check(CLI::Range(1, 1000000));
  app.add_flag("--tune", o.tune, "layers done as a race chooses, as after make tune, not as a fixed rule does");
  CLI11_PARSE(app, argc, argv);
  return couplet::bench::Run(o);
}
