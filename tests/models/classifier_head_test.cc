// SPDX-License-Identifier: Apache-2.0
#include "models/classifier_head.h"

#include <bit>
#include <cmath>
#include <fstream>
#include <numeric>
#include <sstream>

#include "runtime/cpu/head_trainer.h"
#include "kernels/philox.h"
#include "tests/support/test.h"

using namespace couplet;

namespace {

// LISTS of tests/golden/draws.py
std::vector<std::vector<uint32_t>> GoldenLists() {
  std::vector<std::vector<uint32_t>> lists(5);
  const auto fill = [&](size_t c, uint32_t first, size_t count) {
    lists[c].resize(count);
    std::iota(lists[c].begin(), lists[c].end(), first);
  };
  fill(0, 100, 7);
  fill(2, 3, 1);
  fill(3, 1000, 3000);
  fill(4, 11, 2);
  return lists;
}

}  // namespace

TEST_CASE("head: batches and initial weights are those of the golden table, to the bit") {
  std::ifstream golden("tests/golden/draws.txt");
  REQUIRE(golden.good());
  int batches = 0, weights = 0;
  for (std::string line; std::getline(golden, line);) {
    std::istringstream words(line);
    std::string kind;
    uint64_t seed = 0;
    words >> kind >> seed;
    if (kind == "batch") {
      uint32_t step = 0, stream = 0;
      int size = 0;
      words >> step >> stream >> size;
      const HeadBatch batch = DrawBatch(GoldenLists(), size, seed, step, stream);
      REQUIRE(batch.rows.size() == static_cast<size_t>(size));
      REQUIRE(batch.labels.size() == batch.rows.size());
      for (size_t i = 0; i < batch.rows.size(); ++i, ++batches) {
        std::string pair;
        words >> pair;
        CHECK(std::to_string(batch.labels[i]) + ":" + std::to_string(batch.rows[i]) == pair);
      }
    } else {
      size_t first = 0;
      words >> first;
      std::vector<uint32_t> want;
      for (std::string hex; words >> hex;)
        want.push_back(static_cast<uint32_t>(std::stoul(hex, nullptr, 16)));
      const HeadParams params =
          InitialParams({.features = static_cast<int>(first + want.size()), .classes = 1}, seed);
      for (size_t i = 0; i < want.size(); ++i, ++weights)
        CHECK(std::bit_cast<uint32_t>(params.weights[first + i]) == want[i]);
    }
  }
  CHECK(batches == 60);
  CHECK(weights == 42);
}

TEST_CASE("head: a batch of the whole split is every row in order; an empty split gives an empty batch") {
  const std::vector<std::vector<uint32_t>> lists = {{5, 1}, {}, {7}};
  const HeadBatch all = DrawBatch(lists, -1, 1, 2, kStreamTest);
  CHECK(all.rows == std::vector<uint32_t>{5, 1, 7});
  CHECK(all.labels == std::vector<int32_t>{0, 0, 2});
  CHECK(DrawBatch(lists, 0, 1, 2, kStreamTest).rows.empty());
  CHECK(DrawBatch({{}, {}}, 100, 0, 0, kStreamValidation).rows.empty());
  CHECK(DrawBatch({{}, {}}, -1, 0, 0, kStreamValidation).rows.empty());
}

TEST_CASE("head: classes are drawn evenly, whatever their number of photos") {
  const auto lists = GoldenLists();
  std::array<int, 5> drawn{};
  for (uint32_t step = 0; step < 400; ++step)
    for (const int32_t label : DrawBatch(lists, 100, 3, step, kStreamTrain).labels)
      ++drawn[static_cast<size_t>(label)];
  CHECK(drawn[1] == 0);
  for (const int c : {0, 2, 3, 4})
    CHECK(std::abs(drawn[static_cast<size_t>(c)] - 10000) < 5 * 87);  // 5 sigma
}

TEST_CASE("head: initial weights are a normal cut at two sigma, biases zero") {
  const HeadShape shape{.features = 2001, .classes = 50};
  const HeadParams params = InitialParams(shape, 42);
  REQUIRE(params.weights.size() == 100050);
  CHECK(params.biases == std::vector<float>(50, 0.0f));
  double sum = 0, squares = 0;
  float largest = 0;
  for (const float w : params.weights) {
    sum += w;
    squares += double{w} * w;
    largest = std::max(largest, std::abs(w));
  }
  const double n = static_cast<double>(params.weights.size());
  CHECK(std::abs(sum / n) < 5 * 0.00088 / std::sqrt(n));
  CHECK(largest < 0.002f);
  CHECK(largest > 0.0019f);
  // Variance of a standard normal cut at +-2: 1 - 4 phi(2) / (2 Phi(2) - 1) = 0.7737
  CHECK(std::abs(squares / n / 1e-6 - 0.7737) < 0.01);
  CHECK(InitialParams(shape, 42).weights == params.weights);
  CHECK(InitialParams(shape, 43).weights != params.weights);
}

TEST_CASE("head: an evaluation counts who was taken for whom") {
  // Vectors are one-hot and the weights the unit matrix, but class 3 looks like class 1: logit = 2 at the
  // "seen" class.
  HeadData data;
  data.features = data.classes = 4;
  const std::vector<int> seen = {0, 0, 1, 2, 1, 0};
  for (const int s : seen)
    for (int f = 0; f < 4; ++f) data.vectors.push_back(f == s ? 2.0f : 0.0f);
  HeadParams unit{.weights = std::vector<float>(16, 0.0f), .biases = std::vector<float>(4, 0.0f)};
  for (size_t i = 0; i < 4; ++i) unit.weights[i * 4 + i] = 1.0f;
  auto trainer = MakeCpuHeadTrainer({.features = 4, .classes = 4});
  REQUIRE(trainer->set_params(unit).ok());
  const HeadBatch batch{.rows = {0, 1, 2, 3, 4, 5}, .labels = {0, 0, 1, 2, 3, 1}};
  const auto got = EvaluateBatch(*trainer, data, batch);
  REQUIRE(got.ok());
  CHECK(got->n == 6);
  CHECK(got->correct == 4);
  CHECK(got->predicted == std::vector<int32_t>{0, 0, 1, 2, 1, 0});
  CHECK(got->misclassified == std::vector<size_t>{4, 5});
  CHECK(got->confusion == std::vector<int>{2, 0, 0, 0, /**/ 1, 1, 0, 0, /**/ 0, 0, 1, 0, /**/ 0, 1, 0, 0});
  CHECK(got->actual(1) == 2);
  CHECK(got->taken_for(1) == 2);
  CHECK(got->precision(0) == 2.0 / 3.0);
  CHECK(got->recall(0) == 1.0);
  CHECK(got->recall(3) == 0.0);
  CHECK_FALSE(got->precision(3).has_value());
  const double top = std::exp(2.0) / (std::exp(2.0) + 3.0);
  for (const float p : got->top_probability) CHECK(p == doctest::Approx(top).epsilon(1e-6));
  CHECK(got->mean_loss ==
        doctest::Approx((-4 * std::log(top) - 2 * std::log((1 - top) / 3)) / 6).epsilon(1e-6));

  const auto none = EvaluateBatch(*trainer, data, {});
  REQUIRE(none.ok());
  CHECK(none->n == 0);
  CHECK_FALSE(none->recall(0).has_value());
}

TEST_CASE("head: an accuracy in percent is float32, as in the original") {
  CHECK(AccuracyPercent(0, 7) == 0.0f);
  CHECK(AccuracyPercent(7, 7) == 100.0f);
  CHECK(AccuracyPercent(331, 362) == 331.0f / 362.0f * 100.0f);
}
