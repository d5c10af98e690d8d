// SPDX-License-Identifier: Apache-2.0
#include "kernels/head_steps.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "tests/kernels/head_steps_cases.h"
#include "tests/reference/head.h"
#include "tests/support/device_memory.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

constexpr double kEpsilon = 0x1p-24;

struct Rows {
  std::vector<uint32_t> rows;
  std::vector<int32_t> labels;
};

// A training: `count` batches of n rows, and after the steps named evaluations of the step's batch and of
// another.
struct Training {
  HeadStepsCase size{};
  float rate = 0.5f;
  size_t vectors_count = 0;
  std::vector<float> vectors;
  HeadParams params;
  std::vector<Rows> batches;     // a step
  std::vector<int> after;        // steps evaluated
  std::vector<Rows> validation;  // an evaluation
};

Rows Draw(Values& values, int n, const HeadStepsCase& size, size_t count) {
  Rows r;
  for (int i = 0; i < n; ++i) {
    r.rows.push_back(values.bits() % static_cast<uint32_t>(count));
    r.labels.push_back(values.integer(0, size.classes - 1));
  }
  return r;
}

Training MakeTraining(const HeadStepsCase& size, int steps, const std::vector<int>& after, bool whole) {
  Values values(static_cast<uint64_t>(size.features * 131 + size.classes * 7 + size.n));
  const auto draw = [&](size_t n) { return whole ? values.Integers(n, -2, 2) : values.Reals(n); };
  Training t;
  t.size = size;
  t.vectors_count = 40;
  const size_t features = static_cast<size_t>(size.features), classes = static_cast<size_t>(size.classes);
  t.vectors = draw(t.vectors_count * features);
  t.params.weights = draw(features * classes);
  t.params.biases = draw(classes);
  for (int i = 0; i < steps; ++i) t.batches.push_back(Draw(values, size.n, size, t.vectors_count));
  t.after = after;
  for (size_t i = 0; i < after.size(); ++i)
    t.validation.push_back(Draw(values, size.validation, size, t.vectors_count));
  return t;
}

struct Outcome {
  HeadParams params;
  std::vector<HeadResult> steps;
  std::vector<HeadResult> evaluations;  // [2 of each]
};

std::vector<uint32_t> AllRows(const std::vector<Rows>& list) {
  std::vector<uint32_t> all;
  for (const Rows& r : list) all.insert(all.end(), r.rows.begin(), r.rows.end());
  return all;
}
std::vector<int32_t> AllLabels(const std::vector<Rows>& list) {
  std::vector<int32_t> all;
  for (const Rows& r : list) all.insert(all.end(), r.labels.begin(), r.labels.end());
  return all;
}

