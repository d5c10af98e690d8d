// The arithmetic of the last layer in vectors (Highway; the best instruction set of the machine is chosen
// when the program runs). Sums run in an order that depends on the instruction set and the shape alone, so
// one machine gives the same bits every time, and a row's logits do not depend on the batch it is in. Here lanes are features
// (head_layout.h), and classes in the softmax; head_panels.h has the products for lanes that are classes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/cpu/head_layout.h"
#include "runtime/cpu/team.h"

namespace couplet::head {

// The vectors of a batch where they lie. Where lanes are features, a vector's last features % kPad floats are copied to `tails`,
// so that nothing is read behind the end of a data set.
struct Batch {
  const float* const* rows = nullptr;  // [n] -> features floats each
  const float* tails = nullptr;        // [n, kPad], zero padded; not read when features % kPad == 0
  size_t n = 0;
};

// logits [n, Padded(classes)] = rows . weights + biases. weights as `layout` has them, biases [Padded(classes)]. What lies
// behind `classes` in a row of logits is not written.
void Forward(const Layout& layout, const Batch& batch, const float* weights, const float* biases, float* logits, cpu::Team& team);

struct SoftmaxSums {
  double loss = 0.0;  // sum over rows of the cross-entropy
  int correct = 0;
  bool finite = true;
};
// probabilities [n, Padded(classes)] = softmax(logits), the maximum subtracted first; the padding is 0.
SoftmaxSums Softmax(const float* logits, const int32_t* labels, size_t n, size_t classes,
                    float* probabilities);

// values [n, Padded(classes)], the probabilities, become d(mean loss) / d(logits) = (probability - 1 at the label) / n. classes < 2^24
void Slopes(const int32_t* labels, size_t n, size_t classes, float* values);

// dst = src - learning_rate * sum over i of slopes[i, :] x rows[i]; src, dst as `layout` has them, slopes [n, Padded(classes)].
// False when an element of dst is not finite.
bool Update(const Layout& layout, const Batch& batch, const float* slopes, float learning_rate, const float* src, float* dst,
            cpu::Team& team);

}  // namespace couplet::head
