// Softmax and cross-entropy of a batch in plain double loops.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace couplet::reference {

struct SoftmaxXentPass {
  std::vector<double> probabilities, slopes;  // [n, classes]
  std::vector<double> spread;                 // [n] largest less smallest logit
  std::vector<double> losses;                 // [n]
  double mean_loss = 0.0;
  int correct = 0;
};

// logits [n, classes], all finite.
inline SoftmaxXentPass RunSoftmaxXent(int n, int classes, const std::vector<float>& logits,
                                      const std::vector<int32_t>& labels) {
  SoftmaxXentPass pass;
  for (int i = 0; i < n; ++i) {
    const float* z = logits.data() + static_cast<size_t>(i) * static_cast<size_t>(classes);
    int best = 0;
    double least = z[0], sum = 0.0;
    for (int c = 1; c < classes; ++c) {
      if (z[c] > z[best]) best = c;
      if (z[c] < least) least = z[c];
    }
    for (int c = 0; c < classes; ++c) sum += std::exp(double{z[c]} - z[best]);
    const int label = labels[static_cast<size_t>(i)];
    for (int c = 0; c < classes; ++c) {
      const double p = std::exp(double{z[c]} - z[best]) / sum;
      pass.probabilities.push_back(p);
      pass.slopes.push_back((p - (c == label ? 1.0 : 0.0)) / n);
    }
    pass.spread.push_back(z[best] - least);
    pass.losses.push_back(std::log(sum) + z[best] - z[label]);
    pass.mean_loss += pass.losses.back() / n;
    pass.correct += best == label ? 1 : 0;
  }
  return pass;
}

}  // namespace couplet::reference
