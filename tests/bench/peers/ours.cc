// Our side of make bench-peers: one measurement a process, so that nothing is left running beside the next contestant.
//
//   ours network NAME DIR                          writes a network of the generator, prints its path
//   ours facts GRAPH                               its FLOP a photo and the size of its input, as JSON
//   ours pixels GRAPH FILE PHOTO...                the photos as the network is fed them: float32, one after the other
//   ours outputs GRAPH PIXELS FILE                 what the network makes of each
//   ours backbone GRAPH PIXELS THREADS BATCH SECS [int8]
//                                                  photos/s of the layers behind the pixels
//   ours vectors GRAPH PHOTO_DIR COUNT DIR [int8]  photos/s from files to stored vectors
//   ours steps FEATURES CLASSES STEPS DIR          seconds of training, evaluated every 10 steps, event files written
//   ours machine PHOTO_DIR SECS SIDE               the ceilings: FLOP/s, photos decoded a second, as JSON; SIDE > 0: decoded,
//                                                  resized to it and made a thumbnail of, as extraction does; and whether int8 is fast
//   ours stat PHOTO_DIR                            seconds of one stat call a photo, each
//   ours growth N FEATURES DIR                     seconds a photo: generated vectors stored, and found again by another run
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <barrier>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "loaders/files.h"
#include "loaders/threads.h"
#include "models/training.h"
#include "runtime/cpu/fma_peak.h"
#include "tests/bench/timing.h"
#include "tests/gpu/material.h"

