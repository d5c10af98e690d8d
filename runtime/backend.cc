// SPDX-License-Identifier: Apache-2.0
#include "runtime/backend.h"

#include <chrono>

namespace couplet {
namespace {

class HostTimer final : public Timer {
 public:
  Status mark() override {
    marks_.push_back(Clock::now());
    return {};
  }
  Result<std::vector<double>> intervals_ms() override {
    std::vector<double> intervals;
    for (size_t i = 1; i < marks_.size(); ++i)
      intervals.push_back(std::chrono::duration<double, std::milli>(marks_[i] - marks_[i - 1]).count());
    marks_.clear();
    return intervals;
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::vector<Clock::time_point> marks_;
};

}  // namespace

std::unique_ptr<Timer> MakeHostTimer() {
  return std::make_unique<HostTimer>();
}

}  // namespace couplet
