// The schedules that every kernel test runs. SPDX-License-Identifier: Apache-2.0
#include "tests/support/simt/control.h"

namespace couplet::simt {

Schedule ScheduleNumber(int i) {
  if (i == 0) return {};
  if (i == 1) return {Schedule::Order::kReverse, 0};
  return {Schedule::Order::kShuffled, static_cast<uint64_t>(i)};
}

std::string ScheduleName(int i) {
  return i == 0 ? "forward" : i == 1 ? "reverse" : "shuffled, seed " + std::to_string(i);
}

}  // namespace couplet::simt