// Heads side by side: of one size, with as many steps, evaluated after the same ones, on heads[0]'s vectors. What belongs to
// different heads lies apart, with poison between.
std::vector<Outcome> RunTogether(const std::vector<Training>& heads, uint32_t stopped = 0) {
  const Training& t = heads[0];
  const HeadStepsShape shape{t.size.features, t.size.classes};
  HeadStepsHeads side{static_cast<int>(heads.size()), stopped, 0, {}};
  std::vector<float> all_weights, all_biases;
  std::vector<uint32_t> all_rows, all_validation_rows;
  std::vector<int32_t> all_labels, all_validation_labels;
  const auto append = [](auto* all, const auto& more) { all->insert(all->end(), more.begin(), more.end()); };
  for (size_t h = 0; h < heads.size(); ++h) {
    side.learning_rates[h] = heads[h].rate;
    append(&all_weights, heads[h].params.weights);
    append(&all_biases, heads[h].params.biases);
    append(&all_rows, AllRows(heads[h].batches));
    append(&all_labels, AllLabels(heads[h].batches));
    append(&all_validation_rows, AllRows(heads[h].validation));
    append(&all_validation_labels, AllLabels(heads[h].validation));
    all_rows.push_back(~0u), all_labels.push_back(-1);
  }
  const int stride = static_cast<int>(all_rows.size() / heads.size());
  const int validation_stride = static_cast<int>(all_validation_rows.size() / heads.size());
  const size_t steps = t.batches.size(), each = steps + 2 * t.after.size() + 1;
  side.results = static_cast<int>(each);
  const DeviceArray<float> vectors(t.vectors), weights(all_weights), biases(all_biases);
  const DeviceArray<uint32_t> rows(all_rows), validation_rows(all_validation_rows);
  const DeviceArray<int32_t> labels(all_labels), validation_labels(all_validation_labels);
  const DeviceArray<HeadResult> results(each * heads.size());
  const int most = 2 * t.size.n + t.size.validation;
  const DeviceArray<float> scratch(static_cast<size_t>(HeadStepsScratchFloats(shape, most, side.count)));
  std::vector<HeadStepsEvaluation> list;
  for (size_t i = 0; i < t.after.size(); ++i) {
    const size_t step = static_cast<size_t>(t.after[i]) * static_cast<size_t>(t.size.n);
    const size_t other = i * static_cast<size_t>(t.size.validation);
    HeadResult* const evaluated = results.data() + steps + 2 * i;
    list.push_back({t.after[i],
                    {{rows.data() + step, labels.data() + step, t.size.n, stride, evaluated},
                     {validation_rows.data() + other, validation_labels.data() + other, t.size.validation,
                      validation_stride, evaluated + 1}}});
  }
  const HeadStepsRun run{static_cast<int>(steps),
                         {rows.data(), labels.data(), t.size.n, stride, results.data()},
                         t.size.n,
                         list.data(),
                         static_cast<int>(list.size())};
  REQUIRE(LaunchHeadSteps(shape, side, run, vectors.data(), weights.data(), biases.data(), scratch.data(), most,
                          TestStream()) == kLaunchOk);
  for (const auto* array : {&vectors, &weights, &biases, &scratch}) CHECK(array->intact());
  CHECK(results.intact());
  const auto share = [&](const auto& all, size_t h) {
    const auto count = static_cast<std::ptrdiff_t>(all.size() / heads.size()), at = static_cast<std::ptrdiff_t>(h) * count;
    return std::vector(all.begin() + at, all.begin() + at + count);
  };
  const auto trained = weights.Read(), biased = biases.Read();
  const auto told = results.Read();
  std::vector<Outcome> outcomes;
  for (size_t h = 0; h < heads.size(); ++h) {
    const auto own = share(told, h);
    const auto split = own.begin() + static_cast<std::ptrdiff_t>(steps);
    CHECK(own.back().finite == -1);  // between heads nobody writes
    outcomes.push_back({{share(trained, h), share(biased, h)}, {own.begin(), split}, {split, own.end() - 1}});
  }
  return outcomes;
}

Outcome RunOnce(const Training& t) {
  return RunTogether({t})[0];
}

bool Same(const HeadParams& a, const HeadParams& b) {
  const auto same = [](const std::vector<float>& x, const std::vector<float>& y) {
    return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
  };
  return same(a.weights, b.weights) && same(a.biases, b.biases);
}
bool Same(const HeadResult& a, const HeadResult& b) {
  return a.finite == b.finite && (a.finite == 0 || (a.mean_loss == b.mean_loss && a.correct == b.correct));
}

// In every schedule; all must give the same bits.
Outcome RunTraining(const Training& t) {
  Outcome first;
  ForEachSchedule("head_steps", [&] {
    const Outcome got = RunOnce(t);
    if (first.steps.empty()) first = got;
    CHECK(Same(got.params, first.params));
    for (size_t i = 0; i < got.steps.size(); ++i) CHECK(Same(got.steps[i], first.steps[i]));
  });
  return first;
}

reference::HeadPass Pass(const Training& t, const HeadParams& params, const Rows& batch) {
  return reference::RunHead({t.size.features, t.size.classes}, params, t.vectors, batch.rows, batch.labels);
}

// The largest rounding of a logit: sums of `features` products, 64 and then block by block.
double LogitBound(const reference::HeadPass& pass) {
  double worst = 0.0;
  for (const double magnitude : pass.logit_magnitude) worst = std::max(worst, 8 * kEpsilon * magnitude);
  return worst;
}

