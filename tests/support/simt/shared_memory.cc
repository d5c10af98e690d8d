// Shared memory: blocks of the exact size, so that AddressSanitizer sees their ends; full of NaN when a block
// of threads begins. Under ThreadSanitizer each block of threads gets addresses of its own, since blocks are
// not ordered.
// SPDX-License-Identifier: Apache-2.0
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "tests/support/simt/control.h"
#include "tests/support/simt/machine.h"

namespace couplet::simt {
namespace {

constexpr int kMaxArrays = 64;

struct Array {
  const char* file;
  int line;
  size_t bytes;
  char* memory;  // null: not yet in this block
};

struct SharedMemory {
  size_t limit = 227 * 1024;
  int arch = 90;
  Array arrays[kMaxArrays];
  int count = 0;
  size_t static_bytes = 0;
  size_t dynamic_bytes = 0;
  char* dynamic = nullptr;
  char* arena = nullptr;  // ThreadSanitizer only
  size_t arena_used = 0;
};
SharedMemory& shared_memory() {
  static SharedMemory instance;
  return instance;
}

#if defined(COUPLET_TSAN)
// Mapped by the main fiber before threads start: to ThreadSanitizer a mapping is a write.
constexpr size_t kArenaBytes = size_t{1} << 30;
void RenewArena(SharedMemory& s) {
  if (s.arena != nullptr && s.arena_used < kArenaBytes / 2) return;
  if (s.arena != nullptr) munmap(s.arena, kArenaBytes);
  s.arena = static_cast<char*>(
      mmap(nullptr, kArenaBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (s.arena == MAP_FAILED) std::abort();
  s.arena_used = 0;
}
char* Allocate(SharedMemory& s, size_t bytes) {
  const size_t whole = (bytes + 15) / 16 * 16;
  if (s.arena_used + whole > kArenaBytes) Fail("more blocks with shared memory than this leg has room for");
  char* memory = s.arena + s.arena_used;
  s.arena_used += whole;
  return memory;
}
void Free(char*) {}
#else
void RenewArena(SharedMemory&) {}
char* Allocate(SharedMemory&, size_t bytes) {
  char* memory = static_cast<char*>(std::malloc(bytes));
  if (memory == nullptr) std::abort();
  return memory;
}
void Free(char* memory) {
  std::free(memory);
}
#endif

// Not memset: ThreadSanitizer's would note a write by whichever fiber comes first.
void Poison(char* memory, size_t bytes) {
  volatile char* p = memory;
  size_t i = 0;
  for (; i < bytes && reinterpret_cast<uintptr_t>(memory + i) % 8 != 0; ++i) p[i] = static_cast<char>(0xff);
  for (; i + 8 <= bytes; i += 8) *reinterpret_cast<volatile uint64_t*>(memory + i) = ~uint64_t{0};
  for (; i < bytes; ++i) p[i] = static_cast<char>(0xff);
}

}  // namespace

size_t SharedLimit() {
  return shared_memory().limit;
}
void SetSharedLimit(size_t bytes) {
  shared_memory().limit = bytes;
}
int DeviceArch() {
  return shared_memory().arch;
}
void SetDeviceArch(int arch) {
  shared_memory().arch = arch;
}

void BeginShared(size_t dynamic_bytes) {
  SharedMemory& s = shared_memory();
  s.count = 0;
  s.static_bytes = 0;
  s.dynamic_bytes = dynamic_bytes;
  RenewArena(s);
  if (dynamic_bytes == 0) return;
  s.dynamic = Allocate(s, dynamic_bytes);
  Poison(s.dynamic, dynamic_bytes);
}

void RenewShared() {
  SharedMemory& s = shared_memory();
#if defined(COUPLET_TSAN)
  for (int i = 0; i < s.count; ++i) s.arrays[i].memory = nullptr;
  if (s.dynamic != nullptr) s.dynamic = Allocate(s, s.dynamic_bytes);
#endif
  for (int i = 0; i < s.count; ++i)
    if (s.arrays[i].memory != nullptr) Poison(s.arrays[i].memory, s.arrays[i].bytes);
  if (s.dynamic != nullptr) Poison(s.dynamic, s.dynamic_bytes);
}

void EndShared() {
  SharedMemory& s = shared_memory();
  for (int i = 0; i < s.count; ++i) Free(s.arrays[i].memory);
  if (s.dynamic != nullptr) Free(s.dynamic);
  s.count = 0;
  s.dynamic = nullptr;
}

void* StaticShared(size_t bytes, size_t alignment, const char* file, int line) {
  SharedMemory& s = shared_memory();
  if (alignment > 16)
    Fail("shared array at %s:%d asks for an alignment of %zu; 16 is what there is", file, line, alignment);
  for (int i = 0; i < s.count; ++i) {
    Array& array = s.arrays[i];
    if (array.line != line || array.bytes != bytes || !SameText(array.file, file)) continue;
    if (array.memory == nullptr) {
      array.memory = Allocate(s, bytes);
      Poison(array.memory, bytes);
    }
    return array.memory;
  }
  s.static_bytes += bytes;
  if (s.count == kMaxArrays) Fail("more than %d shared arrays", kMaxArrays);
  if (s.static_bytes > kStaticSharedLimit)
    Fail("static shared memory of %zu bytes is more than the 48 KB there are (array at %s:%d)",
         s.static_bytes, file, line);
  if (s.static_bytes + s.dynamic_bytes > s.limit)
    Fail("%zu bytes of static and %zu of dynamic shared memory are more than the limit of %zu",
         s.static_bytes, s.dynamic_bytes, s.limit);
  Array& array = s.arrays[s.count++];
  array = {file, line, bytes, Allocate(s, bytes)};
  Poison(array.memory, bytes);
  return array.memory;
}

void* DynamicShared(size_t alignment) {
  SharedMemory& s = shared_memory();
  if (s.dynamic == nullptr) Fail("the body uses dynamic shared memory; the launch has none");
  if (alignment > 16) Fail("dynamic shared memory is aligned to 16 bytes, not to %zu", alignment);
  return s.dynamic;
}

}  // namespace couplet::simt
