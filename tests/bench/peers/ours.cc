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
//   ours plain N FEATURES DIR                      the floor of that: a plain file, written as safely, read again, and the stat calls
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
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
  const std::vector<Photo> photos = EvenlySpread(LoadPhotos(args[1]).photos, std::stoul(args[2]));
  ExtractOptions options;
  options.threads = UsableThreads();
  options.decode.resize_rows = network.input_size();
  options.bottleneck_dir = JoinPath(args[3], "store");
  options.key = network.Key(options.decode, *backend);
  std::filesystem::remove_all(options.bottleneck_dir);
  // Ready before the clock starts, as the other contestants' networks are.
  PhotoNetwork ready = OrDie(network.Network(*backend));
  const auto split = OrDie(ready.make_split({.prepare_threads = options.threads}, false));
  ready.make_split = [split](const SessionOptions&, bool) { return Result<std::shared_ptr<const SplitSession>>(split); };
  const auto start = Clock::now();
  const auto result = OrDie(ExtractFeatures(photos, network.features(), ready, options, [](const ExtractProgress&) {}, [] { return false; }));
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
  files.bytes = EvenlySpread(files.bytes, 200);
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

constexpr size_t kGrowthBatch = 2048;  // photos a transaction, as many as extraction's largest has

// An empty file for each of N photos, left for the next run, and vectors for all of them and for a batch.
struct Growth {
  std::vector<std::string> paths;
  size_t features;
  std::vector<float> made, found;

  explicit Growth(const Args& args) : features(std::stoul(args[1])) {
    const size_t photos = std::stoul(args[0]);
    for (size_t i = 0; i < photos; ++i) {
      const std::string dir = JoinPath(args[2], std::to_string(i / 1000));
      if (i % 1000 == 0) OrDie(MakeDirectories(dir));
      paths.push_back(JoinPath(dir, std::to_string(i)));
      if (!std::ofstream(paths.back(), std::ios::app)) gpu::Die(BadInput(paths.back() + ": cannot be made"));
    }
    made.resize(kGrowthBatch * features);
    for (size_t i = 0; i < made.size(); ++i) made[i] = static_cast<float>(i * 7 % 1013) / 1013.0f;
    found.assign(photos * features, 1.0f);  // its pages are the caller's, not the store's
    sync();  // the files' making is not the store's
    std::this_thread::sleep_for(std::chrono::seconds(3));  // a file that changed just now is not found by its times
  }
  // Its first photo -> how many a transaction has.
  size_t batch(size_t first) const { return std::min(kGrowthBatch, paths.size() - first); }
};

// What extraction asks of the store, with vectors made from a seed: written in transactions, looked up all at once.
double GrowthSeconds(const Args& args) {
  Growth growth(args);
  const int features = static_cast<int>(growth.features);
  const std::string dir = JoinPath(args[2], "store");
  std::filesystem::remove_all(dir);
  const auto start = Clock::now();
  {
    const auto store = OrDie(BottleneckStore::Open(dir, {}, features));
    for (size_t first = 0; first < growth.paths.size(); first += kGrowthBatch) {
      std::vector<BottleneckStore::Record> records;
      for (size_t i = 0; i < growth.batch(first); ++i) {
        const std::string& path = growth.paths[first + i];
        records.push_back({path, *StampFile(path), Sha256(std::as_bytes(std::span(path))),
                           std::span(growth.made).subspan(i * growth.features, growth.features), {}});
      }
      OrDie(store->Put(records));
    }
  }
  const auto rows = OrDie(OrDie(BottleneckStore::Open(dir, {}, features))->Find(growth.paths, growth.found));
  const double seconds = SecondsSince(start);
  for (const auto& row : rows)
    if (!row.has_vector) gpu::Die(BadInput("a vector was not found again"));
  return seconds / static_cast<double>(growth.paths.size());
}

// The floor of that: the same stat calls, as many bytes written to a plain file, each batch on the disk before the next, and read.
double PlainSeconds(const Args& args) {
  Growth growth(args);
  const std::string plain = JoinPath(args[2], "plain");
  const auto stat_all = [&](size_t first, size_t count) {
    for (size_t i = first; i < first + count; ++i)
      if (!StampFile(growth.paths[i])) gpu::Die(BadInput(growth.paths[i] + ": gone"));
  };
  const auto start = Clock::now();
  const int file = open(plain.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  for (size_t first = 0; first < growth.paths.size(); first += kGrowthBatch) {
    stat_all(first, growth.batch(first));
    const size_t bytes = growth.batch(first) * growth.features * sizeof(float);
    if (write(file, growth.made.data(), bytes) != static_cast<ssize_t>(bytes) || fdatasync(file) != 0)
      gpu::Die(BadInput(plain + ": cannot be written"));
  }
  stat_all(0, growth.paths.size());
  char* to = reinterpret_cast<char*>(growth.found.data());
  for (size_t done = 0, all = growth.found.size() * sizeof(float); done < all;) {
    const ssize_t part = pread(file, to + done, std::min(all - done, size_t{1} << 20), static_cast<off_t>(done));
    if (part <= 0) gpu::Die(BadInput(plain + ": cannot be read"));
    done += static_cast<size_t>(part);
  }
  const double seconds = SecondsSince(start);
  close(file);
  std::filesystem::remove(plain);
  return seconds / static_cast<double>(growth.paths.size());
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
                                                {"stat", 1},     {"growth", 3},  {"plain", 3}};
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
  if (verb == "plain") fmt::print("{}\n", PlainSeconds(args));
  if (verb == "machine") fmt::print("{}\n", MachineRates(args));
  return 0;
}
