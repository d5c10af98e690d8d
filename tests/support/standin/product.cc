// SPDX-License-Identifier: Apache-2.0
#include "tests/support/standin/product.h"

#include <cstring>
#include <string>

#include "tests/support/standin/memory.h"
#include "tests/support/standin/state.h"

namespace couplet::standin {

namespace {

// Column `j` of op(matrix) from element `first` on, as floats.
void Column(const Matrix& matrix, int64_t first, int64_t j, bool tf32, float* dst) {
  const int64_t step = matrix.transposed ? matrix.col_step() : matrix.row_step();
  const int64_t start = first + j * (matrix.transposed ? matrix.row_step() : matrix.col_step());
  const int64_t count = matrix.op_rows();
  if (step == 1) {
    LoadRow(matrix.data, static_cast<size_t>(start), static_cast<size_t>(count), matrix.element, tf32, dst);
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    const float value = Load(matrix.data, static_cast<size_t>(start + i * step), matrix.element);
    dst[i] = tf32 ? RoundToTf32(value) : value;
  }
}

void ComputeOne(const ProductJob& job, int64_t index, float alpha, float beta) {
  const auto m = job.d.rows, n = job.d.cols, k = job.a.op_cols();
  // Transposed, the product's rows are D's columns: [n, k] . [k, m].
  std::vector<float> left(static_cast<size_t>(n * k)), column(static_cast<size_t>(m)),
      sums(static_cast<size_t>(n * m));
  for (int64_t j = 0; j < n; ++j) Column(job.b, index * job.b.batch_stride, j, job.tf32, left.data() + j * k);
  Panels right(static_cast<int>(k), static_cast<int>(m));
  for (int64_t p = 0; p < k; ++p) {
    Column(job.a, index * job.a.batch_stride, p, job.tf32, column.data());
    for (int64_t i = 0; i < m; ++i)
      right.at(static_cast<int>(p), static_cast<int>(i)) = column[static_cast<size_t>(i)];
  }
  Multiply(left.data(), static_cast<size_t>(k), right, job.order, sums.data(), static_cast<size_t>(m),
           static_cast<int>(n));
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t i = 0; i < m; ++i) {
      float value = alpha * sums[static_cast<size_t>(j * m + i)];
      const int64_t from = index * job.c.batch_stride + i * job.c.row_step() + j * job.c.col_step();
      const int64_t to = index * job.d.batch_stride + i * job.d.row_step() + j * job.d.col_step();
      if (beta != 0.0f) value += beta * Load(job.c.data, static_cast<size_t>(from), job.c.element);
      if (job.bias != nullptr) value += Load(job.bias, static_cast<size_t>(i), job.bias_element);
      if (job.relu && value < 0.0f) value = 0.0f;
      Store(job.out, static_cast<size_t>(to), job.d.element, value);
    }
  }
}

bool CheckMemory(const char* call, const ProductJob& job) {
  const Memory& memory = *TheState().memory;
  const std::string name(call);
  const auto check = [&](const char* what, const Matrix& matrix) {
    if (!memory.CheckDevice(name + ": " + what, matrix.data, matrix.span_bytes(job.batch))) return false;
    if (reinterpret_cast<uintptr_t>(matrix.data) % ElementBytes(matrix.element) == 0) return true;
    TheState().Misuse(name + ": " + what + " is not aligned to its elements");
    return false;
  };
  const bool reads_c = job.beta != 0.0f || job.device_beta != nullptr;
  return check("A", job.a) && check("B", job.b) && (!reads_c || check("C", job.c)) && check("D", job.d) &&
         memory.CheckDevice(name + ": workspace", job.workspace, job.workspace_bytes) &&
         (job.bias == nullptr ||
          memory.CheckDevice(name + ": bias", job.bias,
                             static_cast<size_t>(job.d.rows) * ElementBytes(job.bias_element)));
}

cudaError_t Compute(const ProductJob& job) {
  // A workspace holds nothing before or after.
  if (job.workspace_bytes != 0) std::memset(job.workspace, 0xFF, job.workspace_bytes);
  const float alpha = job.device_alpha != nullptr ? *job.device_alpha : job.alpha;
  const float beta = job.device_beta != nullptr ? *job.device_beta : job.beta;
  for (int i = 0; i < job.batch; ++i) ComputeOne(job, i, alpha, beta);
  return cudaSuccess;
}

}  // namespace

cublasStatus_t EnqueueProduct(const char* call, cudaStream_t handle, const ProductJob& job) {
  if (!CheckMemory(call, job)) return CUBLAS_STATUS_INVALID_VALUE;
  Stream* stream = TheState().scheduler->Find(handle, call);
  if (stream == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  const cudaError_t error = TheState().scheduler->Add(
      stream, call, [call, job] { return CheckMemory(call, job) ? Compute(job) : cudaErrorIllegalAddress; });
  return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

}  // namespace couplet::standin
