// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

#include "runtime/planner.h"

namespace couplet::cpu {
namespace {

constexpr size_t kLargePage = size_t{2} << 20;
constexpr size_t kBlock = size_t{8} << 20;  // untouched parts cost nothing

std::align_val_t AlignmentOf(size_t bytes) {
  return std::align_val_t{bytes >= kLargePage ? kLargePage : kArenaAlignment};
}

}  // namespace

void* AllocateAligned(size_t bytes) {
  void* data = ::operator new(std::max<size_t>(bytes, 1), AlignmentOf(bytes), std::nothrow);
  // Advice: where it is refused, small pages do.
  if (data != nullptr && bytes >= kLargePage) madvise(data, bytes / kLargePage * kLargePage, MADV_HUGEPAGE);
  return data;
}

void FreeAligned(void* data, size_t bytes) { ::operator delete(data, AlignmentOf(bytes)); }

std::shared_ptr<float> PieceAllocator::Allocate(size_t bytes) {
  bytes = (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
  const std::lock_guard lock(mutex_);
  if (block_ == nullptr || size_ - used_ < bytes) {
    const size_t size = std::max(kBlock, bytes);
    auto* data = static_cast<std::byte*>(AllocateAligned(size));
    if (data == nullptr) return nullptr;
    block_ = std::shared_ptr<std::byte>(data, [size](std::byte* held) { FreeAligned(held, size); });
    size_ = size;
    used_ = 0;
  }
  std::shared_ptr<float> piece(block_, reinterpret_cast<float*>(block_.get() + used_));
  used_ += bytes;
  return piece;
}

}  // namespace couplet::cpu
