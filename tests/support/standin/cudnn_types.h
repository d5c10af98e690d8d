// What cuDNN's opaque descriptors are here.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cudnn.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "tests/support/standin/math.h"
#include "tests/support/standin/scheduler.h"

struct cudnnContext {
  cudaStream_t stream = nullptr;
};
struct cudnnTensorStruct {
  bool set = false;
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  int n = 0, c = 0, h = 0, w = 0;
  int64_t n_stride = 0, c_stride = 0, h_stride = 0, w_stride = 0;

  // Channels side by side, as everything here wants them.
  bool channels_last() const { return c_stride == 1 || c == 1; }
  bool packed() const {
    return channels_last() && w_stride == c && h_stride == w * w_stride && n_stride == h * h_stride;
  }
  size_t element_bytes() const { return couplet::standin::ElementBytes(element()); }
  couplet::standin::Element element() const {
    return type == CUDNN_DATA_HALF ? couplet::standin::Element::kHalf : couplet::standin::Element::kFloat;
  }
  // From the first element to the end of the last.
  size_t span_bytes() const {
    return static_cast<size_t>((n - 1) * n_stride + (c - 1) * c_stride + (h - 1) * h_stride +
                               (w - 1) * w_stride + 1) *
           element_bytes();
  }
};
struct cudnnFilterStruct {
  bool set = false;
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  cudnnTensorFormat_t format = CUDNN_TENSOR_NCHW;
  int k = 0, c = 0, h = 0, w = 0;
  couplet::standin::Element element() const {
    return type == CUDNN_DATA_HALF ? couplet::standin::Element::kHalf : couplet::standin::Element::kFloat;
  }
  size_t span_bytes() const {
    return static_cast<size_t>(int64_t{k} * c * h * w) * couplet::standin::ElementBytes(element());
  }
};
struct cudnnConvolutionStruct {
  bool set = false;
  int pad_h = 0, pad_w = 0, sh = 1, sw = 1, dh = 1, dw = 1, groups = 1;
  cudnnConvolutionMode_t mode = CUDNN_CONVOLUTION;
  cudnnDataType_t compute = CUDNN_DATA_FLOAT;
  cudnnMathType_t math = CUDNN_DEFAULT_MATH;
};
struct cudnnActivationStruct {
  bool set = false;
  cudnnActivationMode_t mode = CUDNN_ACTIVATION_IDENTITY;
};

namespace couplet::standin {

inline constexpr const char* kHandle = "cudnn handle";
inline constexpr const char* kTensor = "cudnn tensor descriptor";
inline constexpr const char* kFilter = "cudnn filter descriptor";
inline constexpr const char* kConvolution = "cudnn convolution descriptor";
inline constexpr const char* kActivation = "cudnn activation descriptor";

// One convolution, checked and ready to be computed: y = act(alpha * (x * w) + z_scale * z + bias) or, with
// no bias, alpha * (x * w) + z_scale * y.
struct ConvolutionJob {
  cudnnTensorStruct x, y, z;
  cudnnFilterStruct w;
  cudnnConvolutionStruct conv;
  const void *x_data = nullptr, *w_data = nullptr, *z_data = nullptr, *bias = nullptr;
  void *y_data = nullptr, *workspace = nullptr;
  size_t workspace_bytes = 0;
  float alpha = 1.0f, z_scale = 0.0f;
  bool relu = false;
  bool tf32 = false;
  SumOrder order = SumOrder::kRising;
};
void ComputeConvolution(const ConvolutionJob& job);

}  // namespace couplet::standin
