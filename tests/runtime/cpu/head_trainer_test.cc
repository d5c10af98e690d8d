// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/head_trainer.h"

#include <cmath>
#include <limits>
#include <string>

#include "kernels/philox.h"
#include "runtime/cpu/dispatch.h"
#include "tests/reference/head.h"
#include "tests/support/test.h"

using namespace couplet;

namespace {

constexpr double kEpsilon = 0x1p-24;  // half a unit in the last place of float32

struct Case {
  HeadShape shape;
  size_t count = 0, n = 0;  // vectors in all, rows in the batch
  std::vector<float> vectors;
  HeadParams params;
  std::vector<uint32_t> rows;
  std::vector<int32_t> labels;
};

float Uniform(uint32_t a, uint32_t b) {
  return static_cast<float>(Philox(5, a, b, 100).v[0] * 0x1p-31 - 1.0);
}
float Integer(uint32_t a, uint32_t b) {
  return static_cast<float>(Philox(5, a, b, 101).v[0] % 9) - 4.0f;
}

// `whole`: small integers, so that sums are exact in float32 whatever their order.
Case MakeCase(int features, int classes, size_t n, bool whole) {
  Case c;
  c.shape = {features, classes};
  c.count = n + 3;
  c.n = n;
  const auto draw = whole ? Integer : Uniform;
  c.vectors.resize(c.count * static_cast<size_t>(features));
  for (size_t i = 0; i < c.vectors.size(); ++i) c.vectors[i] = draw(static_cast<uint32_t>(i), 0);
  c.params.weights.resize(static_cast<size_t>(features) * static_cast<size_t>(classes));
  for (size_t i = 0; i < c.params.weights.size(); ++i)
    c.params.weights[i] = draw(static_cast<uint32_t>(i), 1);
  c.params.biases.resize(static_cast<size_t>(classes));
  for (size_t i = 0; i < c.params.biases.size(); ++i) c.params.biases[i] = draw(static_cast<uint32_t>(i), 2);
  for (uint32_t i = 0; i < n; ++i) {
    c.rows.push_back(Philox(6, i, 0, 0).v[0] % static_cast<uint32_t>(c.count));
    c.labels.push_back(static_cast<int32_t>(Philox(6, i, 0, 0).v[1] % static_cast<uint32_t>(classes)));
  }
  if (n > 0)
    c.rows[n - 1] = static_cast<uint32_t>(c.count) - 1;  // nothing may be read behind the last vector
  return c;
}

std::unique_ptr<HeadTrainer> MakeTrainer(const Case& c) {
  auto trainer = MakeCpuHeadTrainer(c.shape);
  REQUIRE(trainer->set_vectors(c.vectors).ok());
  REQUIRE(trainer->set_params(c.params).ok());
  return trainer;
}

reference::HeadPass Reference(const Case& c) {
  return reference::RunHead(c.shape, c.params, c.vectors, c.rows, c.labels);
}

// Below, at and above a vector, a block of classes, a panel of them, a block of rows; the models' own widths.
struct Size {
  int features, classes;
  size_t n;
};
const Size kSizes[] = {{1, 2, 1},   {3, 2, 4},    {15, 5, 5},   {16, 6, 8},    {17, 7, 3},    {31, 12, 9},
                       {64, 13, 2}, {127, 17, 6}, {130, 33, 7}, {1001, 5, 13}, {2048, 5, 10}, {1001, 101, 5},
                       {1, 12, 1},  {5, 16, 14}, {13, 32, 6},  {29, 48, 13},  {64, 61, 25}, {7, 129, 12},  {2048, 120, 7}};

std::string Name(const Size& size) {
  return std::to_string(size.features) + " features, " + std::to_string(size.classes) + " classes, " +
         std::to_string(size.n) + " rows";
}

}  // namespace

