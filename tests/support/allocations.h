// Counts what the calling thread takes from operator new, to show that a loop allocates nothing, and refuses it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace couplet::test {

// False under the sanitizers, which keep operator new for themselves.
bool CanCountAllocations();
// Calls of operator new by this thread so far.
int64_t AllocationsOfThisThread();
// While it lives, operator new throws on this thread. REQUIRES: CanCountAllocations()
struct NoMemory {
  NoMemory();
  ~NoMemory();
};

}  // namespace couplet::test