void CheckResult(const HeadResult& got, const reference::HeadPass& want, bool exact_logits) {
  CHECK(got.finite == 1);
  if (exact_logits) CHECK(got.correct == want.correct);
  double spread = 0.0;
  for (const double z : want.logits) spread = std::max(spread, std::abs(z));
  CHECK(std::abs(got.mean_loss - want.mean_loss) <=
        4 * LogitBound(want) + kEpsilon * (4 * spread + 64 + 32 * want.mean_loss));
}

std::string Name(const HeadStepsCase& c) {
  return std::to_string(c.features) + " features, " + std::to_string(c.classes) + " classes, " +
         std::to_string(c.n) + " rows, " + std::to_string(c.validation) + " of validation";
}

}  // namespace

TEST_CASE("kernel head_steps: from equal logits of powers of two a step is exact") {
  for (const int classes : {1, 2, 4, 8, 16, 32}) {
    for (const int n : {1, 16, 256}) {
      const HeadStepsCase size{67, classes, n, 3};
      CAPTURE(Name(size));
      Training t = MakeTraining(size, 1, {0}, true);
      std::fill(t.params.weights.begin(), t.params.weights.end(), 0.0f);
      std::fill(t.params.biases.begin(), t.params.biases.end(), 1.0f);
      const Outcome got = RunTraining(t);
      const auto want = Pass(t, t.params, t.batches[0]);
      for (size_t i = 0; i < want.weight_gradient.size(); ++i)
        REQUIRE(double{got.params.weights[i]} == -0.5 * want.weight_gradient[i]);
      for (size_t i = 0; i < want.bias_gradient.size(); ++i)
        REQUIRE(double{got.params.biases[i]} == 1.0 - 0.5 * want.bias_gradient[i]);
      CHECK(got.steps[0].correct == want.correct);
      CheckResult(got.evaluations[0], Pass(t, got.params, t.batches[0]), false);
      CheckResult(got.evaluations[1], Pass(t, got.params, t.validation[0]), false);
    }
  }
}

TEST_CASE(
    "kernel head_steps: whole numbers give exact logits, so the right ones are counted right, ties too") {
  for (const HeadStepsCase& size : kHeadStepsCases) {
    CAPTURE(Name(size));
    const Training t = MakeTraining(size, 1, {}, true);
    CheckResult(RunTraining(t).steps[0], Pass(t, t.params, t.batches[0]), true);
  }
}

TEST_CASE("kernel head_steps: a step and the evaluations behind it lie within the rounding of float32 sums") {
  for (const HeadStepsCase& size : kHeadStepsCases) {
    CAPTURE(Name(size));
    const Training t = MakeTraining(size, 1, {0}, false);
    const Outcome got = RunTraining(t);
    const auto want = Pass(t, t.params, t.batches[0]);
    CheckResult(got.steps[0], want, false);
    // A slope is off by at most twice the worst logit, and |x| <= 1; the gradient's own sum adds its
    // roundings.
    const double bound = 4 * LogitBound(want) + (32 + size.classes) * kEpsilon;
    for (size_t i = 0; i < want.weight_gradient.size(); ++i) {
      const double w = t.params.weights[i] - t.rate * want.weight_gradient[i];
      REQUIRE(std::abs(got.params.weights[i] - w) <= t.rate * bound + kEpsilon * std::abs(w));
    }
    for (size_t i = 0; i < want.bias_gradient.size(); ++i) {
      const double b = t.params.biases[i] - t.rate * want.bias_gradient[i];
      REQUIRE(std::abs(got.params.biases[i] - b) <= t.rate * bound + kEpsilon * std::abs(b));
    }
    CheckResult(got.evaluations[0], Pass(t, got.params, t.batches[0]), false);
    if (size.validation > 0) CheckResult(got.evaluations[1], Pass(t, got.params, t.validation[0]), false);
  }
}

