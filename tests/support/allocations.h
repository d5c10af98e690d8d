// Counts what the calling thread takes from operator new, to show that a loop allocates nothing.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace couplet::test {

// False under the sanitizers, which keep operator new for themselves.
bool CanCountAllocations();
// Calls of operator new by this thread so far.
int64_t AllocationsOfThisThread();

}  // namespace couplet::test
