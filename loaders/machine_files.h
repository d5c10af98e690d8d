// What /proc and /sys tell of a machine's load, and the kernel of this process's own. `root` goes before their names: ""
// for this machine.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "loaders/device_sample.h"

namespace couplet {

// Processors and memory, from /proc/stat and /proc/meminfo.
class ProcLoad {
 public:
  explicit ProcLoad(std::string root) : root_(std::move(root)) {}
  // The processors' load is that since the last call; the first has none.
  void Read(DeviceSample* sample);

 private:
  std::string root_;
  std::optional<std::pair<double, double>> last_;  // busy, all; clock ticks
};

// The most memory this process had resident, and the processors' time of all its threads, since its start.
size_t PeakResidentBytes();
double ProcessorSeconds();

// A Jetson's GPU where tegrastats is absent: its load, temperature and the board's power (sensors INA3221).
class TegraSysfs {
 public:
  // Nothing where no such GPU is.
  static std::optional<TegraSysfs> Find(const std::string& root);
  void Read(DeviceSample* sample) const;

 private:
  // Files of one rail: its power, or voltage and current.
  struct Rail {
    std::string milliwatts, millivolts, milliamperes;
  };
  void FindRails(const std::string& root);
  void FindTemperature(const std::string& root);

  std::string load_, temperature_;
  std::vector<Rail> rails_;  // that add up to the board's
};

}  // namespace couplet
