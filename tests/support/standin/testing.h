// For the tests of the stand-ins themselves: a fresh device, and what it has noted.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <string>
#include <vector>

#include "tests/support/standin/control.h"
#include "tests/support/standin/state.h"
#include "tests/support/test.h"

namespace couplet::standin {

// The device as at start, for one test case; at its end nothing is alive that was not before, and every
// mistake has been asked for.
class FreshDevice {
 public:
  FreshDevice() {
    couplet_standin_reset();
    couplet_standin_set("quiet", "1");
    alive_ = couplet_standin_alive(nullptr, 0);
  }
  ~FreshDevice() {
    CHECK(Mistakes() == "");
    couplet_standin_reset();
    while (cudaGetLastError() != cudaSuccess && !IsSticky(cudaPeekAtLastError())) {
    }
    LastError() = cudaSuccess;
    CHECK(couplet_standin_alive(nullptr, 0) == alive_);
  }
  FreshDevice(const FreshDevice&) = delete;
  FreshDevice& operator=(const FreshDevice&) = delete;

  // What was noted since the last call.
  static std::string Mistakes() {
    std::string text;
    for (const auto& line : TheState().misuse) text += line + "\n";
    TheState().misuse.clear();
    return text;
  }

 private:
  size_t alive_ = 0;
};

// Device or pinned memory of `count` floats, freed at the end.
class Floats {
 public:
  explicit Floats(size_t count, bool pinned = false) : count_(count), pinned_(pinned) {
    void* data = nullptr;
    const cudaError_t error =
        pinned ? cudaMallocHost(&data, count * sizeof(float)) : cudaMalloc(&data, count * sizeof(float));
    REQUIRE(error == cudaSuccess);
    data_ = static_cast<float*>(data);
  }
  explicit Floats(const std::vector<float>& values) : Floats(values.size()) {
    REQUIRE(cudaMemcpy(data_, values.data(), bytes(), cudaMemcpyHostToDevice) == cudaSuccess);
  }
  ~Floats() { CHECK((pinned_ ? cudaFreeHost(data_) : cudaFree(data_)) == cudaSuccess); }
  Floats(const Floats&) = delete;
  Floats& operator=(const Floats&) = delete;
  float* data() const { return data_; }
  size_t bytes() const { return count_ * sizeof(float); }
  std::vector<float> Read() const {
    std::vector<float> values(count_);
    CHECK(cudaMemcpy(values.data(), data_, bytes(), cudaMemcpyDefault) == cudaSuccess);
    return values;
  }

 private:
  size_t count_;
  bool pinned_;
  float* data_ = nullptr;
};

}  // namespace couplet::standin
