// SPDX-License-Identifier: Apache-2.0
#include "tests/support/standin/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "tests/support/standin/state.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, bytes) ((void)(data), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(data, bytes) ((void)(data), (void)(bytes))
#endif

namespace couplet::standin {

namespace {

constexpr size_t kPage = 4096;
constexpr size_t kAlignment = 256;                // cudaMalloc's
constexpr std::byte kNew{0xFF};                   // as floats and as halves: NaN
constexpr size_t kFillAtMost = size_t{64} << 20;  // more stays untouched, so that a big arena costs no memory
constexpr std::byte kCanary{0xA7};

size_t RoundUp(size_t bytes, size_t to) {
  return (bytes + to - 1) / to * to;
}
const char* Name(Memory::Kind kind) {
  return kind == Memory::Kind::kDevice ? "device" : "pinned";
}

// Bytes before the data (after the guard page) and behind it: slack of the rounding.
std::byte* Front(const Memory::Block& block) {
  return block.region + kPage;
}
size_t FrontBytes(const Memory::Block& block) {
  return static_cast<size_t>(block.data - Front(block));
}
std::byte* Back(const Memory::Block& block) {
  return block.data + block.bytes;
}
size_t BackBytes(const Memory::Block& block) {
  return static_cast<size_t>(block.region + block.region_bytes - kPage - Back(block));
}

bool Intact(const std::byte* from, size_t bytes) {
  return std::all_of(from, from + bytes, [](std::byte b) { return b == kCanary; });
}

std::string Text(const Memory::Block& block) {
  return "allocation " + std::to_string(block.number) + " (" + std::to_string(block.bytes) + " bytes of " +
         Name(block.kind) + " memory)";
}

}  // namespace

cudaError_t Memory::Allocate(void** data, size_t bytes, Kind kind) {
  if (data == nullptr) return cudaErrorInvalidValue;
  *data = nullptr;
  if (bytes == 0) return cudaSuccess;
  const bool counts = kind == Kind::kDevice || TheState().device.integrated;
  if (counts && bytes > free_bytes()) return cudaErrorMemoryAllocation;
  Block block;
  block.bytes = bytes;
  block.kind = kind;
  block.region_bytes = RoundUp(bytes, kPage) + 2 * kPage;
  void* region = mmap(nullptr, block.region_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (region == MAP_FAILED) return cudaErrorMemoryAllocation;
  block.region = static_cast<std::byte*>(region);
  block.data = block.region + block.region_bytes - kPage - RoundUp(bytes, kAlignment);
  block.number = ++allocations_;
  if (bytes <= kFillAtMost) std::memset(block.data, static_cast<int>(kNew), bytes);
  std::memset(Front(block), static_cast<int>(kCanary), FrontBytes(block));
  std::memset(Back(block), static_cast<int>(kCanary), BackBytes(block));
  ASAN_POISON_MEMORY_REGION(Front(block), FrontBytes(block));
  ASAN_POISON_MEMORY_REGION(Back(block), BackBytes(block));
  mprotect(block.region, kPage, PROT_NONE);
  mprotect(block.region + block.region_bytes - kPage, kPage, PROT_NONE);
  block.counted = counts;
  if (counts) {
    device_bytes_ += bytes;
    peak_bytes_ = std::max(peak_bytes_, device_bytes_);
  }
  if (kind == Kind::kDevice && TheState().device.guard && !open_)
    mprotect(Front(block), block.region_bytes - 2 * kPage, PROT_NONE);
  *data = block.data;
  blocks_.emplace(block.data, block);
  return cudaSuccess;
}

cudaError_t Memory::Free(void* data, Kind kind, const char* call) {
  if (data == nullptr) return cudaSuccess;
  const auto found = blocks_.find(static_cast<std::byte*>(data));
  if (found == blocks_.end()) {
    const Block* inside = Find(data);
    TheState().Misuse(
        std::string(call) + ": " +
        (inside != nullptr ? "an address inside " + Text(*inside) : "memory that is not allocated"));
    return cudaErrorInvalidValue;
  }
  const Block block = found->second;
  if (block.kind != kind) {
    TheState().Misuse(std::string(call) + ": " + Text(block));
    return cudaErrorInvalidValue;
  }
  mprotect(Front(block), block.region_bytes - 2 * kPage, PROT_READ | PROT_WRITE);
  ASAN_UNPOISON_MEMORY_REGION(Front(block), FrontBytes(block));
  ASAN_UNPOISON_MEMORY_REGION(Back(block), BackBytes(block));
  if (!Intact(Front(block), FrontBytes(block)))
    TheState().Misuse("something wrote before the start of " + Text(block));
  if (!Intact(Back(block), BackBytes(block)))
    TheState().Misuse("something wrote past the end of " + Text(block));
  // The addresses are never given out again, so that what still uses them is seen.
  mmap(block.region, block.region_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
       -1, 0);
  if (block.counted) device_bytes_ -= block.bytes;
  blocks_.erase(found);
  return cudaSuccess;
}

const Memory::Block* Memory::Find(const void* data) const {
  const auto* at = static_cast<const std::byte*>(data);
  auto after = blocks_.upper_bound(at);
  if (after == blocks_.begin()) return nullptr;
  const Block& block = std::prev(after)->second;
  return at < block.data + block.bytes ? &block : nullptr;
}

bool Memory::CheckDevice(const std::string& what, const void* data, size_t bytes) const {
  if (bytes == 0) return true;
  const Block* block = Find(data);
  if (block == nullptr) {
    TheState().Misuse(what + (data == nullptr ? " is null" : " is not device memory"));
    return false;
  }
  const size_t left = static_cast<size_t>(block->data + block->bytes - static_cast<const std::byte*>(data));
  if (bytes <= left) return true;
  TheState().Misuse(what + " needs " + std::to_string(bytes) + " bytes, and " + std::to_string(left) +
                    " are left of " + Text(*block));
  return false;
}

bool Memory::CheckHost(const std::string& what, const void* data, size_t bytes) const {
  if (bytes == 0) return true;
  const Block* block = Find(data);
  if (block == nullptr && data != nullptr) return true;  // pageable: ASan's business
  if (block == nullptr) {
    TheState().Misuse(what + " is null");
    return false;
  }
  if (block->kind == Kind::kDevice) {
    TheState().Misuse(what + " is device memory");
    return false;
  }
  return CheckDevice(what, data, bytes);
}

size_t Memory::free_bytes() const {
  const size_t total = TheState().device.free_bytes;
  return total > device_bytes_ ? total - device_bytes_ : 0;
}

std::vector<std::string> Memory::Alive() const {
  std::vector<std::string> lines;
  for (const auto& [data, block] : blocks_) lines.push_back(Text(block));
  return lines;
}

void Memory::Open() {
  if (open_ || !TheState().device.guard) return;
  open_ = true;
  for (const auto& [data, block] : blocks_)
    if (block.kind == Kind::kDevice)
      mprotect(Front(block), block.region_bytes - 2 * kPage, PROT_READ | PROT_WRITE);
}

void Memory::Close() {
  if (!open_) return;
  open_ = false;
  for (const auto& [data, block] : blocks_)
    if (block.kind == Kind::kDevice) mprotect(Front(block), block.region_bytes - 2 * kPage, PROT_NONE);
}

}  // namespace couplet::standin
