// What the loader says where there is no CUDA engine, and that a program without a device maps no NVIDIA library.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda_loader.h"

#include <cstdlib>
#include <fstream>

#include "tests/support/test.h"

using namespace couplet;

namespace {

// Sets an environment variable for a scope.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) { setenv(name, value.c_str(), 1); }
  ~Environment() { unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
};

bool MapsNvidia() {
  std::ifstream maps("/proc/self/maps");
  const std::string text((std::istreambuf_iterator<char>(maps)), {});
  for (const char* const name : {"libcuda.so", "libcudart", "libcublas", "libcudnn", "libcouplet_cuda"})
    if (text.find(name) != std::string::npos) return true;
  return false;
}

}  // namespace

TEST_CASE("cuda loader: without a driver the reason is one line and nothing of NVIDIA's is mapped") {
  if (ProbeCudaDriver().ok()) COUPLET_SKIP("this machine has an NVIDIA driver");
  CHECK(ProbeCudaDriver().code() == Code::kDevice);
  const bool mapped = MapsNvidia();  // stand-ins, where other tests opened them
  const test::TempDir dir;
  std::ofstream(dir / "libcouplet_cuda.so") << "not an object";
  const Environment library("COUPLET_CUDA_LIBRARY", dir / "libcouplet_cuda.so");
  const auto backend = LoadCudaBackend({});
  REQUIRE_FALSE(backend.ok());
  CHECK(backend.status().code() == Code::kDevice);
  CHECK(backend.status().message() == "no NVIDIA driver: libcuda.so.1 does not open; use --device=cpu");
  CHECK(DescribeCudaDevices() == backend.status().message() + "\n");
  CHECK(MapsNvidia() == mapped);
}

TEST_CASE("cuda loader: an engine that is not there, or not one, is named") {
  {
    const Environment none("COUPLET_CUDA_LIBRARY", "");
    if (FindCudaLibrary().empty()) {
      const auto backend = LoadCudaBackend({});
      REQUIRE_FALSE(backend.ok());
      CHECK(backend.status().code() == Code::kDevice);
      CHECK_HAS(backend.status().message(), "no CUDA engine");
    }
  }
  const Environment library("COUPLET_CUDA_LIBRARY", "/nowhere/libcouplet_cuda.so");
  CHECK(FindCudaLibrary() == "/nowhere/libcouplet_cuda.so");
}