TEST_CASE("head trainer: logits of small integers are exact, for every shape around a block") {
  for (const Size& size : kSizes) {
    CAPTURE(Name(size));
    const Case c = MakeCase(size.features, size.classes, size.n, true);
    const auto want = Reference(c);
    std::vector<float> logits(want.logits.size() + 2, -77.0f);
    const auto got = MakeTrainer(c)->evaluate(c.rows, c.labels, {.logits = logits.data() + 1});
    REQUIRE(got.ok());
    for (size_t i = 0; i < want.logits.size(); ++i) REQUIRE(double{logits[i + 1]} == want.logits[i]);
    CHECK(logits.front() == -77.0f);
    CHECK(logits.back() == -77.0f);
    CHECK(got->correct == want.correct);
    CHECK(got->finite);
  }
}

TEST_CASE("head trainer: forward and one step lie within the rounding of float32 sums") {
  for (const Size& size : kSizes) {
    CAPTURE(Name(size));
    const Case c = MakeCase(size.features, size.classes, size.n, false);
    const auto want = Reference(c);
    auto trainer = MakeTrainer(c);
    std::vector<float> logits(want.logits.size()), probabilities(want.logits.size());
    const float rate = 0.25f;
    const auto got = trainer->step(c.rows, c.labels, rate,
                                   {.logits = logits.data(), .probabilities = probabilities.data()});
    REQUIRE(got.ok());
    double worst_logit = 0.0;
    for (size_t i = 0; i < logits.size(); ++i) {
      const double bound = 8 * kEpsilon * want.logit_magnitude[i];
      worst_logit = std::max(worst_logit, bound);
      REQUIRE(std::abs(logits[i] - want.logits[i]) <= bound);
      // d softmax <= 2 p max|d logit|, and a few roundings of exp and the division.
      const double p = want.probabilities[i];
      REQUIRE(std::abs(probabilities[i] - p) <= p * (2 * bound + 2 * worst_logit + 16 * kEpsilon) + 1e-37);
    }
    REQUIRE(std::abs(got->mean_loss - want.mean_loss) <=
            4 * worst_logit + 16 * kEpsilon * (1 + want.mean_loss));
    // A slope is off by at most twice the worst logit; |x| <= 1, so is a gradient, plus its own sum's
    // rounding.
    const double gradient_bound = 4 * worst_logit + 32 * kEpsilon;
    const auto params = trainer->params();
    REQUIRE(params.ok());
    for (size_t i = 0; i < want.weight_gradient.size(); ++i) {
      const double w = c.params.weights[i] - rate * want.weight_gradient[i];
      REQUIRE(std::abs(params->weights[i] - w) <= rate * gradient_bound + kEpsilon * std::abs(w));
    }
    for (size_t i = 0; i < want.bias_gradient.size(); ++i) {
      const double b = c.params.biases[i] - rate * want.bias_gradient[i];
      REQUIRE(std::abs(params->biases[i] - b) <= rate * gradient_bound + kEpsilon * std::abs(b));
    }
  }
}

TEST_CASE("head trainer: the step goes down the slope that central differences see") {
  const Case c = MakeCase(4, 3, 6, false);
  auto trainer = MakeTrainer(c);
  const float rate = 1.0f;
  REQUIRE(trainer->step(c.rows, c.labels, rate, {}).ok());
  const HeadParams after = *trainer->params();
  const double h = 1e-5;
  const auto loss_at = [&](size_t i, double shift) {
    // The reference holds float parameters, so the shift is made on the logits' side: x . (w + shift) in
    // double.
    double loss = 0.0;
    for (size_t r = 0; r < c.n; ++r) {
      double z[3], sum = 0.0;
      for (size_t k = 0; k < 3; ++k) {
        z[k] = double{c.params.biases[k]} + (i == 12 + k ? shift : 0.0);
        for (size_t f = 0; f < 4; ++f)
          z[k] += c.vectors[c.rows[r] * 4 + f] *
                  (double{c.params.weights[f * 3 + k]} + (i == f * 3 + k ? shift : 0.0));
        sum += std::exp(z[k]);
      }
      loss += (std::log(sum) - z[c.labels[r]]) / static_cast<double>(c.n);
    }
    return loss;
  };
  for (size_t i = 0; i < 15; ++i) {
    const double slope = (loss_at(i, h) - loss_at(i, -h)) / (2 * h);
    const double before = i < 12 ? c.params.weights[i] : c.params.biases[i - 12];
    const double got = (before - (i < 12 ? after.weights[i] : after.biases[i - 12])) / rate;
    CHECK(std::abs(got - slope) <= 1e-3 * std::max(std::abs(slope), 1e-3));
  }
}

