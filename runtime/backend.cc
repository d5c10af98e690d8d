// SPDX-License-Identifier: Apache-2.0
#include "runtime/backend.h"

#include <fmt/format.h>

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

const char* Name(Precision precision) {
  switch (precision) {
    case Precision::kFp32: return "fp32";
    case Precision::kTf32: return "tf32";
    case Precision::kFp16: return "fp16";
    case Precision::kInt8: return "int8";
  }
  return "";
}

std::string Describe(const MemoryPlan& plan) {
  const auto mb = [](size_t bytes) { return (bytes + (size_t{1} << 20) - 1) >> 20; };
  return fmt::format("GPU memory: {} MB may be taken, {} MB are planned for: weights {}, {} {} at a time {}, {}vectors {}",
                     plan.budget >> 20, mb(plan.total()), mb(plan.weights), plan.batch, plan.batch == 1 ? "photo" : "photos",
                     mb(plan.batches), plan.slots == 0 ? "" : fmt::format("photos on their way {}, ", mb(plan.slots)),
                     mb(plan.vectors));
}

std::unique_ptr<Timer> MakeHostTimer() {
  return std::make_unique<HostTimer>();
}

}  // namespace couplet
