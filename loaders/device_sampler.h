// Watches the machine while a program works: one thread, one sample an interval, from the first source that tells the
// GPU's load, and from /proc for processors and memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "loaders/device_sample.h"

namespace couplet {

struct DeviceSamplerOptions {
  std::chrono::milliseconds interval{500};
  // Where the sources are looked for, in this order; tests have their own.
  std::string nvml = "libnvidia-ml.so.1";
  std::string tegrastats = "tegrastats";  // a program in $PATH, or a path
  std::string root;                       // before /sys and /proc
};

// Thread-safe.
class DeviceSampler {
 public:
  // More are thinned out: every second is dropped, and from then on half as many are kept.
  static constexpr size_t kMostSamples = 1024;

  explicit DeviceSampler(const DeviceSamplerOptions& options = {});
  ~DeviceSampler();
  DeviceSampler(const DeviceSampler&) = delete;
  DeviceSampler& operator=(const DeviceSampler&) = delete;

  // "NVML", "tegrastats", "sysfs"; "" where nothing tells about a GPU.
  const std::string& source() const { return source_; }
  DeviceSample latest() const;
  // All since the beginning, oldest first; thinned (see above).
  std::vector<DeviceSample> samples() const;
  // What was used since the beginning: power over time. Nothing as long as no power was told.
  std::optional<double> joules() const;
  // Means and maxima weigh every sample alike, also those that were thinned out.
  struct Summary {
    std::optional<double> mean, most;
  };
  Summary gpu_percent() const;
  Summary watts() const;

 private:
  class Source;
  class NvmlSource;
  class TegrastatsSource;
  class SysfsSource;
  struct Sum {
    double sum = 0, most = 0;
    size_t count = 0;
    void Add(std::optional<double> value);
    Summary summary() const;
  };

  void FindSource(const DeviceSamplerOptions& options);
  void Watch();
  void Keep(const DeviceSample& sample);
  double Now() const;

  const std::chrono::milliseconds interval_;
  const std::string root_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::string source_;
  std::unique_ptr<Source> gpu_;  // the thread's own

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable stop_changed_;
  bool stop_ = false;
  DeviceSample latest_;
  std::vector<DeviceSample> samples_;
  size_t seen_ = 0, keep_every_ = 1;
  double joules_ = 0;
  bool power_known_ = false;
  Sum gpu_percent_, watts_;

  std::thread thread_;
};

}  // namespace couplet
