// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): counter-based, so a draw
// depends on its address alone and the CPU and a GPU draw the same. C++14 and no library: kernels include it too.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace couplet {

struct Philox4 {
  uint32_t v[4];
};

// Which use a random number is drawn for: counter word 2.
enum PhiloxStream : uint32_t {
  kStreamTrain = 0,
  kStreamValidation = 1,
  kStreamTest = 2,
  kStreamWeights = 3,
  kStreamDistortion = 4,
  kStreamSubset = 5,
};

// The bare function: ten rounds on counter (c0, c1, c2, c3) under key (low, high half of `key`).
COUPLET_HOST_DEVICE inline Philox4 Philox4x32(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = static_cast<uint64_t>(0xD2511F53u) * c0;
    const uint64_t p1 = static_cast<uint64_t>(0xCD9E8D57u) * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  Philox4 out;
  out.v[0] = c0;
  out.v[1] = c1;
  out.v[2] = c2;
  out.v[3] = c3;
  return out;
}

// Couplet's addresses: key = seed (low, high), counter = (row, step, stream, 0).
COUPLET_HOST_DEVICE inline Philox4 Philox(uint64_t seed, uint32_t row, uint32_t step, uint32_t stream) {
  return Philox4x32(seed, row, step, stream, 0);
}

}  // namespace couplet
