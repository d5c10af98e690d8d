// The last layer in plain double loops; shares nothing with runtime/cpu.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/head_trainer.h"

namespace couplet::reference {

struct HeadPass {
  std::vector<double> logits, probabilities;  // [n, classes]
  std::vector<double> logit_magnitude;  // [n, classes] sum |x * w| + |b|: what a rounding bound scales with
  std::vector<double> weight_gradient;  // [features, classes] of the mean loss
  std::vector<double> bias_gradient;    // [classes]
  double mean_loss = 0.0;
  int correct = 0;
};

inline HeadPass RunHead(const HeadShape& shape, const HeadParams& params, std::span<const float> vectors,
                        std::span<const uint32_t> rows, std::span<const int32_t> labels) {
  const size_t features = static_cast<size_t>(shape.features), classes = static_cast<size_t>(shape.classes);
  const double n = static_cast<double>(rows.size());
  HeadPass pass;
  pass.weight_gradient.assign(features * classes, 0.0);
  pass.bias_gradient.assign(classes, 0.0);
  for (size_t i = 0; i < rows.size(); ++i) {
    const float* x = vectors.data() + rows[i] * features;
    const size_t label = static_cast<size_t>(labels[i]);
    std::vector<double> z(classes), p(classes);
    double largest = -INFINITY, sum = 0.0;
    size_t best = 0;
    for (size_t c = 0; c < classes; ++c) {
      double magnitude = std::abs(double{params.biases[c]});
      z[c] = params.biases[c];
      for (size_t f = 0; f < features; ++f) {
        z[c] += double{x[f]} * params.weights[f * classes + c];
        magnitude += std::abs(double{x[f]} * params.weights[f * classes + c]);
      }
      pass.logit_magnitude.push_back(magnitude);
      if (z[c] > largest) largest = z[c], best = c;
    }
    for (size_t c = 0; c < classes; ++c) sum += p[c] = std::exp(z[c] - largest);
    for (size_t c = 0; c < classes; ++c) {
      p[c] /= sum;
      const double slope = (p[c] - (c == label ? 1.0 : 0.0)) / n;
      pass.bias_gradient[c] += slope;
      for (size_t f = 0; f < features; ++f) pass.weight_gradient[f * classes + c] += slope * x[f];
    }
    pass.mean_loss += (std::log(sum) + largest - z[label]) / n;
    pass.correct += best == label;
    pass.logits.insert(pass.logits.end(), z.begin(), z.end());
    pass.probabilities.insert(pass.probabilities.end(), p.begin(), p.end());
  }
  return pass;
}

}  // namespace couplet::reference
