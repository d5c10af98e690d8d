// --device and the flags around it: which engine does a job, and what when a GPU cannot.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "models/profile.h"
#include "runtime/backend.h"
#include "runtime/cuda_loader.h"

namespace couplet {

class CommandLine;

// What makes `auto` look for a GPU. Opening one took 0.46 s on an H200 (docs/measured/h200.md). Two cores do 2,089 photos a second
// with MobileNet 0.25_128, 36 with Inception v3, and decode 3,780 (docs/measured/cpu.md), which then bounds a GPU: it pays from
// some 2,100 photos or 17 on. Between the two, as the network is not known here.
inline constexpr size_t kVectorsWorthGpu = 512;  // retrain: more than so many to be computed
inline constexpr size_t kPhotosWorthGpu = 256;   // label_image: so many or more

struct DeviceOptions {
  std::string device = "auto", precision = "fp32";
  int64_t gpu_memory_mb = 0;
  bool list_devices = false;
  std::string profile;  // file for the trace; "" = no profile
};

void DeclareDeviceFlags(CommandLine& flags, DeviceOptions& options);
// kBadInput: a precision that the CPU does not have.
Status CheckDeviceOptions(const DeviceOptions& options);

// Where make tune keeps its choices and OpenDevice looks for them: $COUPLET_TUNING/PRECISION.txt, else
// $XDG_CACHE_HOME/couplet/tuning/PRECISION.txt, else under ~/.cache; "" where there is no home.
std::string TuningPath(const std::string& precision);

// With the kept choices; what was made on another device or by other libraries is not used.
CudaOptions MakeCudaOptions(const DeviceOptions& options);

// For --list_devices.
std::string DescribeDevices();

// The engine for this job. `worth_a_gpu` is asked under `auto`, and only where there is a driver and a CUDA
// engine. Under `auto` a GPU that cannot be used is a line on stderr and the CPU; under `cuda` it is the
// error, kDevice.
Result<std::unique_ptr<Backend>> OpenDevice(const DeviceOptions& options,
                                            const std::function<Result<bool>()>& worth_a_gpu);

// Whether what failed so is to be done again on the CPU: `auto`, a GPU, and a device's error. Says so in one
// line.
bool FallsBack(const DeviceOptions& options, const Backend& backend, const Status& status);

// Where a GPU asked for by name was lost and the layer is not known: this process starts anew, once, and every layer is
// waited for. What of standard output is there already is not printed twice: `printed` discards the second run's, and then
// AfterWatch() has it end as a failure. Returns where nothing of it applies.
void RunAgainWatched(const DeviceOptions& options, const Status& status, bool printed, char** argv);
Status AfterWatch(Status status);

// What of a GPU's memory a job is planned to take, in one line, before its work begins; nothing where no memory is planned (CPU).
void LogMemoryPlan(const MemoryPlan& plan);

// Null, or `profile` where one was asked for; a CPU is measured now, before its threads have work.
Profile* WantedProfile(const DeviceOptions& options, const Backend& backend, Profile* profile);
// The table on stderr, the trace into options.profile.
Status WriteProfile(const DeviceOptions& options, const Profile& profile);

}  // namespace couplet
