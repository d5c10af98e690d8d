// make bench: what this build does on this machine, each row beside its floor, ceilings measured in the same run.
//   photos/s of a row are held against 1 / (decode + FLOP / peak), all threads; training against its FLOPs on one core.
// Rounds are interleaved and medians quoted, because machines drift. Needs the shared graphs and photos.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>

#include "loaders/files.h"
#include "loaders/threads.h"
#include "models/backbone.h"
#include "models/feature_extractor.h"
#include "models/training.h"
#include "runtime/cpu/fma_peak.h"
#include "tests/bench/compare.h"
#include "tests/bench/machine.h"
#include "tests/bench/timing.h"

namespace couplet::bench {
namespace {

constexpr int kRounds = 5;
constexpr double kCalibrationSeconds = 0.2;

// A thing that is timed: a name, its unit, one round's figure, and the figure's ceiling given the machine's rates.
struct Machine {
  double peak1, peak, copy, decode;  // FLOP/s on one core and on all, bytes/s, photos/s on all cores
};
struct Row {
  std::string name, unit;
  bool higher_is_better;
  std::function<double()> round;
  std::function<double(const Machine&)> floor;
  std::vector<double> figures = {};
};

Row ExtractionRow(const std::string& name, const std::string& graph, const PhotoFiles& files, size_t count,
                  Backend& backend, int threads, const std::string& temp) {
  BackboneOptions backbone_options;
  backbone_options.model_file = graph;
  auto backbone = Backbone::Open(backbone_options, {});
  if (!backbone.ok()) {
    fmt::print(stderr, "{}\n", backbone.status().message());
    std::exit(2);
  }
  auto shared = std::make_shared<Backbone>(std::move(*backbone));
  const std::vector<Photo> photos = EvenlySpread(files.photos, count);
  Row row{.name = "photos -> vectors, " + name, .unit = "photos/s", .higher_is_better = true, .round = {}, .floor = {}};
  row.round = [=, &backend] {
    ExtractOptions options;
    options.threads = threads;
    options.decode.resize_rows = shared->input_size();
    options.bottleneck_dir = temp + "/store";
    options.key = shared->Key(options.decode, backend);
    std::filesystem::remove_all(options.bottleneck_dir);
    const auto network = shared->Network(backend);
    if (!network.ok()) std::abort();
    const auto start = Clock::now();
    auto result = ExtractFeatures(photos, shared->features(), *network, options, [](const ExtractProgress&) {},
                                  [] { return false; });
    const double seconds = SecondsSince(start);
    if (!result.ok() || result->computed != photos.size()) std::abort();
    return static_cast<double>(photos.size()) / seconds;
  };
  row.floor = [flops = GraphFlops(shared->graph())](const Machine& m) {
    return 1 / (1 / m.decode + flops / m.peak);
  };
  return row;
}

// `steps` steps on vectors made from a seed, with validation every 10 steps and event files.
Row TrainingRow(int features, Backend& backend, const std::string& temp) {
  constexpr int kClasses = 5, kSteps = 4000, kBatch = 100;
  const auto data = MakeHeadData(features, kClasses);
  Row row{.name = fmt::format("4000 steps with events, D={} C={}", features, kClasses), .unit = "s",
          .higher_is_better = false, .round = {}, .floor = {}};
  row.round = [=, &backend] {
    TrainOptions options;
    options.how_many_training_steps = kSteps;
    options.train_batch_size = kBatch;
    options.summaries_dir = temp + "/events";
    const auto trainer = backend.make_head_trainer({features, kClasses});
    const auto start = Clock::now();
    if (!trainer.ok() || !Train(**trainer, *data, options, {}).ok()) std::abort();
    return SecondsSince(start);
  };
  row.floor = [=](const Machine& m) { return 4.0 * kBatch * features * kClasses * kSteps / m.peak1; };
  return row;
}

// Warm page cache, a new process each time; the floor is an empty process, one decode and the network's FLOPs.
Row LabelImageRow(const std::string& shared, const PhotoFiles& files, const std::string& program, int threads) {
  const std::string model = shared + "/models/retrained/scratches_0.25_128/";
  Row row{.name = "label_image 0.25_128, start to exit", .unit = "ms", .higher_is_better = false, .round = {}, .floor = {}};
  row.round = [=, photo = files.photos[0].path] {
    std::vector<double> times;
    for (int i = 0; i < 9; ++i)
      times.push_back(RunMilliseconds({program, "--graph=" + model + "retrained_graph.pb",
                                       "--labels=" + model + "retrained_labels.txt", "--image=" + photo}));
    return Median(times);
  };
  row.floor = [=](const Machine& m) {
    return RunMilliseconds({"true"}) + 1e3 * threads / m.decode + 1e3 * 27e6 / m.peak1;
  };
  return row;
}

// `before`: the JSON of an earlier run, from `before_path`; "" for none.
int Run(const std::string& shared, const std::string& program, const std::string& temp, const std::string& json_path,
        const std::string& before, const std::string& before_path) {
  const int threads = UsableThreads();
  const auto backend = MakeCpuBackend();
  const PhotoFiles files = LoadPhotos(shared + "/data/flower_photos");
  const std::string models = shared + "/models/";
  std::vector<Row> rows;
  rows.push_back(ExtractionRow("0.25_128", models + "mobilenet_v1_0.25_128/frozen_graph.pb", files, 1000, *backend, threads, temp));
  rows.push_back(ExtractionRow("0.50_224 (quantised graph)", models + "mobilenet_v1_0.50_224/quantized_graph.pb", files, 500, *backend, threads, temp));
  rows.push_back(ExtractionRow("Inception v3", models + "inception_2015/classify_image_graph_def.pb", files, 32, *backend, threads, temp));
  rows.push_back(TrainingRow(1001, *backend, temp));
  rows.push_back(TrainingRow(2048, *backend, temp));
  rows.push_back(LabelImageRow(shared, files, program, threads));

  std::vector<double> peak1, peak, copy, decode;
  for (int round = 0; round < kRounds; ++round) {
    peak1.push_back(cpu::MeasureFmaPeak(1, kCalibrationSeconds));
    peak.push_back(cpu::MeasureFmaPeak(threads, kCalibrationSeconds));
    copy.push_back(MeasureCopyRate(threads, kCalibrationSeconds));
    decode.push_back(DecodeRate(files, threads));
    for (Row& row : rows) row.figures.push_back(row.round());
  }
  const Machine machine{Median(peak1), Median(peak), Median(copy), Median(decode)};
  const double spread = *std::max_element(peak.begin(), peak.end()) / *std::min_element(peak.begin(), peak.end()) - 1;
  fmt::print("{}, {} threads: {:.0f} GFLOP/s FMA ({:.0f} on one), copy {:.1f} GB/s, decode {:.0f} photos/s\n",
             backend->description(), threads, machine.peak / 1e9, machine.peak1 / 1e9, machine.copy / 1e9, machine.decode);
  if (spread > 0.1)
    fmt::print("NOISY: the FMA peak varied by {:.0f} % between rounds; something else was running\n", spread * 100);
  fmt::print("{:<46} {:>10} {:>10} {:>9}   rounds (min .. max)\n", "", "median", "ceiling", "fraction");
  nlohmann::ordered_json json = {{"threads", threads}, {"backend", backend->description()}, {"fma_flops", machine.peak},
                                 {"fma_flops_one_thread", machine.peak1}, {"copy_bytes_per_s", machine.copy},
                                 {"decode_photos_per_s", machine.decode}, {"fma_spread", spread}};
  for (const Row& row : rows) {
    const double median = Median(row.figures), floor = row.floor(machine);
    const double fraction = row.higher_is_better ? median / floor : floor / median;
    fmt::print("{:<46} {:>7.4g} {:<2} {:>10.4g} {:>8.0f}%   {:.4g} .. {:.4g}\n", row.name, median,
               row.unit == "photos/s" ? "/s" : row.unit, floor, fraction * 100,
               *std::min_element(row.figures.begin(), row.figures.end()), *std::max_element(row.figures.begin(), row.figures.end()));
    json["rows"].push_back({{"name", row.name}, {"unit", row.unit}, {"median", median}, {"ceiling", floor}, {"fraction", fraction}, {"rounds", row.figures}});
  }
  if (!before.empty()) {
    const auto table = CompareRuns(before, before_path, json.dump());
    if (!table.ok()) std::abort();  // it was looked at before
    fmt::print("\n{}", *table);
  }
  if (!json_path.empty() && !WriteFileAtomically(json_path, json.dump(1) + "\n").ok()) return 4;
  return 0;
}

}  // namespace
}  // namespace couplet::bench

// bench SHARED_DIR LABEL_IMAGE TEMP_DIR JSON_FILE [--compare OLD_JSON]
int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  const bool compare = args.size() == 6 && args[4] == "--compare";
  if ((args.size() != 4 && !compare) || !std::filesystem::is_directory(args[0] + "/models")) {
    fmt::print(stderr, "bench: needs the shared graphs and photos (COUPLET_DATA or ../shared)\n");
    return 2;
  }
  // Read first: the run may be about to write over it, and takes minutes.
  std::string before;
  if (compare) {
    std::vector<uint8_t> bytes;
    couplet::Status status = couplet::ReadFile(args[5], uint64_t{1} << 24, &bytes);
    before.assign(bytes.begin(), bytes.end());
    if (status.ok()) status = couplet::bench::CompareRuns(before, args[5], before).status();
    if (!status.ok()) fmt::print(stderr, "bench: {}\n", status.message());
    if (!status.ok()) return status.exit_code();
  }
  return couplet::bench::Run(args[0], args[1], args[2], args[3], before, compare ? args[5] : "");
}
