// A 3x3 convolution by bands of rows (window_kernels.h): depthwise, or the first layer of a network, which sees three channels.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "runtime/cpu/convolution.h"
#include "runtime/cpu/row_chain.h"

namespace couplet::cpu::own {

class Window3x3 final : public RowOp {
 public:
  explicit Window3x3(const Convolution& c);

  static bool Fits(const Convolution& c, int threads);

  Status run(const RunArgs& args) const override;
  void RunRows(const Rows& rows) const override { RunRows(rows, nullptr); }
  // most: where depthwise, null or takes the greatest of the results' bits as unsigned integers
  void RunRows(const Rows& rows, uint32_t* most) const;
  bool sees_own_row() const override { return false; }
  Range Sees(int first, int count) const override;
  const Shape& src() const override { return src_; }
  const Shape& dst() const override { return dst_; }

 private:
  bool depthwise_;
  Shape src_, dst_;
  int stride_;
  Pads pads_;
  std::vector<float> weights_, bias_;
  Clamp clamp_;
};

}  // namespace couplet::cpu::own
