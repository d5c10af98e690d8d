// SPDX-License-Identifier: Apache-2.0
#include "models/classifier_head.h"

#include <cmath>
#include <numbers>

#include "runtime/philox.h"

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

HeadBatch DrawBatch(const std::vector<std::vector<uint32_t>>& rows_by_class, int size, uint64_t seed, uint32_t step,
                    uint32_t stream) {
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

HeadParams InitialParams(const HeadShape& shape, uint64_t seed) {
  HeadParams params;
  params.weights.resize(static_cast<size_t>(shape.features) * static_cast<size_t>(shape.classes));
  params.biases.assign(static_cast<size_t>(shape.classes), 0.0f);
  for (size_t k = 0; k < params.weights.size(); ++k)
    params.weights[k] = static_cast<float>(kInitialStddev * TruncatedNormal(seed, static_cast<uint32_t>(k)));
  return params;
}

}  // namespace couplet
