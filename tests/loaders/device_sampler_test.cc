// The sampler with each of its sources: a libnvidia-ml.so.1, a tegrastats and trees of /sys and /proc made for it.
// SPDX-License-Identifier: Apache-2.0
#include "loaders/device_sampler.h"

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "tests/support/board_tree.h"
#include "tests/support/emulator.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

using namespace std::chrono_literals;

std::string FakeNvml() { return test::ProgramPath("tests/nvml/libnvidia-ml.so.1"); }

// Sets a variable of the environment for a while.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

// Nothing but what a test adds, at a pace of 1 ms.
DeviceSamplerOptions Bare(const test::TempDir& dir) {
  return {.interval = 1ms, .nvml = dir / "no.so", .tegrastats = dir / "none", .root = dir.path()};
}

// Until the sampler has said so, ten seconds at most.
template <class Predicate>
bool Eventually(const Predicate& predicate) {
  for (int i = 0; i < 10'000; ++i) {
    if (predicate()) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

constexpr char kStartsAnything[] = "an emulator does not say that a program, tegrastats here, could not be started";

void WriteProgram(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
  REQUIRE(chmod(path.c_str(), 0755) == 0);
}

TEST_CASE("device sampler: NVML comes first, and tells load, memory, power and temperature [threads]") {
  const test::TempDir dir;
  test::WriteTx2(dir.path());
  const Variable figures("COUPLET_FAKE_NVML", "87 2048 143771 350000 61");
  DeviceSamplerOptions options = Bare(dir);
  options.nvml = FakeNvml();
  const DeviceSampler sampler(options);
  CHECK(sampler.source() == "NVML");
  REQUIRE(Eventually([&] { return sampler.samples().size() >= 3; }));
  const DeviceSample sample = sampler.latest();
  CHECK(sample.gpu_percent == 87);
  CHECK(sample.gpu_memory_mb == 2048);
  CHECK(sample.gpu_memory_total_mb == 143771);
  CHECK(sample.watts == 350);
  CHECK(sample.celsius == 61);
  CHECK(sampler.gpu_percent().mean == doctest::Approx(87));
  CHECK(sampler.watts().most == doctest::Approx(350));
  // 350 W from some moment after the beginning until now.
  REQUIRE(sampler.joules().has_value());
  const double joules = *sampler.joules(), seconds = sampler.latest().seconds;
  CHECK(joules > 0);
  CHECK(joules <= 350 * (seconds + 10));
}

TEST_CASE("device sampler: a GPU that keeps power to itself has no energy") {
  const test::TempDir dir;
  const Variable figures("COUPLET_FAKE_NVML", "5 1 2 - -");
  DeviceSamplerOptions options = Bare(dir);
  options.nvml = FakeNvml();
  const DeviceSampler sampler(options);
  REQUIRE(Eventually([&] { return sampler.samples().size() >= 2; }));
  CHECK(sampler.latest().gpu_percent == 5);
  CHECK_FALSE(sampler.latest().watts.has_value());
  CHECK_FALSE(sampler.joules().has_value());
  CHECK_FALSE(sampler.watts().mean.has_value());
}

TEST_CASE("device sampler: CUDA_VISIBLE_DEVICES says which GPU NVML is asked about") {
  if (test::Emulated()) COUPLET_SKIP(kStartsAnything);
  const test::TempDir dir;
  const Variable figures("COUPLET_FAKE_NVML", "5 1 2 3 4");
  DeviceSamplerOptions options = Bare(dir);
  options.nvml = FakeNvml();
  for (const auto& [devices, found] : {std::pair{"0", true}, {"0,1", true}, {"1", false}, {"GPU-0", true}, {"GPU-9", false}}) {
    CAPTURE(devices);
    const Variable visible("CUDA_VISIBLE_DEVICES", devices);
    CHECK(DeviceSampler(options).source() == (found ? "NVML" : ""));
  }
}

TEST_CASE("device sampler: where NVML does not tell the load, tegrastats does, and its last whole line counts [threads]") {
  const test::TempDir dir;
  test::WriteLoad(dir.path(), 10, 10, 8'000'000, 4'000'000);
  const Variable figures("COUPLET_FAKE_NVML", "- 1 2 - -");
  DeviceSamplerOptions options = Bare(dir);
  options.nvml = FakeNvml();
  options.tegrastats = dir / "tegrastats";
  WriteProgram(options.tegrastats,
               "#!/bin/sh\n[ \"$1 $2\" = '--interval 1' ] || exit 1\n"
               "echo 'RAM 1/7846MB CPU [0%@960] GR3D_FREQ 11%@140 VDD_IN 1000/1000'\n"
               "echo 'RAM 2/7846MB CPU [0%@960] GR3D_FREQ 53%@140 GPU@41C VDD_IN 3177/3177'\n"
               "printf 'RAM 3/7846MB CPU [0%%@960] GR3D_FREQ 99%%@1'\nexec sleep 100\n");
  const DeviceSampler sampler(options);
  CHECK(sampler.source() == "tegrastats");
  REQUIRE(Eventually([&] { return sampler.latest().gpu_percent == 53; }));
  CHECK(sampler.latest().watts == doctest::Approx(3.177));
  CHECK(sampler.latest().celsius == 41);
  // Memory is /proc's.
  CHECK(sampler.latest().memory_mb == doctest::Approx(3906.25));
}

TEST_CASE("device sampler: sysfs where tegrastats is absent, and /proc alone where there is no GPU") {
  if (test::Emulated()) COUPLET_SKIP(kStartsAnything);
  const test::TempDir dir;
  test::WriteLoad(dir.path(), 10, 10, 8'000'000, 4'000'000);
  {
    const DeviceSampler sampler(Bare(dir));
    CHECK(sampler.source().empty());
    REQUIRE(Eventually([&] { return !sampler.samples().empty(); }));
    CHECK(sampler.latest().memory_total_mb == doctest::Approx(7812.5));
    CHECK_FALSE(sampler.latest().gpu_percent.has_value());
  }
  test::WriteOrin(dir.path());
  const DeviceSampler sampler(Bare(dir));
  CHECK(sampler.source() == "sysfs");
  REQUIRE(Eventually([&] { return sampler.latest().watts.has_value(); }));
  CHECK(sampler.latest().watts == doctest::Approx(9));
}

TEST_CASE("device sampler: a long run is thinned evenly [threads]") {
  const test::TempDir dir;
  test::WriteLoad(dir.path(), 10, 10, 8, 4);
  DeviceSamplerOptions options = Bare(dir);
  options.interval = 0ms;
  const DeviceSampler sampler(options);
  std::vector<DeviceSample> before, samples;
  REQUIRE(Eventually([&] {
    samples = sampler.samples();
    if (samples.size() < before.size()) return true;
    before = samples;
    return false;
  }));
  CHECK(before.size() <= DeviceSampler::kMostSamples);
  // What was there when it became too much, but for what came between two looks.
  for (size_t i = 0; 2 * i < before.size(); ++i) CHECK(samples[i].seconds == before[2 * i].seconds);
  for (size_t i = 1; i < samples.size(); ++i) CHECK(samples[i].seconds > samples[i - 1].seconds);
}

}  // namespace
}  // namespace couplet
