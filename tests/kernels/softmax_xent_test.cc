// SPDX-License-Identifier: Apache-2.0
#include "kernels/softmax_xent.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "tests/kernels/softmax_xent_cases.h"
#include "tests/reference/softmax_xent.h"
#include "tests/support/device_memory.h"
#include "tests/support/test.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

constexpr double kEpsilon = 0x1p-24;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Batch {
  SoftmaxXentShape shape;
  std::vector<float> src, biases;  // biases empty: none
  std::vector<int32_t> labels;
};

struct Outcome {
  std::vector<float> logits, probabilities, slopes;
  HeadResult result;
};

size_t Count(const SoftmaxXentShape& s) {
  return static_cast<size_t>(s.n) * static_cast<size_t>(s.classes);
}

Batch MakeBatch(const SoftmaxXentShape& shape, bool whole, bool biased) {
  Values values(static_cast<uint64_t>(shape.n * 1009 + shape.classes));
  Batch b{shape, {}, {}, {}};
  const size_t classes = static_cast<size_t>(shape.classes);
  b.src = whole ? values.Integers(Count(shape), -3, 3) : values.Reals(Count(shape));
  if (!whole)
    for (float& z : b.src) z *= 9.0f;
  if (biased) b.biases = whole ? values.Integers(classes, -2, 2) : values.Reals(classes);
  for (int i = 0; i < shape.n; ++i) b.labels.push_back(values.integer(0, shape.classes - 1));
  return b;
}

// Runs in every schedule; all must give the same bits.
Outcome RunBatch(const Batch& b, const HeadResult* previous = nullptr) {
  const DeviceArray<float> src(b.src), biases(b.biases);
  const DeviceArray<int32_t> labels(b.labels);
  const DeviceArray<HeadResult> before(previous == nullptr ? 0 : 1);
  if (previous != nullptr) const_cast<DeviceArray<HeadResult>&>(before).Write({*previous});
  Outcome first;
  ForEachSchedule("softmax_xent", [&] {
    const DeviceArray<float> logits(b.src.size()), probabilities(b.src.size()), slopes(b.src.size());
    const DeviceArray<HeadResult> partials(static_cast<size_t>(SoftmaxXentPartials(b.shape))), result(1);
    REQUIRE(LaunchSoftmaxXent(b.shape, src.data(), b.biases.empty() ? nullptr : biases.data(), labels.data(),
                              {logits.data(), probabilities.data(), slopes.data()}, partials.data(),
                              previous == nullptr ? nullptr : before.data(), result.data(),
                              TestStream()) == kLaunchOk);
    const Outcome got{logits.Read(), probabilities.Read(), slopes.Read(), result.Read()[0]};
    for (const auto* array : {&logits, &probabilities, &slopes}) CHECK(array->intact());
    CHECK(partials.intact());
    CHECK(result.intact());
    if (first.logits.empty()) first = got;
    const auto same = [](const std::vector<float>& x, const std::vector<float>& y) {
      return std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
    };
    CHECK(same(got.logits, first.logits));
    CHECK(same(got.probabilities, first.probabilities));
    CHECK(same(got.slopes, first.slopes));
    CHECK(std::memcmp(&got.result, &first.result, sizeof got.result) == 0);
  });
  return first;
}

std::vector<float> WithBiases(const Batch& b) {
  std::vector<float> logits = b.src;
  const size_t classes = static_cast<size_t>(b.shape.classes);
  if (!b.biases.empty())
    for (size_t i = 0; i < logits.size(); ++i) logits[i] += b.biases[i % classes];
  return logits;
}

std::string Name(const SoftmaxXentShape& s) {
  return std::to_string(s.n) + " rows, " + std::to_string(s.classes) + " classes";
}

// Values within what float32 may round. `spread` bounds |logit - largest|: its rounding becomes a relative
// error of exp, exp itself and the sum of `classes` terms add theirs.
void CheckAgainstReference(const Batch& b) {
  const Outcome got = RunBatch(b);
  const std::vector<float> logits = WithBiases(b);
  const auto want = reference::RunSoftmaxXent(b.shape.n, b.shape.classes, logits, b.labels);
  const size_t classes = static_cast<size_t>(b.shape.classes);
  CHECK(got.logits == logits);
  double loss_bound = 0.0;
  for (size_t i = 0; i < static_cast<size_t>(b.shape.n); ++i) {
    const double relative = kEpsilon * (2 * want.spread[i] + b.shape.classes + 16);
    for (size_t k = i * classes; k < (i + 1) * classes; ++k) {
      const double bound = want.probabilities[k] * relative + 1e-37;
      REQUIRE(std::abs(got.probabilities[k] - want.probabilities[k]) <= bound);
      REQUIRE(std::abs(got.slopes[k] - want.slopes[k]) <=
              bound / b.shape.n + 4 * kEpsilon * std::abs(want.slopes[k]) + 2 * kEpsilon / b.shape.n);
    }
    // log1p damps the sum's error; trees over at most 2100 rows are 12 deep, in two parts.
    loss_bound += (relative + 24 * kEpsilon * want.losses[i] + kEpsilon * want.spread[i]) / b.shape.n;
  }
  CHECK(std::abs(got.result.mean_loss - want.mean_loss) <= loss_bound);
  CHECK(got.result.correct == want.correct);
  CHECK(got.result.finite == 1);
}

}  // namespace

