// CPU against CUDA, layer by layer, on photos: the relative L2 distance of every layer's output, errors of the layers
// before it included, in each precision; then whether a photo's bits depend on its batch, and whether a second run
// gives the same bits. One line a network and precision; exit 1 when a bound is passed.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstring>

#include "tests/gpu/material.h"

namespace couplet::gpu {
namespace {

struct Bound {
  Precision precision;
  double layer, output;  // relative L2
};
// fp32: other orders of adding, some 100 layers deep. tf32 and fp16 keep 11 bits: 2^-11 = 5e-4 a rounding, which a
// layer's sums mostly average out, and each layer adds its own.
constexpr Bound kBounds[] = {{Precision::kFp32, 1e-4, 1e-4}, {Precision::kTf32, 1e-2, 1e-2}, {Precision::kFp16, 2e-2, 2e-2}};

// |got - want| / |want|; not a number where a value is none.
double RelativeL2(const std::vector<float>& got, const std::vector<float>& want) {
  double apart = 0, size = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    apart += (double{got[i]} - want[i]) * (double{got[i]} - want[i]);
    size += double{want[i]} * want[i];
  }
  return got.size() == want.size() ? std::sqrt(apart / size) : NAN;
}

struct Run {
  std::vector<std::vector<float>> layers;
  std::vector<float> out;
};

// The layers' outputs only of a session that keeps them.
Run RunAll(const Session& session, const PackedPhotos& photos, bool kept) {
  const int n = static_cast<int>(photos.entries.size());
  const auto worker = OrDie(session.NewWorker());
  Run run;
  run.out.resize(static_cast<size_t>(n * session.output_size()));
  OrDie(session.Run(*worker, photos.batch(), run.out));
  for (size_t i = 0; kept && i < session.graph().layers.size(); ++i)
    run.layers.push_back(OrDie(session.Output(*worker, static_cast<int>(i), n)));
  return run;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Rows of photos in one batch against every seventh of the photos alone, and against the batch a second time.
bool BitsDependOnBatch(const Session& session, const bench::PhotoFiles& files, int batch) {
  const auto worker = OrDie(session.NewWorker());
  const auto row = static_cast<size_t>(session.output_size());
  const PackedPhotos all = DecodePhotos(files, batch);
  std::vector<float> together(row * static_cast<size_t>(batch)), again(together.size()), alone(row);
  // The first run is watched, the second recorded, the third replayed: all have to give the same.
  OrDie(session.Run(*worker, all.batch(), together));
  bool depends = false;
  for (int i = 0; i < 3; ++i) {
    OrDie(session.Run(*worker, all.batch(), again));
    depends |= !SameBits(together, again);
  }
  for (size_t i = 0; i < static_cast<size_t>(batch); i += 7) {
    OrDie(session.Run(*worker, {all.bytes, std::span(all.entries).subspan(i, 1)}, alone));
    depends |= std::memcmp(alone.data(), together.data() + i * row, row * sizeof(float)) != 0;
  }
  return depends;
}

struct Options {
  std::vector<std::string> networks;
  std::string photos, temp = "build/gpu";
  int count = 2, batch = 40;
  bool tune = false;
};

int Main(const Options& o) {
  const bench::PhotoFiles files = bench::LoadPhotos(o.photos);
  if (files.photos.empty()) Die(BadInput(o.photos + ": no photos"));
  const auto cpu = OpenDevice("cpu", Precision::kFp32);
  const PackedPhotos photos = DecodePhotos(files, o.count);
  int failed = 0;
  fmt::print("{:<34} {:<5} {:>9} {:>9} {:>9}  {}\n", "network", "", "output", "layered", "worst", "layer");
  for (const std::string& name : o.networks) {
    const Backbone network = OpenNetwork(name, o.temp);
    const SessionOptions keep = {.max_batch = o.count, .keep_all = true};
    const Run want = RunAll(*OrDie(OrDie(network.Network(*cpu)).make_session(keep)), photos, true);
    for (const Bound& bound : kBounds) {
      const auto cuda = OpenDevice("cuda", bound.precision, o.tune);
      const auto session = OrDie(OrDie(network.Network(*cuda)).make_session(keep));
      const Run got = RunAll(*session, photos, true);
      // As programs run it: no layer is kept, so two of them may be one kernel.
      const auto plain = OrDie(OrDie(network.Network(*cuda)).make_session({.max_batch = o.batch}));
      double worst = 0;
      size_t at = 0;
      for (size_t i = 0; i < got.layers.size(); ++i) {
        const double error = RelativeL2(got.layers[i], want.layers[i]);
        if (!(error <= worst)) worst = error, at = i;
      }
      const double output = RelativeL2(got.out, want.out), plain_output = RelativeL2(RunAll(*plain, photos, false).out, want.out);
      const bool near = worst <= bound.layer && output <= bound.output && plain_output <= bound.output;
      const bool depends = BitsDependOnBatch(*plain, files, o.batch);
      fmt::print("{:<34} {:<5} {:>9.2e} {:>9.2e} {:>9.2e}  {}{}{}\n", name.substr(name.size() > 34 ? name.size() - 34 : 0),
                 Name(bound.precision), plain_output, output, worst, session->graph().layers[at].name,
                 near ? "" : fmt::format("  FAILED: over {:.0e}", bound.layer),
                 depends ? "  FAILED: a photo's bits depend on its batch or on the run" : "");
      std::fflush(stdout);
      failed += !near + depends;
    }
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace couplet::gpu

int main(int argc, char** argv) {
  couplet::gpu::Options o;
  CLI::App app("Compares the CUDA engine with the CPU engine, layer by layer.", "compare");
  app.add_option("--networks", o.networks, "mobilenet_WIDTH_SIZE, inception_v3, .pb files")->delimiter(',')->required();
  app.add_option("--photos", o.photos, "folder of JPEG files")->required();
  app.add_option("--temp", o.temp, "for generated graphs")->capture_default_str();
  app.add_option("--count", o.count, "photos to compare")->capture_default_str()->check(CLI::Range(1, 64));
  app.add_option("--batch", o.batch, "photos of the batch whose rows are held against the photos alone")
      ->capture_default_str()->check(CLI::Range(1, 256));
  app.add_flag("--tune", o.tune, "layers done as a race chooses, not as a fixed rule does");
  CLI11_PARSE(app, argc, argv);
  return couplet::gpu::Main(o);
}
