// SPDX-License-Identifier: Apache-2.0
#include "models/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "loaders/files.h"
#include "loaders/graphdef.h"
#include "loaders/hash.h"

namespace couplet {
namespace {

constexpr double kHottest = 20;  // and 1 / kHottest the coldest
constexpr uint64_t kMaxFileBytes = 4096;

// d/d(beta) of the mean cross entropy of softmax(beta * logits) with the targets; it grows with beta.
double Slope(std::span<const float> logits, size_t classes, std::span<const int32_t> labels, double beta) {
  const auto n = static_cast<double>(labels.size());
  const double own = (n + 1) / (n + 2), other = (1 - own) / static_cast<double>(classes - 1);
  double slope = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    const std::span<const float> row = logits.subspan(i * classes, classes);
    const double greatest = *std::max_element(row.begin(), row.end());
    double sum = 0, expected = 0, wanted = 0;
    for (size_t c = 0; c < classes; ++c) {
      const double logit = row[c] - greatest, weight = std::exp(beta * logit);
      sum += weight;
      expected += weight * logit;
      wanted += (c == static_cast<size_t>(labels[i]) ? own : other) * logit;
    }
    slope += expected / sum - wanted;
  }
  return slope;
}

}  // namespace

double FitTemperature(std::span<const float> logits, int classes, std::span<const int32_t> labels) {
  const auto c = static_cast<size_t>(classes);
  COUPLET_CHECK(!labels.empty() && classes > 1 && logits.size() == labels.size() * c);
  double low = std::log(1 / kHottest), high = std::log(kHottest);  // of beta = 1 / temperature
  for (int i = 0; i < 50; ++i) {
    const double middle = (low + high) / 2;
    (Slope(logits, c, labels, std::exp(middle)) < 0 ? low : high) = middle;
  }
  return std::exp(-(low + high) / 2);
}

Calibration Calibrate(const HeadData& data, const HeadParams& params) {
  const auto features = static_cast<size_t>(data.features), classes = static_cast<size_t>(data.classes);
  std::vector<float> logits;
  std::vector<int32_t> labels;
  for (size_t c = 0; c < classes; ++c)
    for (const uint32_t row : data.rows[1][c]) {  // Split::kValidation
      std::vector<double> sums(params.biases.begin(), params.biases.end());
      for (size_t f = 0; f < features; ++f) {
        const double value = data.vectors[row * features + f];
        for (size_t k = 0; k < classes; ++k) sums[k] += value * static_cast<double>(params.weights[f * classes + k]);
      }
      logits.insert(logits.end(), sums.begin(), sums.end());
      labels.push_back(static_cast<int32_t>(c));
    }
  if (labels.empty()) return {};
  return {FitTemperature(logits, data.classes, labels), static_cast<int>(labels.size())};
}

void ApplyTemperature(double temperature, std::vector<Prediction>* all) {
  double sum = 0;
  std::vector<double> scores;
  for (const Prediction& p : *all) {
    scores.push_back(std::pow(static_cast<double>(p.score), 1 / temperature));
    sum += scores.back();
  }
  for (size_t i = 0; i < scores.size(); ++i) (*all)[i].score = static_cast<float>(scores[i] / sum);
}

std::string CalibrationPath(const std::string& graph_path) {
  return (graph_path.ends_with(".pb") ? graph_path.substr(0, graph_path.size() - 3) : graph_path) + "_calibration.txt";
}

std::string FormatCalibration(const Calibration& calibration, const Sha256Digest& graph_sha256) {
  return fmt::format("temperature {}\nphotos {}\ngraph_sha256 {}\n", static_cast<float>(calibration.temperature),
                     calibration.photos, ToHex(graph_sha256));
}

Result<Calibration> ReadCalibration(const std::string& graph_path) {
  const std::string path = CalibrationPath(graph_path);
  if (!FileExists(path))
    return BadInput(fmt::format("{}: not there; retrain writes it beside the graph when there are validation photos "
                                "(--validation_percentage), and --threshold needs it", path));
  std::vector<uint8_t> bytes;
  COUPLET_RETURN_IF_ERROR(ReadFile(path, kMaxFileBytes, &bytes));
  std::istringstream text(std::string(bytes.begin(), bytes.end()));
  Calibration calibration;
  std::string temperature, photos, sha, digest;
  text >> temperature >> calibration.temperature >> photos >> calibration.photos >> sha >> digest;
  if (!text || temperature != "temperature" || photos != "photos" || sha != "graph_sha256" ||
      !(calibration.temperature > 0) || !std::isfinite(calibration.temperature))
    return BadInput(path + ": is no calibration that retrain wrote; retrain again (bottlenecks are kept: seconds)");
  COUPLET_ASSIGN_OR_RETURN(const auto graph, MappedFile::Open(graph_path, GraphDefLimits().file_bytes));
  if (digest != ToHex(Sha256(graph->bytes())))
    return BadInput(fmt::format("{}: was made for another graph than {}; keep the two together, or retrain again, with validation photos "
                                "(--validation_percentage)", path, graph_path));
  return calibration;
}

}  // namespace couplet