TEST_CASE("kernel softmax_xent: equal logits of powers of two give exact slopes") {
  for (const int classes : {1, 2, 4, 8, 16, 32, 64}) {
    for (const int n : {1, 8, 256}) {
      CAPTURE(Name({n, classes}));
      Batch b = MakeBatch({n, classes}, true, true);
      std::fill(b.src.begin(), b.src.end(), 3.0f);
      std::fill(b.biases.begin(), b.biases.end(), -1.0f);
      const Outcome got = RunBatch(b);
      int correct = 0;
      for (size_t k = 0; k < b.src.size(); ++k) {
        const int c = static_cast<int>(k) % classes, label = b.labels[k / static_cast<size_t>(classes)];
        REQUIRE(got.logits[k] == 2.0f);
        REQUIRE(got.probabilities[k] == 1.0f / static_cast<float>(classes));
        REQUIRE(got.slopes[k] ==
                (1.0f / static_cast<float>(classes) - (c == label ? 1.0f : 0.0f)) / static_cast<float>(n));
      }
      for (const int32_t label : b.labels) correct += label == 0;  // the first of equals
      CHECK(got.result.correct == correct);
      CHECK(got.result.finite == 1);
    }
  }
}

TEST_CASE("kernel softmax_xent: every shape against plain loops, whole numbers with ties and real ones") {
  for (const SoftmaxXentShape& shape : kSoftmaxXentCases) {
    CAPTURE(Name(shape));
    if (shape.n < 1000) CheckAgainstReference(MakeBatch(shape, true, false));
    CheckAgainstReference(MakeBatch(shape, true, true));
    CheckAgainstReference(MakeBatch(shape, false, true));
  }
}

TEST_CASE(
    "kernel softmax_xent: large logits overflow nothing, a sure and right answer keeps its small loss") {
  Batch b = MakeBatch({9, 6}, true, false);
  for (float& z : b.src) z *= 1e37f;
  const Outcome large = RunBatch(b);
  CHECK(large.result.finite == 1);
  CHECK(std::isfinite(large.result.mean_loss));
  for (const float p : large.probabilities) CHECK((p >= 0.0f && p <= 1.0f));
  b = MakeBatch({1, 2}, true, false);
  b.src = {20.0f, 0.0f};
  b.labels = {0};
  const double want = std::log1p(std::exp(-20.0));  // 2e-9: lost if 1 + that were rounded
  CHECK(std::abs(RunBatch(b).result.mean_loss - want) <= want * 1e-5);
}

TEST_CASE("kernel softmax_xent: a row's numbers do not depend on the rows beside it") {
  const Batch all = MakeBatch({300, 5}, false, true);
  const Outcome together = RunBatch(all);
  for (const size_t i : {size_t{0}, size_t{17}, size_t{299}}) {
    Batch one{{1, 5},
              {all.src.begin() + static_cast<long>(i * 5), all.src.begin() + static_cast<long>(i * 5 + 5)},
              all.biases,
              {all.labels[i]}};
    const Outcome alone = RunBatch(one);
    for (size_t c = 0; c < 5; ++c) {
      CHECK(alone.logits[c] == together.logits[i * 5 + c]);
      CHECK(alone.probabilities[c] == together.probabilities[i * 5 + c]);
    }
  }
}

TEST_CASE("kernel softmax_xent: outputs that are not wanted are not written") {
  const Batch b = MakeBatch({40, 5}, false, true);
  const Outcome want = RunBatch(b);
  const DeviceArray<float> src(b.src), biases(b.biases), slopes(b.src.size());
  const DeviceArray<int32_t> labels(b.labels);
  const DeviceArray<HeadResult> partials(1), result(1);
  REQUIRE(LaunchSoftmaxXent(b.shape, src.data(), biases.data(), labels.data(),
                            {nullptr, nullptr, slopes.data()}, partials.data(), nullptr, result.data(),
                            TestStream()) == kLaunchOk);
  CHECK(slopes.Read() == want.slopes);
  CHECK(result.Read()[0].mean_loss == want.result.mean_loss);
  CHECK(LaunchSoftmaxXent({0, 5}, nullptr, nullptr, nullptr, {}, nullptr, nullptr, nullptr, TestStream()) ==
        kLaunchInvalidValue);
  CHECK(LaunchSoftmaxXent({5, 0}, nullptr, nullptr, nullptr, {}, nullptr, nullptr, nullptr, TestStream()) ==
        kLaunchInvalidValue);
}

TEST_CASE("kernel softmax_xent: what is not finite is told, wherever it stands, and an earlier step's too") {
  for (const SoftmaxXentShape& shape : {SoftmaxXentShape{7, 5}, {6, 70}, {1100, 3}}) {
    CAPTURE(Name(shape));
    for (const float strange : {kInfinity, -kInfinity, std::nanf("")}) {
      for (const size_t at : {Count(shape) / 2, Count(shape) - 1}) {
        CAPTURE(at);
        Batch b = MakeBatch(shape, false, true);
        b.src[at] = strange;
        CHECK(RunBatch(b).result.finite == 0);
      }
    }
    Batch apart = MakeBatch(shape, false, false);
    apart.src[0] = 3e38f, apart.src[1] = -3e38f, apart.labels[0] = 1;  // finite logits, a loss that is not
    CHECK(RunBatch(apart).result.finite == 0);
    const Batch b = MakeBatch(shape, false, true);
    const HeadResult good{1.0f, 1, 1}, bad{1.0f, 1, 0};
    CHECK(RunBatch(b, &good).result.finite == 1);
    CHECK(RunBatch(b, &bad).result.finite == 0);
  }
}