TEST_CASE("kernel head_steps: a run of steps is bit for bit the same as its steps one at a time") {
  for (const HeadStepsCase& size : {HeadStepsCase{130, 5, 20, 7}, {64, 3, 150, 40}}) {
    CAPTURE(Name(size));
    for (const std::vector<int>& after : {std::vector<int>{}, {0, 2, 5}, {1, 2, 3}, {5}}) {
      const Training t = MakeTraining(size, 6, after, false);
      const Outcome got = RunTraining(t);
      Training one = t;
      size_t evaluated = 0;
      for (size_t i = 0; i < t.batches.size(); ++i) {
        one.batches = {t.batches[i]};
        const bool wanted = evaluated < after.size() && after[evaluated] == static_cast<int>(i);
        one.after = wanted ? std::vector<int>{0} : std::vector<int>{};
        one.validation = wanted ? std::vector<Rows>{t.validation[evaluated]} : std::vector<Rows>{};
        const Outcome alone = RunOnce(one);
        CHECK(Same(alone.steps[0], got.steps[i]));
        for (size_t k = 0; wanted && k < 2; ++k)
          CHECK(Same(alone.evaluations[k], got.evaluations[2 * evaluated + k]));
        evaluated += wanted ? 1 : 0;
        one.params = alone.params;
      }
      CHECK(Same(one.params, got.params));
    }
  }
}

TEST_CASE("kernel head_steps: heads side by side are bit for bit what each is alone, whatever becomes of the others") {
  for (const size_t count : {1, 2, 5}) {
    for (const HeadStepsCase& size : {HeadStepsCase{130, 5, 20, 7}, {64, 9, 150, 0}}) {
      CAPTURE(count);
      CAPTURE(Name(size));
      std::vector<Training> heads(count, MakeTraining(size, 4, {0, 2, 3}, false));
      for (size_t h = 1; h < count; ++h) {
        Training& t = heads[h];
        Values values(h);
        t.rate = 0.1f * static_cast<float>(h);
        t.params.weights = values.Reals(t.params.weights.size());
        t.params.biases = values.Reals(t.params.biases.size());
        for (Rows& batch : t.batches) batch = Draw(values, size.n, size, t.vectors_count);
        for (Rows& batch : t.validation) batch = Draw(values, size.validation, size, t.vectors_count);
      }
      if (count > 1) heads[1].rate = 3e38f;  // leaves the finite numbers
      const uint32_t stopped = count == 5 ? 1u << 3 : 0;
      std::vector<Outcome> alone;
      for (const Training& t : heads) alone.push_back(RunOnce(t));
      if (count > 1) CHECK(alone[1].steps[3].finite == 0);
      ForEachSchedule("head_steps", [&] {
        const std::vector<Outcome> together = RunTogether(heads, stopped);
        for (size_t h = 0; h < count; ++h) {
          CAPTURE(h);
          const Outcome &got = together[h], &want = alone[h];
          const bool still = (stopped >> h & 1) != 0;
          CHECK(Same(got.params, still ? heads[h].params : want.params));
          for (size_t i = 0; i < got.steps.size(); ++i)
            CHECK((still ? got.steps[i].finite == -1 : Same(got.steps[i], want.steps[i])));
          for (size_t i = 0; i < got.evaluations.size(); ++i)
            if (i % 2 == 0 || size.validation > 0)
              CHECK((still ? got.evaluations[i].finite == -1 : Same(got.evaluations[i], want.evaluations[i])));
        }
      });
    }
  }
}

namespace {

// What step `bad` sees is not finite, or makes it so: the parameters must be those of the steps before it.
void CheckStops(const Training& t, int bad) {
  const auto params_after = [&](int steps) {
    Training part = t;
    part.batches.resize(static_cast<size_t>(steps));
    part.after.clear();
    return steps == 0 ? t.params : RunOnce(part).params;
  };
  const Outcome got = RunTraining(t);
  CHECK(Same(got.params, params_after(bad)));
  for (int i = 0; i < static_cast<int>(got.steps.size()); ++i)
    CHECK(got.steps[static_cast<size_t>(i)].finite == (i < bad ? 1 : 0));
  for (size_t i = 0; i < t.after.size(); ++i) {
    if (t.after[i] >= bad) continue;
    const HeadParams params = params_after(t.after[i] + 1);
    CheckResult(got.evaluations[2 * i], Pass(t, params, t.batches[static_cast<size_t>(t.after[i])]), false);
    CheckResult(got.evaluations[2 * i + 1], Pass(t, params, t.validation[i]), false);
  }
}

}  // namespace

