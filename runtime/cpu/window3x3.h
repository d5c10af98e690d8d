// A 3x3 convolution by bands of rows (window_kernels.h): depthwise, or the first layer of a network, which sees three channels.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "runtime/backend.h"
#include "runtime/cpu/convolution.h"

namespace couplet::cpu::own {

class Window3x3 final : public PreparedOp {
 public:
  explicit Window3x3(const Convolution& c);

  static bool Fits(const Convolution& c, int threads);

  Status run(const RunArgs& args) const override;
  // Rows [first, first + rows) of one photo's result. src: [src.h, src.w, src.c]. dst: [rows, dst.w, dst.c]
  // most: where depthwise, takes the greatest of the results' bits as unsigned integers
  void RunRows(const float* src, int first, int rows, float* dst, uint32_t* most = nullptr) const;

  const Shape& src() const { return src_; }

 private:
  bool depthwise_;
  Shape src_, dst_;
  int stride_;
  Pads pads_;
  std::vector<float> weights_, bias_;
  Clamp clamp_;
};

}  // namespace couplet::cpu::own
