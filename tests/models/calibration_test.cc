// SPDX-License-Identifier: Apache-2.0
#include "models/calibration.h"

#include <cmath>
#include <fstream>

#include "runtime/backend.h"
#include "tests/support/test.h"
#include "tests/support/tiny_graph.h"
#include "tests/support/values.h"

using namespace couplet;
using namespace couplet::test;

namespace {

// Mean cross entropy with Platt's targets, written anew.
double Loss(const std::vector<float>& logits, int classes, const std::vector<int32_t>& labels, double temperature) {
  const double n = static_cast<double>(labels.size());
  double loss = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    double sum = 0;
    for (int c = 0; c < classes; ++c) sum += std::exp(logits[i * static_cast<size_t>(classes) + static_cast<size_t>(c)] / temperature);
    for (int c = 0; c < classes; ++c) {
      const double target = c == labels[i] ? (n + 1) / (n + 2) : 1 / (n + 2) / (classes - 1);
      loss -= target * (logits[i * static_cast<size_t>(classes) + static_cast<size_t>(c)] / temperature - std::log(sum));
    }
  }
  return loss / n;
}

}  // namespace

TEST_CASE("calibration: labels drawn from softmax(logits / 3) give back a temperature near 3") {
  Values values(5);
  constexpr int kClasses = 4, kPhotos = 3000;
  std::vector<float> logits;
  std::vector<int32_t> labels;
  for (int i = 0; i < kPhotos; ++i) {
    double weights[kClasses], sum = 0;
    for (double& weight : weights) {
      logits.push_back(6 * values.real());
      sum += weight = std::exp(logits.back() / 3);
    }
    double u = (values.real() + 1) / 2 * sum;
    int label = 0;
    while (label < kClasses - 1 && u >= weights[label]) u -= weights[label++];
    labels.push_back(label);
  }
  const double fitted = FitTemperature(logits, kClasses, labels);
  CHECK(std::fabs(fitted - 3) < 0.3);
  // No other temperature makes the labels likelier.
  for (const double other : {fitted * 0.98, fitted * 1.02, 1.0})
    CHECK(Loss(logits, kClasses, labels, fitted) <= Loss(logits, kClasses, labels, other));
}

TEST_CASE("calibration: a few photos, all right, leave doubt; all wrong, none of the scores counts") {
  const std::vector<float> logits = {4, 0, 0, 4};
  const double right = FitTemperature(logits, 2, std::vector<int32_t>{0, 1});
  // Two photos: Platt's target is 3 / 4, reached where exp(4 / T) = 3.
  CHECK(std::fabs(right - 4 / std::log(3.0)) < 1e-6);
  CHECK(FitTemperature(logits, 2, std::vector<int32_t>{1, 0}) == doctest::Approx(20));
  // Logits that leave no doubt, and those that tell nothing: the bounds, and any temperature.
  CHECK(FitTemperature(std::vector<float>{0.01f, 0, 0, 0.01f}, 2, std::vector<int32_t>{0, 1}) == doctest::Approx(0.05));
  CHECK(std::isfinite(FitTemperature(std::vector<float>{1, 1, 1, 1}, 2, std::vector<int32_t>{0, 1})));
}

TEST_CASE("calibration: it is fitted on the validation rows of the head") {
  HeadData data;
  data.features = 2;
  data.classes = 2;
  data.vectors = {1, 0, 0, 1, 5, 5};
  data.rows = {{{{2}, {2}}, {{0}, {1}}, {{2}, {2}}}};
  HeadParams params;
  params.weights = {4, 0, 0, 4};
  params.biases = {1, 1};
  const auto backend = MakeCpuBackend();
  const auto trainer = backend->make_head_trainer({.features = 2, .classes = 2});
  REQUIRE(trainer.ok());
  REQUIRE((*trainer)->set_params(params).ok());
  const auto calibration = Calibrate(**trainer, data);
  REQUIRE(calibration.ok());
  CHECK(calibration->photos == 2);
  CHECK(std::fabs(calibration->temperature - 4 / std::log(3.0)) < 1e-6);
  // More of them than are evaluated at once, in every split: the same photo many times tells no more about it.
  for (size_t split = 0; split < 3; ++split) data.rows[split] = {std::vector<uint32_t>(5000, split == 1 ? 0 : 2), std::vector<uint32_t>(5000, split == 1 ? 1 : 2)};
  const auto many = Calibrate(**trainer, data);
  REQUIRE(many.ok());
  CHECK(many->photos == 10000);
  CHECK(std::fabs(many->temperature - 4 / std::log(10001.0)) < 1e-6);
  data.rows[1] = {{}, {}};
  const auto none = Calibrate(**trainer, data);
  REQUIRE(none.ok());
  CHECK(none->photos == 0);
  CHECK(none->temperature == 1);
}

TEST_CASE("calibration: scores to the power of 1 / T, to the sum of 1, a zero stays") {
  std::vector<Prediction> top = {{2, 0.81f}, {0, 0.16f}, {1, 0.0f}};
  ApplyTemperature(2, &top);
  CHECK(top[0].score == doctest::Approx(0.9 / 1.3));
  CHECK(top[1].score == doctest::Approx(0.4 / 1.3));
  CHECK(top[2].score == 0);
  CHECK(top[0].index == 2);
}

TEST_CASE("calibration: the file goes with its graph and says so when it does not") {
  const TempDir dir;
  const std::string graph = dir / "retrained_graph.pb", path = dir / "retrained_graph_calibration.txt";
  CHECK(CalibrationPath(graph) == path);
  CHECK(CalibrationPath("x") == "x_calibration.txt");
  const auto spill = [](const std::string& file, const std::string& text) { std::ofstream(file) << text; };
  spill(graph, "a graph");
  CHECK(NotTheLine(ReadCalibration(graph).status(), {path, "not there", "--validation_percentage"}) == "");
  const std::string text = FormatCalibration({1.5, 359}, Sha256(std::as_bytes(std::span(std::string_view("a graph")))));
  CHECK(text.starts_with("temperature 1.5\nphotos 359\ngraph_sha256 "));
  spill(path, text);
  const auto read = ReadCalibration(graph);
  REQUIRE_MESSAGE(read.ok(), read.status().message());
  CHECK(read->temperature == 1.5);
  CHECK(read->photos == 359);
  spill(graph, "another graph");
  CHECK(NotTheLine(ReadCalibration(graph).status(), {path, "another graph", "retrain again"}) == "");
  for (const char* damaged : {"", "temperature x\n", "temperature -1\nphotos 3\ngraph_sha256 a\n"}) {
    spill(path, damaged);
    CHECK(NotTheLine(ReadCalibration(graph).status(), {path, "no calibration that retrain wrote"}) == "");
  }
}
