// SPDX-License-Identifier: Apache-2.0
#include "runtime/planner.h"

#include <algorithm>
#include <numeric>

#include "runtime/status.h"

namespace couplet {

namespace {

struct Placed {
  size_t begin, end;
  int first, last;
};


// Start of the smallest gap of at least `bytes` between blocks alive at the same time as `wanted`, else the
// end of the last of them. `placed` is sorted by begin.
size_t FindPlace(const std::vector<Placed>& placed, const Lifetime& wanted, size_t bytes) {
  size_t cursor = 0, best_begin = 0, best_size = 0;
  bool found = false;
  for (const Placed& block : placed) {
    if (block.first > wanted.last || block.last < wanted.first) continue;
    if (block.begin > cursor) {
      const size_t gap = block.begin - cursor;
      if (gap >= bytes && (!found || gap < best_size)) {
        best_begin = cursor;
        best_size = gap;
        found = true;
      }
    }
    cursor = std::max(cursor, block.end);
  }
  return found ? best_begin : cursor;
}

}  // namespace

Plan PlanArena(std::span<const Lifetime> lifetimes) {
  std::vector<size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });

  Plan plan;
  plan.offsets.assign(lifetimes.size(), 0);
  std::vector<Placed> placed;
  placed.reserve(lifetimes.size());
  for (const size_t i : order) {
    const Lifetime& block = lifetimes[i];
    COUPLET_CHECK(block.first <= block.last);
    const size_t bytes = AlignUp(block.bytes);
    if (bytes == 0) continue;
    const size_t begin = FindPlace(placed, block, bytes);
    const Placed entry{begin, begin + bytes, block.first, block.last};
    placed.insert(std::upper_bound(placed.begin(), placed.end(), entry,
                                   [](const Placed& a, const Placed& b) { return a.begin < b.begin; }),
                  entry);
    plan.offsets[i] = begin;
    plan.arena_bytes = std::max(plan.arena_bytes, begin + bytes);
  }
  return plan;
}

}  // namespace couplet
