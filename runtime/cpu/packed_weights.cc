// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/packed_weights.h"

#include <algorithm>
#include <mutex>
#include <new>

#include "runtime/large_pages.h"
#include "runtime/planner.h"

#if defined(__SANITIZE_ADDRESS__)
#define COUPLET_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define COUPLET_ASAN
#endif
#endif
#if defined(COUPLET_ASAN)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, bytes) static_cast<void>(bytes)
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes) static_cast<void>(bytes)
#endif

namespace couplet::cpu {
namespace {

constexpr size_t kBlock = 8 * kLargePage;

// Room for arrays, one after another; what nobody touches takes no memory. AddressSanitizer sees who reads past an array's end.
class Block {
 public:
  explicit Block(size_t bytes)
      : bytes_((bytes + kLargePage - 1) / kLargePage * kLargePage), left_(bytes_),
        memory_(static_cast<std::byte*>(::operator new(bytes_, std::align_val_t{kLargePage}))), next_(memory_) {
    AskForLargePages(memory_, bytes_);
    ASAN_POISON_MEMORY_REGION(memory_, bytes_);
  }
  ~Block() {
    ASAN_UNPOISON_MEMORY_REGION(memory_, bytes_);
    ::operator delete(memory_, std::align_val_t{kLargePage});
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  // Null: there is no more room.
  void* Take(size_t bytes) {
    const size_t with_gap = AlignUp(bytes) + kArenaAlignment;
    if (with_gap > left_) return nullptr;
    std::byte* const taken = next_;
    next_ += with_gap;
    left_ -= with_gap;
    ASAN_UNPOISON_MEMORY_REGION(taken, bytes);
    return taken;
  }

 private:
  size_t bytes_, left_;
  std::byte *memory_, *next_;
};

}  // namespace

std::shared_ptr<void> AllocatePacked(size_t bytes) {
  static std::mutex mutex;
  static std::weak_ptr<Block> current;
  const std::lock_guard<std::mutex> lock(mutex);
  std::shared_ptr<Block> block = current.lock();
  void* memory = block != nullptr ? block->Take(bytes) : nullptr;
  if (memory == nullptr) {
    block = std::make_shared<Block>(std::max(kBlock, bytes + 2 * kArenaAlignment));
    memory = block->Take(bytes);
    if (bytes < kBlock) current = block;
  }
  return {std::move(block), memory};
}

}  // namespace couplet::cpu