namespace couplet::bench {
namespace {

using gpu::OrDie;
using Args = std::vector<std::string>;

struct Opened {
  std::unique_ptr<Backend> backend = MakeCpuBackend();
  Backbone backbone;
  std::shared_ptr<const Session> session;
  size_t pixels, outputs;  // floats a photo
  explicit Opened(const std::string& graph, bool keep_all = false) : backbone(gpu::OpenNetwork(graph, "")) {
    session = OrDie(OrDie(backbone.Network(*backend)).make_session({.prepare_threads = UsableThreads(), .keep_all = keep_all}));
    const Shape in = session->input_shape();
    pixels = static_cast<size_t>(in.h) * static_cast<size_t>(in.w) * static_cast<size_t>(in.c);
    outputs = static_cast<size_t>(session->output_size());
  }
};

std::vector<float> ReadFloats(const std::string& path) {
  std::vector<uint8_t> bytes;
  OrDie(ReadFile(path, uint64_t{1} << 32, &bytes));
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

void WriteFloats(const std::string& path, const std::vector<float>& values) {
  OrDie(WriteFileAtomically(path, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)}));
}

void Pixels(const Args& args) {
  const Opened net(args[0], true);
  const auto worker = OrDie(net.session->NewWorker());
  std::vector<float> all, output(net.outputs);
  std::vector<uint8_t> bytes;
  Image image;
  for (size_t i = 2; i < args.size(); ++i) {
    OrDie(ReadFile(args[i], uint64_t{1} << 30, &bytes));
    OrDie(DecodeImage(bytes, {}, &image));
    OrDie(net.session->Run(*worker, {image.pixels, {&image.entry, 1}}, output));
    const std::vector<float> pixels = OrDie(net.session->Output(*worker, 0, 1));
    all.insert(all.end(), pixels.begin(), pixels.end());
  }
  WriteFloats(args[1], all);
}

void Outputs(const Args& args) {
  const Opened net(args[0]);
  const auto worker = OrDie(net.session->NewWorker());
  const std::vector<float> pixels = ReadFloats(args[1]);
  std::vector<float> outputs(pixels.size() / net.pixels * net.outputs);
  for (size_t i = 0; i < pixels.size() / net.pixels; ++i)
    OrDie(net.session->RunPixels(*worker, std::span(pixels).subspan(i * net.pixels, net.pixels),
                                 std::span(outputs).subspan(i * net.outputs, net.outputs)));
  WriteFloats(args[2], outputs);
}

// Argument `at` may be "int8".
std::unique_ptr<Backend> BackendFor(const Args& args, size_t at) { return args.size() > at ? MakeInt8CpuBackend() : MakeCpuBackend(); }

// A worker a thread, as the programs do it. Batches of one are taken as they come; the photos of a larger batch are shared out, and
// the next batch starts when all of them are done.
double BackboneRate(const Args& args) {
  const auto backend = BackendFor(args, 5);
  const Backbone backbone = gpu::OpenNetwork(args[0], "");
  const std::vector<float> pixels = ReadFloats(args[1]);
  const size_t threads = std::stoul(args[2]), batch = std::stoul(args[3]);
  const size_t side = static_cast<size_t>(backbone.input_size()), size = side * side * 3, photos = pixels.size() / size;
  const auto net = OrDie(OrDie(backbone.Network(*backend)).make_split({.prepare_threads = UsableThreads()}, batch == 1));
  const double seconds = std::stod(args[4]);
  std::atomic<size_t> next{0}, done{0};
  std::atomic<bool> stop{false};
  Clock::time_point start;
  double elapsed = 0;
  bool warm = false;
  std::barrier round(static_cast<std::ptrdiff_t>(threads), [&]() noexcept {
    if (!warm) start = Clock::now(), warm = true, done = 0;
    elapsed = SecondsSince(start);
    stop = elapsed >= seconds;
    next = 0;
  });
  const auto work = [&] {
    const auto worker = OrDie(net->NewWorker());
    const auto finish = [&] {
      done += worker->waiting();
      OrDie(net->Finish(*worker));
    };
    const auto run = [&](size_t i) {
      OrDie(net->AddPixels(*worker, std::span(pixels).subspan(i % photos * size, size)));
      if (worker->waiting() == net->photos_together()) finish();
    };
    for (size_t i = 0; i < 3; ++i) run(i);
    finish();
    round.arrive_and_wait();
    while (!stop) {
      if (batch == 1) {
        for (size_t i = 0; SecondsSince(start) < seconds; ++i) run(i);
      } else {
        for (size_t i; (i = next++) < batch;) run(i);
        finish();
      }
      round.arrive_and_wait();
    }
  };
  {
    std::vector<std::jthread> pool;
    for (size_t t = 0; t < threads; ++t) pool.emplace_back(work);
  }
  return static_cast<double>(done) / elapsed;
}

double VectorRate(const Args& args) {
  const auto backend = BackendFor(args, 4);
  const Backbone network = gpu::OpenNetwork(args[0], "");
  PhotoFiles files = LoadPhotos(args[1]);
  std::vector<Photo> photos = std::move(files.photos);
  photos.resize(std::min(photos.size(), static_cast<size_t>(std::stoul(args[2]))));
  ExtractOptions options;
  options.threads = UsableThreads();
  options.decode.resize_rows = network.input_size();
  options.bottleneck_dir = JoinPath(args[3], "store");
  options.key = network.Key(options.decode, *backend);
  std::filesystem::remove_all(options.bottleneck_dir);
  const auto start = Clock::now();
  const auto result = OrDie(ExtractFeatures(photos, network.features(), OrDie(network.Network(*backend)), options,
                                            [](const ExtractProgress&) {}, [] { return false; }));
  if (result.computed != photos.size()) gpu::Die(BadInput("not every photo was computed"));
  return static_cast<double>(photos.size()) / SecondsSince(start);
}

double StepSeconds(const Args& args) {
  const int features = std::stoi(args[0]), classes = std::stoi(args[1]);
  const auto backend = MakeCpuBackend();
  const auto data = MakeHeadData(features, classes);
  TrainOptions options;
  options.how_many_training_steps = std::stoi(args[2]);
  options.summaries_dir = JoinPath(args[3], "events");
  const auto trainer = OrDie(backend->make_head_trainer({.features = features, .classes = classes, .threads = UsableThreads()}));
  const auto start = Clock::now();
  OrDie(OrDie(Train(*trainer, *data, options, {})).stopped);
  return SecondsSince(start);
}

std::string MachineRates(const Args& args) {
  PhotoFiles files = LoadPhotos(args[0]);
  files.bytes.resize(std::min<size_t>(files.bytes.size(), 200));
  const int threads = UsableThreads();
  const double seconds = std::stod(args[1]);
  const int side = std::stoi(args[2]);
  return nlohmann::ordered_json{{"threads", threads},
                                {"peak1", cpu::MeasureFmaPeak(1, seconds)},
                                {"peak", cpu::MeasureFmaPeak(threads, seconds)},
                                {"decode", DecodeRate(files, threads, side)},
                                {"int8", Int8IsFast()},
                                {"backend", MakeCpuBackend()->description()}}
      .dump();
}

double StatSeconds(const Args& args) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(args[0])) paths.push_back(entry.path().string());
  const auto start = Clock::now();
  for (const std::string& path : paths)
    if (!StampFile(path)) gpu::Die(BadInput(path + ": gone"));
  return SecondsSince(start) / static_cast<double>(paths.size());
}

