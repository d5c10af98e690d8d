// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/team.h"

#include <chrono>
#include <numeric>
#include <thread>

#include "tests/support/test.h"

using namespace couplet;

TEST_CASE("team: every index is taken once, by a lane of its own [threads]") {
  for (const int lanes : {1, 2, 5}) {
    cpu::Team team(lanes);
    for (int round = 0; round < 300; ++round) {
      const int count = round % 23;
      std::vector<int> taken(static_cast<size_t>(count)), by_lane(static_cast<size_t>(lanes));
      team.ForEach(count, [&](int lane, int index) {  // races here are for ThreadSanitizer to see
        ++taken[static_cast<size_t>(index)];
        ++by_lane[static_cast<size_t>(lane)];
      });
      CHECK(taken == std::vector<int>(static_cast<size_t>(count), 1));
      CHECK(std::accumulate(by_lane.begin(), by_lane.end(), 0) == count);
    }
  }
}

TEST_CASE("team: what one round writes the next one reads, after sleep too [threads]") {
  cpu::Team team(3);
  std::vector<int> values(64, 0);
  for (int round = 1; round <= 200; ++round) {
    if (round % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    team.ForEach(64, [&](int, int i) {
      const auto at = static_cast<size_t>(i);
      CHECK_EQ(values[at], round - 1);
      values[at] = round;
    });
  }
}
