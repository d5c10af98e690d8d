// SPDX-License-Identifier: Apache-2.0
#include "models/classifier_head.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/philox.h"

namespace couplet {

namespace {

constexpr double kInitialStddev = 0.001;
constexpr double kTruncateAt = 2.0;  // sigma

// First value within the bounds of the two that Box and Muller make of two words.
bool FirstWithin(uint32_t radius_bits, uint32_t angle_bits, double* normal) {
  const double radius = std::sqrt(-2.0 * std::log((radius_bits + 1.0) * 0x1p-32));
  const double angle = 2.0 * std::numbers::pi * (angle_bits * 0x1p-32);
  *normal = radius * std::cos(angle);
  if (std::abs(*normal) < kTruncateAt) return true;
  *normal = radius * std::sin(angle);
  return std::abs(*normal) < kTruncateAt;
}

double TruncatedNormal(uint64_t seed, uint32_t index) {
  double normal = 0.0;
  for (uint32_t attempt = 0;; ++attempt) {
    const Philox4 u = Philox(seed, index, attempt, kStreamWeights);
    if (FirstWithin(u.v[0], u.v[1], &normal) || FirstWithin(u.v[2], u.v[3], &normal)) return normal;
  }
}

}  // namespace

HeadBatch DrawBatch(const std::vector<std::vector<uint32_t>>& rows_by_class, int size, uint64_t seed,
                    uint32_t step, uint32_t stream) {
  HeadBatch batch;
  std::vector<int32_t> present;
  for (size_t c = 0; c < rows_by_class.size(); ++c)
    if (!rows_by_class[c].empty()) present.push_back(static_cast<int32_t>(c));
  if (present.empty()) return batch;
  if (size < 0) {
    for (const int32_t c : present) {
      const std::vector<uint32_t>& rows = rows_by_class[static_cast<size_t>(c)];
      batch.rows.insert(batch.rows.end(), rows.begin(), rows.end());
      batch.labels.insert(batch.labels.end(), rows.size(), c);
    }
    return batch;
  }
  batch.rows.reserve(static_cast<size_t>(size));
  batch.labels.reserve(static_cast<size_t>(size));
  for (int i = 0; i < size; ++i) {
    const Philox4 u = Philox(seed, static_cast<uint32_t>(i), step, stream);
    const int32_t label = present[(uint64_t{u.v[0]} * present.size()) >> 32];
    const std::vector<uint32_t>& rows = rows_by_class[static_cast<size_t>(label)];
    batch.rows.push_back(rows[(u.v[1] % (1u << 27)) % rows.size()]);
    batch.labels.push_back(label);
  }
  return batch;
}

BatchSource MakeBatchSource(const std::vector<std::vector<uint32_t>>& rows_by_class, int size,
                            uint32_t stream) {
  BatchSource source;
  source.size = size;
  source.stream = stream;
  for (size_t c = 0; c < rows_by_class.size(); ++c) {
    if (rows_by_class[c].empty()) continue;
    source.first.push_back(static_cast<uint32_t>(source.rows.size()));
    source.rows.insert(source.rows.end(), rows_by_class[c].begin(), rows_by_class[c].end());
    source.labels.push_back(static_cast<int32_t>(c));
  }
  source.first.push_back(static_cast<uint32_t>(source.rows.size()));
  return source;
}

HeadParams InitialParams(const HeadShape& shape, uint64_t seed) {
  HeadParams params;
  params.weights.resize(static_cast<size_t>(shape.features) * static_cast<size_t>(shape.classes));
  params.biases.assign(static_cast<size_t>(shape.classes), 0.0f);
  for (size_t k = 0; k < params.weights.size(); ++k)
    params.weights[k] = static_cast<float>(kInitialStddev * TruncatedNormal(seed, static_cast<uint32_t>(k)));
  return params;
}

int Evaluation::actual(int c) const {
  int sum = 0;
  for (int k = 0; k < classes; ++k) sum += confusion[static_cast<size_t>(c) * classes + k];
  return sum;
}

int Evaluation::taken_for(int c) const {
  int sum = 0;
  for (int k = 0; k < classes; ++k) sum += confusion[static_cast<size_t>(k) * classes + c];
  return sum;
}

std::optional<double> Evaluation::precision(int c) const {
  const int all = taken_for(c);
  if (all == 0) return std::nullopt;
  return static_cast<double>(right(c)) / all;
}

std::optional<double> Evaluation::recall(int c) const {
  const int all = actual(c);
  if (all == 0) return std::nullopt;
  return static_cast<double>(right(c)) / all;
}

Status UseVectors(HeadTrainer& trainer, const HeadData& data) {
  return data.resident != nullptr ? trainer.use_resident(*data.resident) : trainer.set_vectors(data.vectors);
}

Result<Evaluation> EvaluateBatch(HeadTrainer& trainer, const HeadData& data, const HeadBatch& batch) {
  const size_t n = batch.rows.size(), classes = static_cast<size_t>(data.classes);
  Evaluation result;
  result.classes = data.classes;
  result.n = static_cast<int>(n);
  result.confusion.assign(classes * classes, 0);
  if (n == 0) return result;
  COUPLET_RETURN_IF_ERROR(UseVectors(trainer, data));
  std::vector<float> logits(n * classes), probabilities(n * classes);
  COUPLET_ASSIGN_OR_RETURN(const BatchResult pass, trainer.evaluate(batch.rows, batch.labels,
                                                                    {.logits = logits.data(),
                                                                     .probabilities = probabilities.data()}));
  result.correct = pass.correct;
  result.mean_loss = pass.mean_loss;
  for (size_t i = 0; i < n; ++i) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>(i * classes);
    const size_t best =
        static_cast<size_t>(std::max_element(row, row + static_cast<std::ptrdiff_t>(classes)) - row);
    const size_t label = static_cast<size_t>(batch.labels[i]);
    result.predicted.push_back(static_cast<int32_t>(best));
    result.top_probability.push_back(probabilities[i * classes + best]);
    ++result.confusion[label * classes + best];
    if (best != label) result.misclassified.push_back(i);
  }
  return result;
}

float AccuracyPercent(int correct, int n) {
  COUPLET_CHECK(n > 0);
  return static_cast<float>(correct) / static_cast<float>(n) * 100.0f;
}

}  // namespace couplet
