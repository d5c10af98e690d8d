// What the programs of make gpu-check work on: devices, networks, photos. A failure ends the program with one line and
// the status's exit code: there is nobody to hand it to. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/backbone.h"
#include "runtime/backend.h"
#include "tests/bench/timing.h"

namespace couplet::gpu {

[[noreturn]] void Die(const Status& status);
template <class T>
T OrDie(Result<T> result) {
  if (!result.ok()) Die(result.status());
  return std::move(*result);
}
inline void OrDie(const Status& status) {
  if (!status.ok()) Die(status);
}

// "cpu" or "cuda"; `tune`: the ways to do each layer are raced here and now, as `make tune` does.
std::unique_ptr<Backend> OpenDevice(const std::string& device, Precision precision, bool tune = false);

// A graph file, or a network of the generator: "mobilenet_WIDTH_SIZE", "inception_v3", written below `temp` once.
Backbone OpenNetwork(const std::string& name, const std::string& temp);

// `n` of the photos, decoded and packed; from the start again where there are fewer.
struct PackedPhotos {
  std::vector<uint8_t> bytes;
  std::vector<ImageEntry> entries;
  ImageBatch batch() const { return {bytes, entries}; }
};
PackedPhotos DecodePhotos(const bench::PhotoFiles& files, int n);

}  // namespace couplet::gpu
