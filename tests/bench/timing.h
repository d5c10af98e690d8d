// What the benchmarks share: clocks, medians, whole processes, material. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/classifier_head.h"
#include "models/feature_extractor.h"
#include "runtime/graph.h"

namespace couplet::bench {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start);
double Median(std::vector<double> values);

// From the start of the process to its end, in milliseconds; its output is thrown away. Ends this program when the
// other one fails.
double RunMilliseconds(const std::vector<std::string>& argv);

struct PhotoFiles {
  std::vector<Photo> photos;                // by path
  std::vector<std::vector<uint8_t>> bytes;  // of each file
};
// Every .jpg below `dir`.
PhotoFiles LoadPhotos(const std::string& dir);

// `count` of them from all over: neighbours in the order of names are of one class, and one class's files are larger than another's.
template <class T>
std::vector<T> EvenlySpread(const std::vector<T>& all, size_t count) {
  count = std::min(count, all.size());
  std::vector<T> some;
  for (size_t i = 0; i < count; ++i) some.push_back(all[i * all.size() / count]);
  return some;
}

// 3,000 vectors made from a seed, uniform in [0, 2), eight tenths of them for training.
std::shared_ptr<const HeadData> MakeHeadData(int features, int classes);

// Multiply-adds times two of the layers that do nearly all the work, for one photo.
double GraphFlops(const Graph& graph);
// Photos a second decoded, each read from memory, on all `threads` threads together. `side` > 0: also what else extraction
// does to a photo before the network: resized to `side` x `side` floats, and made a thumbnail of.
double DecodeRate(const PhotoFiles& files, int threads, int side = 0);

}  // namespace couplet::bench