// What extraction asks of the store, with vectors made from a seed: a row an empty file (left for the next run), written in
// transactions as large as its largest, looked up all at once.
double GrowthSeconds(const Args& args) {
  const size_t photos = std::stoul(args[0]), batch = 2048;
  const int features = std::stoi(args[1]);
  const std::string dir = JoinPath(args[2], "store");
  std::filesystem::remove_all(dir);
  std::vector<std::string> paths;
  for (size_t i = 0; i < photos; ++i) {
    if (i % 1000 == 0) OrDie(MakeDirectories(JoinPath(args[2], std::to_string(i / 1000))));
    paths.push_back(JoinPath(JoinPath(args[2], std::to_string(i / 1000)), std::to_string(i)));
    if (!std::ofstream(paths.back(), std::ios::app)) gpu::Die(BadInput(paths.back() + ": cannot be made"));
  }
  std::vector<float> made(batch * static_cast<size_t>(features)), found(photos * static_cast<size_t>(features));
  for (size_t i = 0; i < made.size(); ++i) made[i] = static_cast<float>(i * 7 % 1013) / 1013.0f;
  std::fill(found.begin(), found.end(), 0.0f);  // its pages are the caller's, not the store's
  sync();  // the files' making is not the store's
  std::this_thread::sleep_for(std::chrono::seconds(3));  // a file that changed just now is not found by its times
  const auto start = Clock::now();
  {
    const auto store = OrDie(BottleneckStore::Open(dir, {}, features));
    for (size_t first = 0; first < photos; first += batch) {
      std::vector<BottleneckStore::Record> records;
      for (size_t i = first; i < std::min(first + batch, photos); ++i)
        records.push_back({paths[i], *StampFile(paths[i]), Sha256(std::as_bytes(std::span(paths[i]))),
                           std::span(made).subspan((i - first) * static_cast<size_t>(features), static_cast<size_t>(features)), {}});
      OrDie(store->Put(records));
    }
  }
  const auto rows = OrDie(OrDie(BottleneckStore::Open(dir, {}, features))->Find(paths, found));
  const double seconds = SecondsSince(start);
  for (const auto& row : rows)
    if (!row.has_vector) gpu::Die(BadInput("a vector was not found again"));
  return seconds / static_cast<double>(photos);
}

std::string Facts(const Args& args) {
  const Backbone network = gpu::OpenNetwork(args[0], "");
  return nlohmann::ordered_json{{"flops", GraphFlops(network.graph())},
                                {"size", network.input_size()},
                                {"features", network.features()}}
      .dump();
}

}  // namespace
}  // namespace couplet::bench

int main(int argc, char** argv) {
  using namespace couplet::bench;
  const std::vector<std::string> all(argv + 1, argv + argc);
  const std::string verb = all.empty() ? "" : all[0];
  const Args args(all.begin() + (all.empty() ? 0 : 1), all.end());
  const std::map<std::string, size_t> wanted = {{"network", 2}, {"facts", 1},   {"pixels", 3}, {"outputs", 3},
                                                {"backbone", 5}, {"vectors", 4}, {"steps", 4},  {"machine", 3},
                                                {"stat", 1},     {"growth", 3}};
  const auto known = wanted.find(verb);
  if (known == wanted.end() || args.size() < known->second) {
    fmt::print(stderr, "ours: see the top of tests/bench/peers/ours.cc for what it can be asked\n");
    return 2;
  }
  if (verb == "network") couplet::gpu::OpenNetwork(args[0], args[1]), fmt::print("{}/{}.pb\n", args[1], args[0]);
  if (verb == "facts") fmt::print("{}\n", Facts(args));
  if (verb == "pixels") Pixels(args);
  if (verb == "outputs") Outputs(args);
  if (verb == "backbone") fmt::print("{}\n", BackboneRate(args));
  if (verb == "vectors") fmt::print("{}\n", VectorRate(args));
  if (verb == "steps") fmt::print("{}\n", StepSeconds(args));
  if (verb == "stat") fmt::print("{}\n", StatSeconds(args));
  if (verb == "growth") fmt::print("{}\n", GrowthSeconds(args));
  if (verb == "machine") fmt::print("{}\n", MachineRates(args));
  return 0;
}
