// SPDX-License-Identifier: Apache-2.0
#include "apps/device.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>
#include <vector>

#include "apps/cli.h"
#include "apps/console.h"
#include "loaders/files.h"
#include "runtime/cuda_loader.h"

namespace couplet {
namespace {

constexpr const char* kGroup = "Device";
constexpr const char* kWatchVariable = "COUPLET_CUDA_WATCH";
constexpr const char* kDiscarded = "unprinted";  // its value where standard output is

}  // namespace

std::string TuningPath(const std::string& precision) {
  const char* own = std::getenv("COUPLET_TUNING");
  if (own != nullptr) return JoinPath(own, precision + ".txt");
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache != 0) return JoinPath(cache, "couplet/tuning/" + precision + ".txt");
  const char* home = std::getenv("HOME");
  return home != nullptr ? JoinPath(home, ".cache/couplet/tuning/" + precision + ".txt") : "";
}

CudaOptions MakeCudaOptions(const DeviceOptions& o) {
  CudaOptions options;
  for (const Precision precision : {Precision::kTf32, Precision::kFp16})
    if (o.precision == Name(precision)) options.precision = precision;
  options.memory_limit_bytes = static_cast<size_t>(o.gpu_memory_mb) << 20;
  const std::string path = TuningPath(o.precision);
  std::vector<uint8_t> kept;
  if (!path.empty() && FileExists(path) && ReadFile(path, uint64_t{1} << 20, &kept).ok())
    options.tuning.assign(kept.begin(), kept.end());
  return options;
}

void DeclareDeviceFlags(CommandLine& flags, DeviceOptions& o) {
  flags.Group(kGroup);
  flags.Add("--device", &o.device,
                 "auto: a GPU where there is one and the job is large enough; cpu; cuda").OneOf({"auto", "cpu", "cuda"});
  flags.Add("--precision", &o.precision, "fp32; on a GPU also tf32 or fp16, on a CPU int8: about twice as fast, a little less exact").OneOf({"fp32", "tf32", "fp16", "int8"});
  flags.Add("--gpu_memory_mb", &o.gpu_memory_mb, "memory to use of a GPU, 0 = what is free; seven tenths of that are planned with").Between(0, 1 << 24);
  flags.Add("--list_devices", &o.list_devices, "print what there is to compute with, and end");
  flags.Add("--profile", &o.profile,
                 "print what took how long, layer by layer; --profile=FILE: where the trace for "
                 "chrome://tracing goes "
                 "[couplet_trace.json]");
}

Status CheckDeviceOptions(const DeviceOptions& o) {
  if (o.precision == Name(Precision::kInt8)) {
    if (o.device == "cuda") return BadInput("--precision=int8: a GPU computes in fp32, tf32 or fp16; name one of them, or use --device=cpu");
    if (!Int8IsFast())
      return BadInput("--precision=int8: this processor multiplies bytes no faster than floats (it has none of AVX-512 VNNI, AVX-VNNI "
                      "and Arm's SDOT); leave it out");
  } else if (o.device == "cpu" && o.precision != "fp32") {
    return BadInput(fmt::format("--precision={}: the CPU computes in fp32 or int8; leave it out, or use --device=cuda", o.precision));
  }
  return {};
}

std::string DescribeDevices() {
  return fmt::format("cpu: {}{}\n{}", MakeCpuBackend()->description(), Int8IsFast() ? "; --precision=int8" : "", DescribeCudaDevices());
}

Result<std::unique_ptr<Backend>> OpenDevice(const DeviceOptions& o,
                                            const std::function<Result<bool>()>& worth_a_gpu) {
  if (o.precision == Name(Precision::kInt8)) {  // on no GPU, so that `auto` finds nothing to choose
    auto cpu = MakeInt8CpuBackend();
    LogInfo("Using " + cpu->description());
    return cpu;
  }
  if (o.device == "cpu") return MakeCpuBackend();
  if (o.device == "auto") {
    if (FindCudaLibrary().empty() || !ProbeCudaDriver().ok()) return MakeCpuBackend();
    COUPLET_ASSIGN_OR_RETURN(const bool worth_it, worth_a_gpu());
    if (!worth_it) return MakeCpuBackend();
  }
  auto gpu = LoadCudaBackend(MakeCudaOptions(o));
  if (gpu.ok()) {
    LogInfo("Using " + (*gpu)->description());
    return gpu;
  }
  if (o.device == "cuda") return Status(Code::kDevice, "--device=cuda: " + gpu.status().message());
  LogWarning("No GPU is used: " + gpu.status().message());
  return MakeCpuBackend();
}

void LogMemoryPlan(const MemoryPlan& plan) {
  if (plan.budget != 0) LogInfo(Describe(plan));
}

bool FallsBack(const DeviceOptions& o, const Backend& backend, const Status& status) {
  const bool device_failed = status.code() == Code::kDevice || status.code() == Code::kOutOfMemory;
  if (o.device != "auto" || backend.kind() == "cpu" || !device_failed) return false;
  LogWarning("The GPU could not do it, the CPU does it anew: " + status.message());
  return true;
}

void RunAgainWatched(const DeviceOptions& o, const Status& status, bool printed, char** argv) {
  if (o.device != "cuda" || !status.message().ends_with(kLayerUnknown)) return;
  LogWarning("Once more, with every layer waited for, to name the one that failed: " +
             status.message().substr(0, status.message().size() - kLayerUnknown.size()));
  std::fflush(stdout);
  if (printed) {
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere < 0 || dup2(nowhere, STDOUT_FILENO) < 0) return;
  }
  setenv(kWatchVariable, printed ? kDiscarded : "1", 1);
  execv("/proc/self/exe", argv);
}

Status AfterWatch(Status status) {
  const char* const watch = std::getenv(kWatchVariable);
  if (!status.ok() || watch == nullptr || std::string_view(watch) != kDiscarded) return status;
  return DeviceError("the GPU failed, but not again when every layer was waited for; what was printed before is complete, photo by photo");
}

Profile* WantedProfile(const DeviceOptions& o, const Backend& backend, Profile* profile) {
  if (o.profile.empty()) return nullptr;
  (void)backend.floor_ms(1, 1);
  return profile;
}

Status WriteProfile(const DeviceOptions& o, const Profile& profile) {
  Write(stderr, profile.Table());
  COUPLET_RETURN_IF_ERROR(WriteFileAtomically(o.profile, profile.ChromeTrace()));
  LogInfo(fmt::format("Wrote {}; open it with chrome://tracing or ui.perfetto.dev", o.profile));
  return {};
}

}  // namespace couplet
