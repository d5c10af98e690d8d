// Where each activation lives: lifetimes -> offsets in one arena. Pure, no memory is touched.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace couplet {

// A block of memory needed from step `first` to step `last`, both inclusive.
struct Lifetime {
  size_t bytes = 0;
  int first = 0, last = 0;
};

struct Plan {
  std::vector<size_t> offsets;  // one a lifetime, each a multiple of kArenaAlignment
  size_t arena_bytes = 0;
};

inline constexpr size_t kArenaAlignment = 64;
constexpr size_t AlignUp(size_t bytes) { return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment; }

// Blocks whose lifetimes overlap never overlap in memory. Greedy, biggest first, best gap.
Plan PlanArena(std::span<const Lifetime> lifetimes);

}  // namespace couplet
