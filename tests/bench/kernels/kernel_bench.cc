// Times the kernels on a GPU: each row beside its floor, which is its bytes over this device's own copy rate.
// Usage: kernel_bench [BATCH [KERNEL]]
// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT
#include <cuda_runtime.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/bench/kernels/rows.h"

namespace couplet::bench {
namespace {

constexpr int kLaunches = 48, kRounds = 7;

void Demand(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "kernel_bench: %s: %s\n", what, cudaGetErrorString(error));
  std::exit(3);
}

// Milliseconds between two events around one run of `graph`: the median of kRounds.
double MedianMs(cudaGraphExec_t graph, cudaStream_t stream) {
  cudaEvent_t begin = nullptr, end = nullptr;
  Demand(cudaEventCreate(&begin), "cudaEventCreate");
  Demand(cudaEventCreate(&end), "cudaEventCreate");
  std::vector<float> times;
  for (int i = 0; i < kRounds + 1; ++i) {  // the first one warms up
    Demand(cudaEventRecord(begin, stream), "cudaEventRecord");
    Demand(cudaGraphLaunch(graph, stream), "cudaGraphLaunch");
    Demand(cudaEventRecord(end, stream), "cudaEventRecord");
    Demand(cudaEventSynchronize(end), "the kernels");
    float ms = 0.0f;
    Demand(cudaEventElapsedTime(&ms, begin, end), "cudaEventElapsedTime");
    if (i > 0) times.push_back(ms);
  }
  Demand(cudaEventDestroy(begin), "cudaEventDestroy");
  Demand(cudaEventDestroy(end), "cudaEventDestroy");
  std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
  return static_cast<double>(times[kRounds / 2]);
}

// Milliseconds of one launch, of kLaunches recorded into a graph: the host's share is not in it.
double LaunchMs(const LaunchNext& launch, cudaStream_t stream) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t ready = nullptr;
  Demand(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  for (int i = 0; i < kLaunches; ++i) Demand(static_cast<cudaError_t>(launch(stream)), "a launch");
  Demand(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
#if CUDART_VERSION >= 11040
  Demand(cudaGraphInstantiateWithFlags(&ready, graph, 0), "cudaGraphInstantiateWithFlags");
#else
  Demand(cudaGraphInstantiate(&ready, graph, nullptr, nullptr, 0), "cudaGraphInstantiate");
#endif
  const double ms = MedianMs(ready, stream) / kLaunches;
  Demand(cudaGraphExecDestroy(ready), "cudaGraphExecDestroy");
  Demand(cudaGraphDestroy(graph), "cudaGraphDestroy");
  return ms;
}

// Bytes/s read and written by copies within the device.
double CopyRate(cudaStream_t stream) {
  const size_t bytes = size_t{256} << 20;
  const test::DeviceBytes from(bytes), to(bytes);
  const double ms = LaunchMs(
      [&](DeviceStream s) {
        return static_cast<LaunchResult>(
            cudaMemcpyAsync(to.data(), from.data(), bytes, cudaMemcpyDeviceToDevice, s));
      },
      stream);
  return 2.0 * static_cast<double>(bytes) / (ms * 1e-3);
}

int Main(int argc, char** argv) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::fprintf(stderr, "kernel_bench: no CUDA device here\n");
    return 3;
  }
  const int batch = argc > 1 ? std::atoi(argv[1]) : 32;
  if (batch < 1) {
    std::fprintf(stderr, "usage: kernel_bench [BATCH [KERNEL]]\n");
    return 2;
  }
  cudaDeviceProp device;
  Demand(cudaGetDeviceProperties(&device, 0), "cudaGetDeviceProperties");
  cudaStream_t stream = nullptr;
  Demand(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  const double rate = CopyRate(stream);
  std::printf("%s, copies at %.0f GB/s\n", device.name, rate * 1e-9);
  std::printf("%-22s %-44s %10s %8s %8s %9s\n", "kernel", "case", "us", "GB/s", "TFLOP/s", "of floor");
  for (const KernelRow& row : AllRows(batch)) {
    if (argc > 2 && row.kernel != argv[2]) continue;
    const LaunchNext launch = row.prepare();
    if (launch(stream) == kLaunchNotSupported) {
      std::printf("%-22s %-44s not on this device\n", row.kernel.c_str(), row.name.c_str());
      continue;
    }
    const double ms = LaunchMs(launch, stream);
    std::printf("%-22s %-44s %10.2f %8.0f %8.2f %8.0f%%\n", row.kernel.c_str(), row.name.c_str(), ms * 1e3,
                row.bytes / ms * 1e-6, row.flops / ms * 1e-9, 100.0 * row.bytes / rate / (ms * 1e-3));
    std::fflush(stdout);
  }
  Demand(cudaStreamDestroy(stream), "cudaStreamDestroy");
  return 0;
}

}  // namespace
}  // namespace couplet::bench

int main(int argc, char** argv) {
  doctest::Context context;  // device memory's own checks are doctest's
  context.setAsDefaultForAssertsOutOfTestCases();
  return couplet::bench::Main(argc, argv);
}