TEST_CASE(
    "kernel head_steps: a step that leaves the finite numbers ends the run with the parameters before it") {
  const HeadStepsCase size{130, 5, 9, 4};
  for (const int bad : {0, 1, 2, 4}) {
    CAPTURE(bad);
    Training t = MakeTraining(size, 5, {0, 1, 3, 4}, false);
    for (Rows& batch : t.batches)
      for (uint32_t& row : batch.rows) row %= 30;
    for (Rows& batch : t.validation)
      for (uint32_t& row : batch.rows) row %= 30;
    t.batches[static_cast<size_t>(bad)].rows[3] = 35;  // no other batch sees it
    SUBCASE("forward: a vector with a NaN, in the last block's last feature") {
      t.vectors[35 * 130 + 129] = std::nanf("");
      CheckStops(t, bad);
    }
    SUBCASE("forward: a vector with an infinity") {
      t.vectors[35 * 130] = -std::numeric_limits<float>::infinity();
      CheckStops(t, bad);
    }
    // A feature that only row 35 has, so large that its row is sure, and wrong: its gradient is 1e36 / 9.
    for (const size_t feature : {size_t{1}, size_t{129}}) {
      const char* const name =
          feature == 1 ? "update: a weight of the first block" : "update: one of the last block";
      SUBCASE(name) {
        for (size_t row = 0; row < t.vectors_count; ++row)
          t.vectors[row * 130 + feature] = row == 35 ? 1e36f : 0.0f;
        t.batches[static_cast<size_t>(bad)].labels[3] = 0;
        t.params.weights[feature * 5] = -2.0f;
        t.rate = 5e3f;
        CheckStops(t, bad);
      }
    }
  }
}

TEST_CASE("kernel head_steps: as many heads go together as launches take and as scratch has room for") {
  const HeadStepsShape shape{1001, 5};
  const int64_t one = HeadStepsScratchFloats(shape, 300, 1);
  CHECK(HeadStepsTogether(shape, 300, 9, 100 * one) == 9);
  CHECK(HeadStepsTogether(shape, 300, 9, 4 * one + one / 2) == 4);
  CHECK(HeadStepsTogether(shape, 300, 1, one) == 1);
  CHECK(HeadStepsTogether(shape, 300, 9, one - 1) == 0);
  CHECK(HeadStepsTogether(shape, 300, 1000, 100 * one) == kHeadStepsMaxHeads);
  for (const int heads : {2, 7, 32}) CHECK(HeadStepsScratchFloats(shape, 300, heads) <= heads * one);
}

TEST_CASE("kernel head_steps: what it does not take, and what fits on a device") {
  CHECK(HeadStepsFit({2048, 32}));
  CHECK_FALSE(HeadStepsFit({2048, 33}));
  CHECK_FALSE(HeadStepsFit({0, 5}));
  const HeadStepsRun run{1, {nullptr, nullptr, 4, 4, nullptr}, 4, nullptr, 0};
  const auto launch = [&](const HeadStepsShape& shape, int heads, const HeadStepsRun& r, int rows) {
    return LaunchHeadSteps(shape, {heads, 0, 1, {}}, r, nullptr, nullptr, nullptr, nullptr, rows, TestStream());
  };
  CHECK(launch({10, 33}, 1, run, 4) == kLaunchInvalidValue);
  CHECK(launch({10, 5}, 1, run, 3) == kLaunchInvalidValue);
  CHECK(launch({10, 5}, 0, run, 4) == kLaunchInvalidValue);
  CHECK(launch({10, 5}, kHeadStepsMaxHeads + 1, run, 4) == kLaunchInvalidValue);
  const HeadStepsEvaluation evaluation{0, {{nullptr, nullptr, 4, 4, nullptr}, {nullptr, nullptr, 1, 1, nullptr}}};
  CHECK(launch({10, 5}, 1, {1, run.first, 4, &evaluation, 1}, 8) == kLaunchInvalidValue);
}
