// The CUDA engine without a GPU: the object that is built against the stand-ins for NVIDIA's libraries
// (tests/support/standin). Opened directly, for the loader asks for a driver first; the programs' tests go
// through the loader.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "runtime/backend.h"
#include "runtime/cuda_loader.h"
#include "tests/support/test.h"

namespace couplet::test {

// Folder with the object, programs that find it beside them, and a libcuda.so.1; "" where it was not built.
std::string StandinDir();
// Environment of a program in that folder: it finds the folder's libcuda.so.1, and reports to `report`.
std::vector<std::string> StandinEnvironment(const std::string& report);

// A fresh played device for one test case. At its end nothing may be alive, and no mistake unasked for.
class StandinDevice {
 public:
  StandinDevice();
  ~StandinDevice();
  StandinDevice(const StandinDevice&) = delete;
  StandinDevice& operator=(const StandinDevice&) = delete;

  // See tests/support/standin/control.h.
  void Fail(const std::string& plan) const { fail_(plan.c_str()); }
  void Order(const std::string& order) const { order_(order.c_str()); }
  void Set(const std::string& property, const std::string& value) const {
    CHECK(set_(property.c_str(), value.c_str()));
  }
  long Calls(const std::string& name) const { return calls_(name.c_str()); }
  size_t PeakBytes() const { return peak_bytes_(); }
  std::string Alive() const { return Text(alive_); }
  std::string Mistakes() const { return Text(misuse_); }
  // Ends plans, counts, mistakes, a fault; the device as at start.
  void Reset() const;

 private:
  using Lister = size_t (*)(char*, size_t);
  static std::string Text(Lister lister);
  void (*fail_)(const char*);
  void (*order_)(const char*);
  bool (*set_)(const char*, const char*);
  long (*calls_)(const char*);
  Lister alive_, misuse_;
  size_t (*peak_bytes_)();
  void (*reset_)();
};

// The backend on the played device, as the object's entry point makes it.
Result<std::unique_ptr<Backend>> OpenStandinBackend(const CudaOptions& options = {});
// The same; fails the running test where it does not open.
std::unique_ptr<Backend> MakeStandinBackend(Precision precision = Precision::kFp32);

// What is written to stderr while it lives: by destructors, when a call that lets go fails.
class CapturedErrors {
 public:
  CapturedErrors();
  ~CapturedErrors();
  CapturedErrors(const CapturedErrors&) = delete;
  CapturedErrors& operator=(const CapturedErrors&) = delete;
  // Ends it.
  std::vector<std::string> Lines();

 private:
  void Restore();
  int stderr_;
  std::FILE* file_;
};

}  // namespace couplet::test

// Makes the fresh device `device`, or skips.
#define COUPLET_NEEDS_STANDIN(device)                                                              \
  if (::couplet::test::StandinDir().empty())                                                       \
    COUPLET_SKIP("the CUDA engine on stand-ins needs cuDNN's headers and CUDA's, 11.8 or newer"); \
  const ::couplet::test::StandinDevice device