TEST_CASE("head trainer: a row's logits do not depend on its batch, and a split in one pass equals its parts") {
  for (const size_t classes : {5, 24}) {
    const Case c = MakeCase(1001, static_cast<int>(classes), 300, false);
    auto trainer = MakeTrainer(c);
    std::vector<float> all(c.n * classes), one(classes);
    const auto total = trainer->evaluate(c.rows, c.labels, {.probabilities = all.data()});
    double loss = 0.0;
    int correct = 0;
    for (size_t i = 0; i < c.n; ++i) {
      const auto part = trainer->evaluate({&c.rows[i], 1}, {&c.labels[i], 1}, {.probabilities = one.data()});
      for (size_t k = 0; k < classes; ++k) REQUIRE(one[k] == all[i * classes + k]);
      loss += part->mean_loss;
      correct += part->correct;
    }
    CHECK(total->mean_loss == doctest::Approx(loss / 300).epsilon(1e-12));
    CHECK(total->correct == correct);
  }
}

TEST_CASE("head trainer: the number of threads changes no bit [threads]") {
  for (const int classes : {16, 61, 120}) {
    Case c = MakeCase(1001, classes, 100, false);
    const auto run = [&](int threads) {
      c.shape.threads = threads;
      auto trainer = MakeTrainer(c);
      std::vector<float> logits(c.n * static_cast<size_t>(classes));
      for (int i = 0; i < 3; ++i) REQUIRE(trainer->step(c.rows, c.labels, 0.05f, {.logits = logits.data()}).ok());
      return std::pair(trainer->params()->weights, logits);
    };
    const auto alone = run(1);
    CHECK(alone.first != c.params.weights);
    for (const int threads : {2, 3, 7}) CHECK(run(threads) == alone);
  }
}

// So that they are equal on every instruction set with a fused multiply-add.
TEST_CASE("head trainer: classes that fill vectors are summed in the order that is promised") {
  const size_t features = 201, classes = 61;
  const Case c = MakeCase(static_cast<int>(features), static_cast<int>(classes), 25, false);
  const float rate = 0.25f, scale = 1.0f / 25;
  for (const cpu::Simd simd : {cpu::Simd::kAvx2, cpu::Simd::kAvx512}) {
    cpu::LimitSimd(simd);
    if (cpu::BestSimd() != simd) continue;
    CAPTURE(cpu::Name(simd));
    std::vector<float> logits(c.n * classes), slopes(c.n * classes);
    auto trainer = MakeTrainer(c);
    REQUIRE(trainer->step(c.rows, c.labels, rate, {.logits = logits.data(), .probabilities = slopes.data()}).ok());
    const HeadParams after = *trainer->params();
    for (size_t i = 0; i < c.n; ++i) slopes[i * classes + static_cast<size_t>(c.labels[i])] -= 1.0f;
    const auto x = [&](size_t i, size_t f) { return c.vectors[c.rows[i] * features + f]; };
    int wrong = 0;
    for (size_t k = 0; k < classes; ++k) {
      for (size_t i = 0; i < c.n; ++i) {
        float total = 0, block = 0;
        for (size_t f = 0; f < features; ++f) {
          if (f > 0 && f % 64 == 0) total += block, block = 0;
          block = std::fma(x(i, f), c.params.weights[f * classes + k], block);
        }
        wrong += logits[i * classes + k] != total + block + c.params.biases[k];
      }
      for (size_t f = 0; f < features; ++f) {
        float gradient = 0;
        for (size_t i = 0; i < c.n; ++i) gradient = std::fma(x(i, f), slopes[i * classes + k] * scale, gradient);
        wrong += after.weights[f * classes + k] != std::fma(-rate, gradient, c.params.weights[f * classes + k]);
      }
    }
    CHECK(wrong == 0);
  }
  cpu::LimitSimd(cpu::Simd::kAvx512);
}

