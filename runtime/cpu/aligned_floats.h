// Numbers for vectors to load, aligned to kArenaAlignment. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>

#include "runtime/planner.h"

namespace couplet::cpu {

// Not initialised. What is asked for in a row lies together, in large pages where the system has them: with a page fault for every
// 4 KB of a network's weights label_image took a twentieth longer (docs/measured/cpu.md). The memory goes back when all that lies
// together has gone.
std::shared_ptr<void> AllocateAligned(size_t bytes);

template <class T>
using AlignedArray = std::shared_ptr<T[]>;
using AlignedFloats = AlignedArray<float>;
// Not initialised.
template <class T = float>
AlignedArray<T> MakeAligned(size_t count) {
  const std::shared_ptr<void> memory = AllocateAligned(count * sizeof(T));
  return AlignedArray<T>(memory, static_cast<T*>(memory.get()));
}

}  // namespace couplet::cpu
