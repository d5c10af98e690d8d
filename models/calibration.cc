// SPDX-License-Identifier: Apache-2.0
#include "models/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "loaders/files.h"
#include "loaders/graphdef.h"
#include "loaders/hash.h"
#include "loaders/image_list.h"

namespace couplet {
namespace {

constexpr double kHottest = 20;  // and 1 / kHottest the coldest
constexpr double kCloseEnough = 1e-12;  // a file has seven digits
constexpr uint64_t kMaxFileBytes = 4096;

// The first and second derivative, by beta, of the cross entropy of softmax(beta * logits) with the targets.
struct Slope {
  double first = 0, second = 0;  // second >= 0: the first grows with beta
};
Slope SlopeAt(std::span<const float> logits, size_t classes, std::span<const int32_t> labels, double beta) {
  const auto n = static_cast<double>(labels.size());
  const double own = (n + 1) / (n + 2), other = (1 - own) / static_cast<double>(classes - 1);
  Slope slope;
  for (size_t i = 0; i < labels.size(); ++i) {
    const std::span<const float> row = logits.subspan(i * classes, classes);
    const double greatest = *std::max_element(row.begin(), row.end());
    double sum = 0, expected = 0, expected_square = 0, wanted = 0;
    for (size_t c = 0; c < classes; ++c) {
      const double logit = row[c] - greatest, weight = std::exp(beta * logit);
      sum += weight;
      expected += weight * logit;
      expected_square += weight * logit * logit;
      wanted += (c == static_cast<size_t>(labels[i]) ? own : other) * logit;
    }
    const double mean = expected / sum;
    slope.first += mean - wanted;
    slope.second += expected_square / sum - mean * mean;
  }
  return slope;
}

}  // namespace

double FitTemperature(std::span<const float> logits, int classes, std::span<const int32_t> labels) {
  const auto c = static_cast<size_t>(classes);
  COUPLET_CHECK(!labels.empty() && classes > 1 && logits.size() == labels.size() * c);
  double low = 1 / kHottest, high = kHottest, beta = 1;  // beta: 1 / temperature
  // Newton's steps; the (geometric) middle of what is left where one leads out of it. More than any set has taken.
  for (int i = 0; i < 100 && high - low > kCloseEnough * low; ++i) {
    const Slope slope = SlopeAt(logits, c, labels, beta);
    (slope.first < 0 ? low : high) = beta;
    const double next = beta - slope.first / slope.second;
    if (std::fabs(next - beta) <= kCloseEnough * beta) break;
    beta = next > low && next < high ? next : std::sqrt(low * high);
  }
  return 1 / beta;
}

Result<Calibration> Calibrate(HeadTrainer& trainer, const HeadData& data) {
  constexpr size_t kAtOnce = 1024;
  const auto classes = static_cast<size_t>(data.classes);
  const auto [rows, labels] = DrawBatch(data.rows[static_cast<size_t>(Split::kValidation)], -1, 0, 0, 0);  // all of them
  if (labels.empty()) return Calibration{};
  COUPLET_RETURN_IF_ERROR(UseVectors(trainer, data));
  std::vector<float> logits(rows.size() * classes);
  for (size_t first = 0; first < rows.size(); first += kAtOnce) {
    const size_t count = std::min(kAtOnce, rows.size() - first);
    COUPLET_RETURN_IF_ERROR(trainer.evaluate(std::span(rows).subspan(first, count), std::span(labels).subspan(first, count),
                                             {.logits = logits.data() + first * classes}).status());
  }
  return Calibration{FitTemperature(logits, data.classes, labels), static_cast<int>(labels.size())};
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
