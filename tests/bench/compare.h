// Two runs of make bench beside each other. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "runtime/status.h"

namespace couplet::bench {

// `before` and `now`: the JSON that make bench writes. A line a row that both have: what it took then, now, and how many times
// as fast it is (for rates now / then, for times then / now); "within the rounds" where the two ranges overlap, so that nothing
// can be told. Rows that only one has are named. The machine's own rates come first: where they differ, so do the rows.
// kBadInput: `before`, read from `path`, is no such JSON.
Result<std::string> CompareRuns(const std::string& before, const std::string& path, const std::string& now);

}  // namespace couplet::bench
