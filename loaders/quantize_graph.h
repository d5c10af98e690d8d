// The codelab's scripts.quantize_graph: float constants in fewer bits, so that a graph is smaller or compresses better.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "loaders/graphdef.h"
#include "runtime/status.h"

namespace couplet {

struct QuantizeOptions {
  std::vector<std::string> outputs;  // what these need is kept
  enum class Mode {
    kWeights,         // 8 bits and a Dequantize (MIN_COMBINED) each
    kWeightsRounded,  // still floats, of 2^bits values each: gzip does the rest
  } mode = Mode::kWeightsRounded;
  int bits = 8;  // kWeightsRounded: [1, 24]
  // kWeights: the original stores the range it was given and quantises over a wider one where that is under 0.01 *
  // max(1, |min|, |max|), or all negative; such constants come back wrong (0.001 as 0.000102). false leaves them floats.
  bool break_small_ranges = false;
};

struct QuantizedGraph {
  std::string bytes;
  size_t constants = 0;               // changed
  std::vector<std::string> left;      // names of those left floats because their range is too small
};

// kBadInput: a name that is not there, a constant that is not finite.
Result<QuantizedGraph> QuantizeGraph(const GraphDef& def, const QuantizeOptions& options);

// Each value becomes the middle of its bucket of 2^bits between the least and the greatest, in float32 as numpy
// computes it; constant arrays stay. REQUIRES: finite values.
void RoundToBuckets(int bits, std::vector<float>* values);

// What array_ops.quantize_v2 makes of `values` in MIN_COMBINED, quint8, over [min, max].
struct EightBits {
  std::string bytes;
  float min = 0, max = 0;        // as given; what Dequantize reads
  bool widened = false;          // values were quantised over another range than [min, max]
};
// The range as quantize_graph.py takes it: zero is in it, and it is not empty. REQUIRES: finite values, one at least.
EightBits QuantizeToEightBits(const std::vector<float>& values);

}  // namespace couplet
