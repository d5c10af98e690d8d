// What the kernels' benchmark times: the models' own cases of tests/kernels/*_cases.h, each with the bytes it
// has to move. Nothing here knows of clocks: the tests launch every row once in the harness, kernel_bench
// times them on a GPU.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/device_memory.h"
#include "tests/support/values.h"

namespace couplet::bench {

using LaunchNext = std::function<LaunchResult(DeviceStream)>;

struct KernelRow {
  std::string kernel;                   // its row in docs/kernels.md
  std::string name;                     // "Inception pool_1, half, n=32"
  double bytes = 0.0;                   // that have to move, as docs/kernels.md counts them
  double flops = 0.0;                   // that have to be done, 0 where bytes always take longer
  std::function<LaunchNext()> prepare;  // allocates; what it gives launches once a call and owns the memory
};

// Kernels of photos and small layers, and depthwise convolutions of MobileNet 1.0_224, at batch `n`.
std::vector<KernelRow> LayerRows(int n);
std::vector<KernelRow> DepthwiseRows(int n);
// Kernels of the last layer: batch 100, 2,048 features, 5 classes. They stay in the cache from launch to
// launch, as in training.
std::vector<KernelRow> HeadRows();

inline std::vector<KernelRow> AllRows(int n) {
  std::vector<KernelRow> rows = LayerRows(n);
  for (auto& more : {DepthwiseRows(n), HeadRows()}) rows.insert(rows.end(), more.begin(), more.end());
  return rows;
}

// The same array several times over, so that one launch does not find in the cache what the last one left
// there.
template <class T>
class Rotating {
 public:
  // `bytes`: of all the launch's memory; together the copies exceed 96 MB, which no GPU's L2 holds, or
  // are 16.
  Rotating(size_t count, double bytes) {
    const int copies = static_cast<int>(std::clamp(96e6 / std::max(bytes, 1.0) + 1.0, 1.0, 16.0));
    // Random values: zeros run faster on some GPUs. The same million, over and over, is random enough.
    const auto some = test::Values(71).Reals(std::min<size_t>(count, 1 << 20));
    std::vector<typename test::DeviceArray<T>::Value> values(count);
    for (size_t i = 0; i < count; ++i)
      values[i] = static_cast<typename test::DeviceArray<T>::Value>(some[i % some.size()]);
    for (int i = 0; i < copies; ++i) arrays_.push_back(std::make_unique<test::DeviceArray<T>>(values));
  }
  T* at(size_t launch) const { return arrays_[launch % arrays_.size()]->data(); }

 private:
  std::vector<std::unique_ptr<test::DeviceArray<T>>> arrays_;
};

}  // namespace couplet::bench