TEST_CASE("head trainer: the first of equal logits is the prediction") {
  Case c = MakeCase(8, 20, 20, true);
  std::fill(c.params.weights.begin(), c.params.weights.end(), 0.0f);
  std::fill(c.params.biases.begin(), c.params.biases.end(), 1.0f);
  c.params.biases[0] = 0.0f;
  for (size_t i = 0; i < 20; ++i) c.labels[i] = static_cast<int32_t>(i);
  CHECK(MakeTrainer(c)->evaluate(c.rows, c.labels, {})->correct == 1);  // label 1 alone
}

TEST_CASE("head trainer: large logits stay finite, one class is no trouble") {
  Case c = MakeCase(8, 4, 5, true);
  for (float& w : c.params.weights) w *= 1e30f;
  const auto got = MakeTrainer(c)->evaluate(c.rows, c.labels, {});
  CHECK(got->finite);
  CHECK(std::isfinite(got->mean_loss));
  const Case single = MakeCase(8, 1, 5, false);
  const auto alone = MakeTrainer(single)->step(single.rows, single.labels, 0.1f, {});
  CHECK(alone->mean_loss == 0.0);
  CHECK(alone->correct == 5);
}

namespace {

void CheckWhatIsNotFinite(size_t classes) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Case c = MakeCase(17, static_cast<int>(classes), 9, false);
  c.shape.threads = 2;
  const auto unchanged = [&](float rate) {
    auto trainer = MakeTrainer(c);
    const auto got = trainer->step(c.rows, c.labels, rate, {});
    REQUIRE(got.ok());
    CHECK_FALSE(got->finite);
    const HeadParams after = *trainer->params();
    CHECK(after.weights == c.params.weights);
    CHECK(after.biases == c.params.biases);
  };
  SUBCASE("a vector with a NaN") {
    c.vectors[c.rows[3] * 17 + 16] = nan, unchanged(0.1f);
  }
  SUBCASE("a vector with an infinity") {
    c.vectors[c.rows[3] * 17 + 1] = infinity, unchanged(0.1f);
  }
  SUBCASE("logits that overflow, one way") {
    for (size_t f = 0; f < 17; ++f) c.params.weights[f * classes + 2] = 3e38f, c.vectors[c.rows[0] * 17 + f] = 2.0f;
    unchanged(0.1f);
  }
  SUBCASE("one logit that overflows to where its probability is zero and no gradient shows it") {
    for (uint32_t row = 0; row < c.count; ++row) c.vectors[row * 17] = row == c.rows[0] ? 2.0f : 0.0f;
    c.params.weights[2] = -3e38f;
    for (int32_t& label : c.labels) label = 0;
    unchanged(0.1f);
  }
  SUBCASE("an update of weights that overflows") {
    for (float& x : c.vectors) x *= 1e6f;
    unchanged(3e38f);
  }
  SUBCASE("an update of one feature's weights alone that overflows") {
    for (const size_t f : {0, 1, 16}) {
      for (uint32_t row = 0; row < c.count; ++row)
        for (size_t i = 0; i < 17; ++i) c.vectors[row * 17 + i] = i == f ? 1e30f : 0.0f;
      std::fill(c.params.weights.begin(), c.params.weights.end(), 0.0f);
      unchanged(1e20f);
    }
  }
  SUBCASE("a learning rate that is none") {
    unchanged(nan);
  }
}

}  // namespace

TEST_CASE("head trainer: what is not finite leaves the parameters as they were") {
  CheckWhatIsNotFinite(5);
}

TEST_CASE("head trainer: what is not finite leaves the parameters as they were, by two threads [threads]") {
  CheckWhatIsNotFinite(1000);
}

TEST_CASE("head trainer: the same calls give the same bytes") {
  for (const int classes : {5, 24}) {
    const Case c = MakeCase(1001, classes, 100, false);
    const auto run = [&] {
      auto trainer = MakeTrainer(c);
      for (int i = 0; i < 20; ++i) REQUIRE(trainer->step(c.rows, c.labels, 0.05f, {}).ok());
      return *trainer->params();
    };
    const HeadParams first = run(), second = run();
    CHECK(first.weights == second.weights);
    CHECK(first.biases == second.biases);
    CHECK(first.weights != c.params.weights);
  }
}
