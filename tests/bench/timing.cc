// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/timing.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <variant>

#include "kernels/philox.h"
#include "loaders/files.h"
#include "loaders/image.h"
#include "runtime/cpu/preprocess.h"
#include "runtime/layer_cost.h"

extern char** environ;

namespace couplet::bench {

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// From the start of the process to its end, in milliseconds.
double RunMilliseconds(const std::vector<std::string>& argv) {
  std::vector<char*> args;
  for (const std::string& arg : argv) args.push_back(const_cast<char*>(arg.c_str()));
  args.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  const auto start = Clock::now();
  pid_t child;
  int status = -1;
  if (posix_spawnp(&child, args[0], &actions, nullptr, args.data(), environ) != 0) std::abort();
  waitpid(child, &status, 0);
  const double ms = SecondsSince(start) * 1e3;
  posix_spawn_file_actions_destroy(&actions);
  if (status != 0) {
    fmt::print(stderr, "bench: {} failed\n", fmt::join(argv, " "));
    std::exit(1);
  }
  return ms;
}

PhotoFiles LoadPhotos(const std::string& dir) {
  PhotoFiles files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir))
    if (entry.path().extension() == ".jpg")
      files.photos.push_back({entry.path().string(), entry.path().parent_path().filename().string(),
                              entry.path().filename().string()});
  std::sort(files.photos.begin(), files.photos.end(), [](const Photo& a, const Photo& b) { return a.path < b.path; });
  for (const Photo& photo : files.photos) {
    files.bytes.emplace_back();
    if (!ReadFile(photo.path, 1 << 30, &files.bytes.back()).ok()) std::abort();
  }
  return files;
}

std::shared_ptr<const HeadData> MakeHeadData(int features, int classes) {
  constexpr int kPhotos = 3000;
  auto data = std::make_shared<HeadData>();
  data->features = features;
  data->classes = classes;
  data->vectors.resize(static_cast<size_t>(kPhotos) * static_cast<size_t>(features));
  for (size_t i = 0; i < data->vectors.size(); ++i)
    data->vectors[i] = static_cast<float>(Philox(7, static_cast<uint32_t>(i), 0, 9).v[0]) * 0x1p-31f;
  for (auto& by_class : data->rows) by_class.resize(static_cast<size_t>(classes));
  for (int i = 0; i < kPhotos; ++i) {
    const int tenth = i / classes % 10;
    const size_t split = tenth < 8 ? 0 : static_cast<size_t>(tenth - 7);
    data->rows[split][static_cast<size_t>(i % classes)].push_back(static_cast<uint32_t>(i));
  }
  return data;
}

double GraphFlops(const Graph& graph) {
  double flops = 0;
  for (size_t i = 0; i < graph.layers.size(); ++i)
    if (!std::holds_alternative<PoolAttrs>(graph.layers[i].attrs))
      flops += 2 * CostOf(graph, static_cast<int>(i), sizeof(float)).multiply_adds;
  return flops;
}

double DecodeRate(const PhotoFiles& files, int threads, int side) {
  std::atomic<size_t> next{0};
  const auto start = Clock::now();
  std::vector<std::jthread> pool;
  for (int t = 0; t < threads; ++t)
    pool.emplace_back([&] {
      Image image;
      DecodeOptions options;
      options.resize_rows = side > 0 ? side : 224;
      std::vector<uint8_t> thumbnail;
      std::vector<float> pixels(static_cast<size_t>(side) * static_cast<size_t>(side) * 3);
      std::vector<char> scratch(cpu::PreprocessScratchBytes(side) + 64);
      char* aligned = scratch.data() + 64 - reinterpret_cast<uintptr_t>(scratch.data()) % 64;
      for (size_t i; (i = next++) < files.bytes.size();) {
        if (!DecodeImage(files.bytes[i], options, &image).ok()) std::abort();
        if (side > 0 && (!MakeThumbnail(image, 96, &thumbnail).ok() ||
                         !cpu::Preprocess({image.pixels, {&image.entry, 1}}, 0, side, side, {}, aligned, pixels.data()).ok()))
          std::abort();
      }
    });
  pool.clear();
  return static_cast<double>(files.bytes.size()) / SecondsSince(start);
}

}  // namespace couplet::bench
