// Memory in large pages where the system offers them: the first touch of a 4 KB page costs up to 2 us in a virtual
// machine, 40 ms for Inception's weights alone.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>

namespace couplet::cpu {

// Aligned to kArenaAlignment, to a large page from that size on. nullptr when there is none left.
void* AllocateAligned(size_t bytes);
void FreeAligned(void* data, size_t bytes);  // `bytes` as allocated

// Hands out small pieces of large blocks. A block lives as long as a piece of it does. Thread-safe.
class PieceAllocator {
 public:
  std::shared_ptr<float> Allocate(size_t bytes);  // nullptr when there is no memory left

 private:
  std::mutex mutex_;
  std::shared_ptr<std::byte> block_;
  size_t used_ = 0, size_ = 0;
};

}  // namespace couplet::cpu
