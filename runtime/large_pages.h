// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

namespace couplet {

inline constexpr size_t kLargePage = size_t{2} << 20;

// Asks for large pages for the whole ones within [memory, memory + bytes), which nobody has touched; where the system has none it
// stays as it is.
inline void AskForLargePages(void* memory, size_t bytes) {
  const size_t before = (kLargePage - reinterpret_cast<uintptr_t>(memory) % kLargePage) % kLargePage;
  if (bytes >= before + kLargePage) madvise(static_cast<char*>(memory) + before, (bytes - before) / kLargePage * kLargePage, MADV_HUGEPAGE);
}

}  // namespace couplet
