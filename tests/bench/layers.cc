// The convolutions of the networks, one thread, by our kernels and by oneDNN's in turn, in processor time (make CPU=onednn layer-bench; else
// ours alone): what CPU=auto goes by.
// Then whole networks, where their graphs are.
// layer_bench [ROUNDS [SHARED_DIR [AVX2]]]
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "models/backbone.h"
#include "models/photo_network.h"
#include "runtime/backend.h"
#include "runtime/cpu/dispatch.h"
#include "runtime/cpu/fma_peak.h"
#include "tests/bench/one_layer.h"
#include "tests/bench/timing.h"

namespace couplet::bench {
namespace {

using test::ConvShape;

// Of this thread's processor time, so that what else runs on the machine takes no part in it but through the caches.
double ProcessorSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Timed {
  OneLayer layer;
  std::vector<double> microseconds = {};
};

double Run(const Timed& timed, int repeats) {
  const double start = ProcessorSeconds();
  for (int i = 0; i < repeats; ++i) timed.layer.Run();
  return (ProcessorSeconds() - start) * 1e6 / repeats;
}

const char* KindOf(const ConvShape& s) {
  if (s.depthwise) return "depthwise 3x3";
  if (s.ic == 3) return "first 3x3/2";
  if (s.ih == 1) return "fully connected";
  return s.kh * s.kw == 1 ? "1x1" : "k x k";
}

void Bench(const std::string& network, const std::vector<ConvShape>& shapes, int rounds) {
  std::vector<std::unique_ptr<Backend>> backends;
  for (const CpuKernels kernels : BuiltCpuKernels())
    backends.push_back(MakeCpuBackend(kernels));
  const double peak = cpu::BestFmaPeak(0.2);
  fmt::print("\n{}: {:.0f} GFLOP/s of FMA on one core; microseconds, own then oneDNN\n", network, peak / 1e9);
  std::map<std::string, std::vector<double>> sums;
  for (const ConvShape& s : shapes) {
    const Layer layer = MakeLayer(s);
    const Shape src = {.n = 1, .h = s.ih, .w = s.iw, .c = s.ic};
    std::vector<Timed> timed;
    for (const auto& backend : backends) timed.push_back({OneLayer(*backend, layer, src)});
    const int repeats = std::max(1, static_cast<int>(1e3 / std::max(1.0, Run(timed[0], 3))));
    for (int round = 0; round < rounds; ++round)
      for (size_t i = 0; i < timed.size(); ++i) {
        Timed& t = timed[round % 2 == 0 ? i : timed.size() - 1 - i];
        t.microseconds.push_back(Run(t, repeats));
      }
    const double flops = 2.0 * s.kh * s.kw * (s.depthwise ? 1 : s.ic) * s.oc * s.oh() * s.ow();
    std::string line = fmt::format("  {:<46} floor {:>8.1f}", s.name, 1e6 * flops / peak);
    auto& sum = sums[KindOf(s)];
    sum.resize(timed.size() + 1);
    sum.back() += 1e6 * flops / peak;
    for (size_t i = 0; i < timed.size(); ++i) {
      const double best = *std::min_element(timed[i].microseconds.begin(), timed[i].microseconds.end());
      sum[i] += best;
      line += fmt::format(" {:>8.1f} ({:>3.0f} %)", best, 1e8 * flops / peak / best);
    }
    fmt::print("{}\n", line);
  }
  for (const auto& [kind, sum] : sums) {
    std::string line = fmt::format("  sum of {:<39} floor {:>8.1f}", kind, sum.back());
    for (size_t i = 0; i + 1 < sum.size(); ++i) line += fmt::format(" {:>8.1f} ({:>3.0f} %)", sum[i], 100 * sum.back() / sum[i]);
    fmt::print("{}\n", line);
  }
}

// Whole networks to their bottleneck, one photo on one thread, the kinds of kernels in turn; each round the median of
// several runs.
void BenchNetwork(const std::string& file, int rounds) {
  BackboneOptions options;
  options.model_file = file;
  auto backbone = Backbone::Open(options, {});
  if (!backbone.ok()) {
    fmt::print(stderr, "{}\n", backbone.status().message());
    std::exit(2);
  }
  const double peak = cpu::BestFmaPeak(0.2);
  const double flops = GraphFlops(backbone->graph());
  struct Network {
    std::unique_ptr<Backend> backend;
    std::shared_ptr<const Session> session;
    std::unique_ptr<Session::Worker> worker;
    std::vector<float> pixels;
    std::vector<double> milliseconds = {};
  };
  std::vector<Network> networks;
  for (const CpuKernels kernels : BuiltCpuKernels()) {
    auto backend = MakeCpuBackend(kernels);
    auto network = MakePhotoNetwork(backbone->graph(), *backend);
    auto session = network.ok() ? network->make_session({}) : Result<std::shared_ptr<const Session>>(network.status());
    if (!session.ok()) std::abort();
    auto worker = (*session)->NewWorker();
    std::vector<float> pixels(static_cast<size_t>((*session)->input_shape().per_image()), 0.25f);
    std::vector<float> dst(static_cast<size_t>((*session)->output_size()));
    if (!worker.ok() || !(*session)->RunPixels(**worker, pixels, dst).ok()) std::abort();
    networks.push_back({std::move(backend), std::move(*session), std::move(*worker), std::move(pixels)});
  }
  constexpr int kRuns = 7;
  for (int round = 0; round < rounds; ++round)
    for (size_t i = 0; i < networks.size(); ++i) {
      Network& n = networks[round % 2 == 0 ? i : networks.size() - 1 - i];
      std::vector<double> runs;
      for (int run = 0; run < kRuns; ++run) {
        const double start = ProcessorSeconds();
        if (!n.session->RunAgain(*n.worker, 1, 1).ok()) std::abort();
        runs.push_back((ProcessorSeconds() - start) * 1e3);
      }
      n.milliseconds.push_back(Median(runs));
    }
  fmt::print("\n{}: {:.0f} GFLOP/s of FMA on one core, floor {:.3f} ms\n", file, peak / 1e9, 1e3 * flops / peak);
  for (const Network& n : networks) {
    const double least = *std::min_element(n.milliseconds.begin(), n.milliseconds.end());
    fmt::print("  {:<40} median {:>8.3f} ms, least {:>8.3f} ms, {:.0f} % of the peak\n", n.backend->description(),
               Median(n.milliseconds), least, 1e5 * flops / peak / least);
  }
}

}  // namespace
}  // namespace couplet::bench

int main(int argc, char** argv) {
  using namespace couplet;
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 6;
  if (argc > 3 && argv[3] == std::string_view(cpu::Name(cpu::Simd::kAvx2))) {
    cpu::LimitSimd(cpu::Simd::kAvx2);
    setenv("ONEDNN_MAX_CPU_ISA", "AVX2", 1);  // read when oneDNN is first asked for something
  }
  bench::Bench("MobileNet 0.25_128", test::MobileNetConvs(25, 128), rounds);
  bench::Bench("MobileNet 0.50_224", test::MobileNetConvs(50, 224), rounds);
  bench::Bench("MobileNet 1.0_224", test::MobileNetConvs(100, 224), rounds);
  bench::Bench("Inception v3", test::InceptionConvs(), rounds);
  const std::string models = argc > 2 ? std::string(argv[2]) + "/models/" : "";
  for (const char* file : {"mobilenet_v1_0.25_128/frozen_graph.pb", "mobilenet_v1_0.50_224/quantized_graph.pb",
                           "mobilenet_v1_0.75_224/quantized_graph.pb", "inception_2015/classify_image_graph_def.pb"})
    if (argc > 2 && std::filesystem::exists(models + file)) bench::BenchNetwork(models + file, rounds);
}
