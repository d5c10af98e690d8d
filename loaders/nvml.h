// NVIDIA's management library, opened when it is asked for: a build needs no package of it, and where it is absent
// nothing is missed.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "loaders/device_sample.h"

namespace couplet {

class Nvml {
 public:
  // Null where there is no such library or it knows no GPU. The GPU is the first that $CUDA_VISIBLE_DEVICES names, by
  // number or by UUID, else number 0.
  static std::unique_ptr<Nvml> Open(const std::string& library);
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  // Fills what this GPU tells of load, memory, power and temperature.
  void Read(DeviceSample* sample) const;

 private:
  struct Calls;
  Nvml();
  std::unique_ptr<Calls> calls_;
};

}  // namespace couplet
