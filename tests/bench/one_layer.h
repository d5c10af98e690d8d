// A convolution of a network alone: the layer with made up weights, prepared by a backend, run as often as wanted.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "runtime/backend.h"
#include "tests/support/model_layers.h"

namespace couplet::bench {

Layer MakeLayer(const test::ConvShape& shape);

// Ends the program when the layer cannot be prepared or run.
class OneLayer {
 public:
  OneLayer(Backend& backend, const Layer& layer, const Shape& src);
  void Run() const;

 private:
  std::unique_ptr<PreparedOp> op_;
  std::unique_ptr<OpState> state_;
  Buffer scratch_, src_, dst_;
};

}  // namespace couplet::bench
