// SPDX-License-Identifier: Apache-2.0
#include "tests/support/allocations.h"

#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

namespace couplet::test {
bool CanCountAllocations() { return false; }
int64_t AllocationsOfThisThread() { return 0; }
NoMemory::NoMemory() {}
NoMemory::~NoMemory() {}
}  // namespace couplet::test

#else

namespace {
thread_local int64_t allocations = 0;
thread_local bool refused = false;

void* Allocate(size_t bytes) {
  if (refused) return nullptr;
  ++allocations;
  return std::malloc(bytes == 0 ? 1 : bytes);
}
void* AllocateOrThrow(size_t bytes) {
  void* memory = Allocate(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
}  // namespace

void* operator new(size_t bytes) { return AllocateOrThrow(bytes); }
void* operator new[](size_t bytes) { return AllocateOrThrow(bytes); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return Allocate(bytes); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return Allocate(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

namespace couplet::test {
bool CanCountAllocations() { return true; }
int64_t AllocationsOfThisThread() { return allocations; }
NoMemory::NoMemory() { refused = true; }
NoMemory::~NoMemory() { refused = false; }
}  // namespace couplet::test

#endif
