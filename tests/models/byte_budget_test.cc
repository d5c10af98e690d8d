// SPDX-License-Identifier: Apache-2.0
#include "models/byte_budget.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "tests/support/test.h"

namespace couplet {
namespace {

TEST_CASE("budget: never overdrawn but by one alone, and all get their turn [threads]") {
  constexpr int kLimit = 100;
  ByteBudget budget(kLimit);
  {  // Together, if there is enough for both: else the second would wait forever.
    const ByteBudget::Hold some(budget, 7), more(budget, 93);
  }
  std::atomic<int> used{0}, holders{0}, most_shared{0}, turns{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        // 0, small, half, all, and more than there is.
        const int wanted = std::vector<int>{0, 7, 50, 100, 250}[static_cast<size_t>((i * 3 + t) % 5)];
        const ByteBudget::Hold hold(budget, static_cast<size_t>(wanted));
        const int now = used += wanted;
        if (++holders > 1) {
          int seen = most_shared;
          while (wanted > 0 && now > seen && wanted < now && !most_shared.compare_exchange_weak(seen, now)) {
          }
        }
        std::this_thread::yield();
        --holders;
        used -= wanted;
        ++turns;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(turns == 800);
  CHECK(used == 0);
  CHECK(most_shared <= kLimit);  // whether threads held any together is chance
}

}  // namespace
}  // namespace couplet
