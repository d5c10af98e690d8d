// SPDX-License-Identifier: Apache-2.0
#include "runtime/planner.h"

#include <algorithm>

#include "kernels/philox.h"
#include "tests/support/test.h"

using namespace couplet;

namespace {

// Every rule a plan must keep, checked pair by pair.
void CheckPlan(const std::vector<Lifetime>& lifetimes, const Plan& plan) {
  REQUIRE(plan.offsets.size() == lifetimes.size());
  CHECK(plan.arena_bytes % kArenaAlignment == 0);
  for (size_t a = 0; a < lifetimes.size(); ++a) {
    CHECK(plan.offsets[a] % kArenaAlignment == 0);
    CHECK(plan.offsets[a] + lifetimes[a].bytes <= plan.arena_bytes);
    for (size_t b = 0; b < a; ++b) {
      const bool same_time =
          lifetimes[a].first <= lifetimes[b].last && lifetimes[b].first <= lifetimes[a].last;
      const bool same_place = plan.offsets[a] < plan.offsets[b] + lifetimes[b].bytes &&
                              plan.offsets[b] < plan.offsets[a] + lifetimes[a].bytes;
      CHECK_FALSE((same_time && same_place));
    }
  }
}

// Bytes alive at the busiest step: no plan can need less.
size_t LeastBytes(const std::vector<Lifetime>& lifetimes) {
  size_t least = 0;
  for (const Lifetime& at : lifetimes) {
    size_t sum = 0;
    for (const Lifetime& other : lifetimes)
      if (other.first <= at.first && at.first <= other.last) sum += (other.bytes + 63) / 64 * 64;
    least = std::max(least, sum);
  }
  return least;
}

}  // namespace

TEST_CASE("planner: nothing needs nothing") {
  const Plan plan = PlanArena({});
  CHECK(plan.offsets.empty());
  CHECK(plan.arena_bytes == 0);
}

TEST_CASE("planner: a chain needs its biggest pair of neighbours") {
  const std::vector<Lifetime> chain = {{100, 0, 1}, {640, 1, 2}, {320, 2, 3}, {64, 3, 4}};
  const Plan plan = PlanArena(chain);
  CheckPlan(chain, plan);
  CHECK(plan.arena_bytes == 960);
}

TEST_CASE("planner: a block that ends at the step where another begins is still in use") {
  const std::vector<Lifetime> pair = {{64, 0, 1}, {64, 1, 2}};
  const Plan plan = PlanArena(pair);
  CHECK(plan.offsets[0] != plan.offsets[1]);
  CHECK(plan.arena_bytes == 128);
}

TEST_CASE("planner: takes the gap that fits best") {
  // At step 1 two gaps are open, 0..512 and 960..1344; the last block fits both and the second more tightly.
  const std::vector<Lifetime> blocks = {{512, 0, 0}, {448, 0, 1}, {384, 0, 0}, {320, 0, 1}, {300, 1, 1}};
  const Plan plan = PlanArena(blocks);
  CheckPlan(blocks, plan);
  CHECK(plan.offsets == std::vector<size_t>{0, 512, 960, 1344, 960});
}

TEST_CASE("planner: blocks of no bytes take no room") {
  const std::vector<Lifetime> blocks = {{0, 0, 5}, {64, 0, 5}, {0, 2, 3}};
  CHECK(PlanArena(blocks).arena_bytes == 64);
}

TEST_CASE("planner: random lifetimes never overlap and stay near the least possible") {
  for (uint32_t round = 0; round < 200; ++round) {
    std::vector<Lifetime> blocks;
    const uint32_t count = 1 + Philox(1, round, 0, 9).v[0] % 60;
    size_t sum = 0;
    for (uint32_t i = 0; i < count; ++i) {
      const Philox4 r = Philox(1, round, i + 1, 9);
      const int first = static_cast<int>(r.v[0] % 50);
      blocks.push_back({r.v[1] % 5000, first, first + static_cast<int>(r.v[2] % 8)});
      sum += (blocks.back().bytes + 63) / 64 * 64;
    }
    const Plan plan = PlanArena(blocks);
    CheckPlan(blocks, plan);
    CHECK(plan.arena_bytes <= sum);
    CHECK(plan.arena_bytes <= 2 * LeastBytes(blocks));
  }
}
