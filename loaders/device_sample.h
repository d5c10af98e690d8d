// How busy a machine is at one moment, from whatever source tells it. What is not known is absent, never zero.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

namespace couplet {

struct DeviceSample {
  double seconds = 0;  // since watching began
  std::optional<double> gpu_percent;
  // Memory of the GPU's own, MiB; a GPU that shares the host's has none.
  std::optional<double> gpu_memory_mb, gpu_memory_total_mb;
  std::optional<double> watts;    // the whole board's on a Jetson, else the GPU's
  std::optional<double> celsius;  // of the GPU
  std::optional<double> cpu_percent;  // of all processors together
  std::optional<double> memory_mb, memory_total_mb;  // the host's: total less MemAvailable, MiB
};

}  // namespace couplet
