// The matrix product behind cuBLAS and cublasLt: D = act(alpha * op(A) . op(B) + beta * C + bias).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cublas_v2.h>

#include <cstddef>
#include <cstdint>

#include "tests/support/standin/math.h"
#include "tests/support/standin/scheduler.h"

struct cublasContext {
  cudaStream_t stream = nullptr;
  cublasMath_t math = CUBLAS_DEFAULT_MATH;
  cublasPointerMode_t pointer_mode = CUBLAS_POINTER_MODE_HOST;
};
struct cublasLtContext {
  int unused = 0;
};

namespace couplet::standin {

struct Matrix {
  const void* data = nullptr;
  Element element = Element::kFloat;
  int64_t rows = 0, cols = 0, ld = 0;
  bool row_major = false;
  bool transposed = false;   // op
  int64_t batch_stride = 0;  // elements

  int64_t op_rows() const { return transposed ? cols : rows; }
  int64_t op_cols() const { return transposed ? rows : cols; }
  int64_t row_step() const { return row_major ? ld : 1; }
  int64_t col_step() const { return row_major ? 1 : ld; }
  size_t span_bytes(int batch) const {
    return static_cast<size_t>((batch - 1) * batch_stride + (rows - 1) * row_step() +
                               (cols - 1) * col_step() + 1) *
           ElementBytes(element);
  }
};

struct ProductJob {
  Matrix a, b, c, d;
  void* out = nullptr;  // d's data
  int batch = 1;
  float alpha = 1.0f, beta = 0.0f;
  const float *device_alpha = nullptr, *device_beta = nullptr;  // read when the work runs, instead
  const void* bias = nullptr;                                   // one element a row of D
  Element bias_element = Element::kFloat;
  bool relu = false, tf32 = false;
  SumOrder order = SumOrder::kRising;
  void* workspace = nullptr;
  size_t workspace_bytes = 0;
};

// Checks the memory, queues the product on the stream and checks again when it runs.
cublasStatus_t EnqueueProduct(const char* call, cudaStream_t stream, const ProductJob& job);

inline constexpr const char* kBlasHandle = "cublas handle";
inline constexpr const char* kLtHandle = "cublasLt handle";

}  // namespace couplet::standin
