// What a network keeps for as long as it is there. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>

namespace couplet::cpu {

// Memory aligned to kArenaAlignment, not initialised. What is asked for in a row lies together, in large pages where the system has
// them: with a page fault for every 4 KB of a network's weights label_image took a twentieth longer (docs/measured/cpu.md). All that
// lies together goes back when the last of it is let go.
std::shared_ptr<void> AllocatePacked(size_t bytes);

template <class T>
using PackedArray = std::shared_ptr<T[]>;
template <class T = float>
PackedArray<T> MakePacked(size_t count) {
  const std::shared_ptr<void> memory = AllocatePacked(count * sizeof(T));
  return PackedArray<T>(memory, static_cast<T*>(memory.get()));
}

}  // namespace couplet::cpu
