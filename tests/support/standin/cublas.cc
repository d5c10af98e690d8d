// cuBLAS: handle, math mode, SGEMM.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>

#include "tests/support/standin/memory.h"
#include "tests/support/standin/product.h"
#include "tests/support/standin/state.h"

namespace couplet::standin {

namespace {

template <class Body>
cublasStatus_t OnHandle(const char* call, cublasHandle_t handle, Body&& body) {
  return Blas(call, InCapture::kAllowed,
              [&] { return Alive(handle, kBlasHandle, call) ? body() : CUBLAS_STATUS_NOT_INITIALIZED; });
}

bool Fits(cublasOperation_t op, int rows, int cols, int ld, Matrix* matrix) {
  if (op != CUBLAS_OP_N && op != CUBLAS_OP_T) return false;
  matrix->transposed = op == CUBLAS_OP_T;
  matrix->rows = matrix->transposed ? cols : rows;
  matrix->cols = matrix->transposed ? rows : cols;
  matrix->ld = ld;
  return ld >= std::max<int64_t>(1, matrix->rows);
}

}  // namespace

}  // namespace couplet::standin

using namespace couplet::standin;  // NOLINT: the names below are C's

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  return Blas("cublasCreate", InCapture::kForbidden, [&] {
    if (handle == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    *handle = Create<cublasContext>(kBlasHandle);
    return CUBLAS_STATUS_SUCCESS;
  });
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  return BlasRelease("cublasDestroy", InCapture::kAllowed, [&] {
    return Destroy(handle, kBlasHandle) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
  });
}
cublasStatus_t cublasGetVersion_v2(cublasHandle_t, int* version) {
  *version = CUBLAS_VERSION;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  return OnHandle("cublasSetStream", handle, [&] {
    if (TheState().scheduler->Find(stream, "cublasSetStream") == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    handle->stream = stream;
    return CUBLAS_STATUS_SUCCESS;
  });
}
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t math) {
  return OnHandle("cublasSetMathMode", handle, [&] {
    handle->math = math;
    return CUBLAS_STATUS_SUCCESS;
  });
}
cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t mode) {
  return OnHandle("cublasSetPointerMode", handle, [&] {
    handle->pointer_mode = mode;
    return CUBLAS_STATUS_SUCCESS;
  });
}
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, size_t bytes) {
  return OnHandle("cublasSetWorkspace", handle, [&] {
    const bool fine = TheState().memory->CheckDevice("cublasSetWorkspace: workspace", workspace, bytes) &&
                      reinterpret_cast<uintptr_t>(workspace) % 256 == 0;
    return fine ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
  });
}

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t op_a,
                                         cublasOperation_t op_b, int m, int n, int k, const float* alpha,
                                         const float* a, int lda, long long stride_a, const float* b, int ldb,
                                         long long stride_b, const float* beta, float* c, int ldc,
                                         long long stride_c, int batch) {
  const char* const call = "cublasSgemm";
  return OnHandle(call, handle, [&] {
    ProductJob job;
    if (m < 0 || n < 0 || k < 0 || batch < 0 || alpha == nullptr || beta == nullptr ||
        !Fits(op_a, m, k, lda, &job.a) || !Fits(op_b, k, n, ldb, &job.b) ||
        !Fits(CUBLAS_OP_N, m, n, ldc, &job.c)) {
      TheState().Misuse(std::string(call) + ": sizes or leading dimensions that do not fit together");
      return CUBLAS_STATUS_INVALID_VALUE;
    }
    if (m == 0 || n == 0 || batch == 0) return CUBLAS_STATUS_SUCCESS;
    if (k == 0) {
      TheState().Misuse(std::string(call) + ": k = 0 is not played");
      return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    job.a.data = a, job.b.data = b, job.c.data = c, job.out = c;
    job.a.batch_stride = stride_a, job.b.batch_stride = stride_b, job.c.batch_stride = stride_c;
    job.d = job.c;
    job.batch = batch;
    if (handle->pointer_mode == CUBLAS_POINTER_MODE_DEVICE) {
      const Memory& memory = *TheState().memory;
      if (!memory.CheckDevice("cublasSgemm: alpha", alpha, sizeof *alpha) ||
          !memory.CheckDevice("cublasSgemm: beta", beta, sizeof *beta))
        return CUBLAS_STATUS_INVALID_VALUE;
      job.device_alpha = alpha, job.device_beta = beta;
    } else {
      if (!TheState().memory->CheckHost("cublasSgemm: alpha", alpha, sizeof *alpha) ||
          !TheState().memory->CheckHost("cublasSgemm: beta", beta, sizeof *beta))
        return CUBLAS_STATUS_INVALID_VALUE;
      job.alpha = *alpha, job.beta = *beta;
    }
    job.tf32 = (handle->math & CUBLAS_TF32_TENSOR_OP_MATH) == CUBLAS_TF32_TENSOR_OP_MATH &&
               TheState().device.major >= 8;
    // cuBLAS chooses its kernel by the sizes: so one column is added up in another order than many.
    job.order = n == 1 ? SumOrder::kFalling : SumOrder::kRising;
    return EnqueueProduct(call, handle->stream, job);
  });
}
cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                              int n, int k, const float* alpha, const float* a, int lda, const float* b,
                              int ldb, const float* beta, float* c, int ldc) {
  return cublasSgemmStridedBatched(handle, op_a, op_b, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0,
                                   1);
}
