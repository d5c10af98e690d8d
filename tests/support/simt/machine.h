// The harness's inside: one block of threads, who of them may run, what each waits for. Used by control.h and
// simt.h only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace couplet::simt {

constexpr int kWarp = 32;
constexpr int kMaxThreads = 1024;
constexpr size_t kStaticSharedLimit = 48 * 1024;

// A line of a body, and what stands there.
struct Place {
  const char* what;  // "__syncthreads"
  const char* file;
  int line;
};
// Mostly the very same literals.
inline bool SameText(const char* a, const char* b) { return a == b || std::strcmp(a, b) == 0; }
inline bool operator==(const Place& a, const Place& b) { return a.line == b.line && SameText(a.what, b.what) && SameText(a.file, b.file); }

// Waits until every thread of the block is here. Returns how many came with a predicate.
int SyncBlock(const Place& place, bool predicate);

// Waits until every lane of `mask` is here; then `complete` runs once and sees the operands of all of them:
// operands[i] is what lane i passed, null where lane i is not in the mask. It may write into them.
using WarpFunction = void (*)(void* const* operands, unsigned mask, const Place& place);
void SyncWarp(const Place& place, unsigned mask, void* operands, WarpFunction complete);

// The body has broken a rule: ends the launch with a Fault that says so, printf-like. Never returns.
[[noreturn]] void Fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

int ThreadIndex();  // of the running thread in its block
int Lane();

// The block's array declared at this place; bytes of 0xFF at the start of each block.
void* StaticShared(size_t bytes, size_t alignment, const char* file, int line);
// The block's dynamic shared memory.
void* DynamicShared(size_t alignment);

// Of shared_memory.cc, for the machine: before the first block, between blocks, after the last.
void BeginShared(size_t dynamic_bytes);
void RenewShared();
void EndShared();
}  // namespace couplet::simt
