// SPDX-License-Identifier: Apache-2.0
#include "kernels/sgd_update.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "tests/kernels/sgd_update_cases.h"
#include "tests/reference/sgd_update.h"
#include "tests/support/device_memory.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

constexpr double kEpsilon = 0x1p-24;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Step {
  SgdUpdateShape shape;
  std::vector<float> gradient, slopes, weights, biases;
  int finite = 1;  // of the pass before
};

struct Outcome {
  std::vector<float> weights, biases;
  HeadResult result;
  std::vector<TensorStats> stats;
};

Step MakeStep(const SgdUpdateShape& s, bool whole) {
  Values values(static_cast<uint64_t>(s.n + 31 * s.features + s.classes));
  const auto draw = [&](size_t n) { return whole ? values.Integers(n, -8, 8) : values.Reals(n); };
  const size_t classes = static_cast<size_t>(s.classes), weights = static_cast<size_t>(s.features) * classes;
  return {s, draw(weights), draw(static_cast<size_t>(s.n) * classes), draw(weights), draw(classes)};
}

template <class T>
bool SameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

Outcome RunStep(const Step& s, bool with_stats = true) {
  const DeviceArray<float> gradient(s.gradient), slopes(s.slopes);
  Outcome first;
  ForEachSchedule("sgd_update", [&] {
    const DeviceArray<float> weights(s.weights), biases(s.biases);
    const DeviceArray<float> next(static_cast<size_t>(SgdUpdateNextFloats(s.shape)));
    const DeviceArray<SgdPartial> partials(static_cast<size_t>(SgdUpdatePartials(s.shape)));
    const DeviceArray<HeadResult> result(std::vector<HeadResult>{{0.5f, 3, s.finite}});
    const DeviceArray<TensorStats> stats(std::vector<TensorStats>(2, {-7.0f, -7.0f, -7.0f, -7.0f}));
    REQUIRE(
        LaunchSgdUpdate({s.shape, gradient.data(), slopes.data(), weights.data(), biases.data(), next.data(),
                         partials.data(), result.data(), with_stats ? stats.data() : nullptr},
                        TestStream()) == kLaunchOk);
    const Outcome got{weights.Read(), biases.Read(), result.Read()[0], stats.Read()};
    for (const auto* array : {&weights, &biases, &next}) CHECK(array->intact());
    CHECK(partials.intact());
    CHECK(result.intact());
    CHECK(stats.intact());
    if (first.weights.empty()) first = got;
    CHECK(SameBits(got.weights, first.weights));
    CHECK(SameBits(got.biases, first.biases));
    CHECK(SameBits(got.stats, first.stats));
    CHECK(got.result.finite == first.result.finite);
  });
  return first;
}

std::vector<double> Doubles(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

std::string Name(const SgdUpdateShape& s) {
  return std::to_string(s.n) + " rows, " + std::to_string(s.features) + " features, " +
         std::to_string(s.classes) + " classes";
}

void CheckUnchanged(const Step& s) {
  const Outcome got = RunStep(s);
  CHECK(got.result.finite == 0);
  CHECK(SameBits(got.weights, s.weights));
  CHECK(SameBits(got.biases, s.biases));
  CHECK(got.stats[0].mean == -7.0f);
}

}  // namespace

TEST_CASE(
    "kernel sgd_update: whole numbers and rates of powers of two are exact, for every shape around a block") {
  for (const SgdUpdateShape& shape : kSgdUpdateCases) {
    CAPTURE(Name(shape));
    const Step s = MakeStep(shape, true);
    const Outcome got = RunStep(s);
    CHECK(Doubles(got.weights) == reference::StepDown(s.weights, Doubles(s.gradient), shape.learning_rate));
    CHECK(Doubles(got.biases) == reference::StepDown(s.biases,
                                                     reference::SumOfRows(shape.n, shape.classes, s.slopes),
                                                     shape.learning_rate));
    CHECK(got.result.finite == 1);
    CHECK(got.result.mean_loss == 0.5f);
    CHECK(got.result.correct == 3);
    const Outcome bare = RunStep(s, false);
    CHECK(SameBits(bare.weights, got.weights));
    CHECK(bare.stats[0].mean == -7.0f);
  }
}

TEST_CASE("kernel sgd_update: more blocks than a block has threads") {
  Step s = MakeStep({2, 600, 1001, 0.5f}, true);
  const Outcome got = RunStep(s, false);
  CHECK(Doubles(got.weights) == reference::StepDown(s.weights, Doubles(s.gradient), 0.5f));
  CHECK(got.result.finite == 1);
  s.slopes.back() = kInfinity;  // the last block's
  CHECK(SameBits(RunStep(s, false).weights, s.weights));
}

TEST_CASE("kernel sgd_update: real numbers lie within their roundings, and so do the summaries' numbers") {
  for (const SgdUpdateShape& shape : kSgdUpdateCases) {
    CAPTURE(Name(shape));
    Step s = MakeStep(shape, false);
    // A mean far from zero, where squares about zero would lose the deviation, and blocks whose means differ.
    for (size_t i = 0; i < s.weights.size(); ++i) s.weights[i] += 100.0f + 0.01f * static_cast<float>(i);
    const Outcome got = RunStep(s);
    const auto weights = reference::StepDown(s.weights, Doubles(s.gradient), shape.learning_rate);
    const auto biases = reference::StepDown(s.biases, reference::SumOfRows(shape.n, shape.classes, s.slopes),
                                            shape.learning_rate);
    for (size_t i = 0; i < weights.size(); ++i)
      REQUIRE(std::abs(got.weights[i] - weights[i]) <= kEpsilon * std::abs(weights[i]));  // one rounding
    for (size_t i = 0; i < biases.size(); ++i)
      REQUIRE(std::abs(got.biases[i] - biases[i]) <=
              kEpsilon * (std::abs(biases[i]) + double{shape.learning_rate} * shape.n * (shape.n / 8.0 + 9)));
    for (int k = 0; k < 2; ++k) {
      const auto want = reference::StatsOf(k == 0 ? got.weights : got.biases);
      const TensorStats& stats = got.stats[static_cast<size_t>(k)];
      const double size = std::max(std::abs(want.min), std::abs(want.max));
      CHECK(stats.min == want.min);
      CHECK(stats.max == want.max);
      CHECK(std::abs(stats.mean - want.mean) <= 40 * kEpsilon * size);
      // The means of blocks are off by as much; their squares enter the deviation's.
      CHECK(std::abs(stats.stddev - want.stddev) <= 64 * kEpsilon * (size + want.stddev));
    }
  }
}

TEST_CASE("kernel sgd_update: what is not finite anywhere leaves everything as it was") {
  for (const SgdUpdateShape& shape : {SgdUpdateShape{7, 5, 3, 0.5f}, {9, 900, 5, 0.5f}, {4, 33, 70, 0.5f}}) {
    CAPTURE(Name(shape));
    const Step good = MakeStep(shape, false);
    Step s = good;
    s.finite = 0;
    CheckUnchanged(s);
    for (const float strange : {kInfinity, -kInfinity, std::nanf("")}) {
      for (const size_t at : {size_t{0}, good.gradient.size() / 2, good.gradient.size() - 1}) {
        s = good;
        s.gradient[at] = strange;
        CheckUnchanged(s);
      }
      for (const size_t at : {size_t{0}, good.slopes.size() - 1}) {
        s = good;
        s.slopes[at] = strange;
        CheckUnchanged(s);
      }
    }
    s = good;
    s.gradient.back() = 3e38f, s.shape.learning_rate = 1e3f;
    CheckUnchanged(s);
    s = good;
    s.shape.learning_rate = std::nanf("");
    CheckUnchanged(s);
  }
}

TEST_CASE("kernel sgd_update: shapes it does not take") {
  for (const SgdUpdateShape& shape : {SgdUpdateShape{0, 1, 1, 0.1f}, {1, 0, 1, 0.1f}, {1, 1, 0, 0.1f}})
    CHECK(LaunchSgdUpdate({shape, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr},
                          TestStream()) == kLaunchInvalidValue);
}
