// SPDX-License-Identifier: Apache-2.0
#include <cublasLt.h>
#include <cublas_v2.h>

#include <cmath>

#include "tests/support/standin/math.h"
#include "tests/support/standin/testing.h"
#include "tests/support/values.h"

using namespace couplet::standin;
using couplet::test::Values;

namespace {

size_t At(int row, int col, int ld) {
  return static_cast<size_t>(col) * ld + row;
}

struct Handle {
  cublasHandle_t handle = nullptr;
  Handle() { REQUIRE(cublasCreate(&handle) == CUBLAS_STATUS_SUCCESS); }
  ~Handle() { CHECK(cublasDestroy(handle) == CUBLAS_STATUS_SUCCESS); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
};

// What a 1x1 convolution is to cublasLt: D[oc, pixels] = W . X, column-major.
struct Pointwise {
  int oc, pixels, ic;
  cublasLtHandle_t handle = nullptr;
  cublasLtMatmulDesc_t desc = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, d = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;

  Pointwise(int out, int count, int in, cudaDataType type = CUDA_R_32F,
            cublasComputeType_t compute = CUBLAS_COMPUTE_32F)
      : oc(out), pixels(count), ic(in) {
    const auto rows = [](int n) { return static_cast<uint64_t>(n); };
    REQUIRE(cublasLtCreate(&handle) == CUBLAS_STATUS_SUCCESS);
    REQUIRE(cublasLtMatmulDescCreate(&desc, compute, CUDA_R_32F) == CUBLAS_STATUS_SUCCESS);
    REQUIRE(cublasLtMatrixLayoutCreate(&a, type, rows(oc), rows(ic), oc) == CUBLAS_STATUS_SUCCESS);
    REQUIRE(cublasLtMatrixLayoutCreate(&b, type, rows(ic), rows(pixels), ic) == CUBLAS_STATUS_SUCCESS);
    REQUIRE(cublasLtMatrixLayoutCreate(&d, type, rows(oc), rows(pixels), oc) == CUBLAS_STATUS_SUCCESS);
    REQUIRE(cublasLtMatmulPreferenceCreate(&preference) == CUBLAS_STATUS_SUCCESS);
  }
  ~Pointwise() {
    CHECK(cublasLtMatmulPreferenceDestroy(preference) == CUBLAS_STATUS_SUCCESS);
    CHECK(cublasLtMatrixLayoutDestroy(a) == CUBLAS_STATUS_SUCCESS);
    CHECK(cublasLtMatrixLayoutDestroy(b) == CUBLAS_STATUS_SUCCESS);
    CHECK(cublasLtMatrixLayoutDestroy(d) == CUBLAS_STATUS_SUCCESS);
    CHECK(cublasLtMatmulDescDestroy(desc) == CUBLAS_STATUS_SUCCESS);
    CHECK(cublasLtDestroy(handle) == CUBLAS_STATUS_SUCCESS);
  }
  Pointwise(const Pointwise&) = delete;
  Pointwise& operator=(const Pointwise&) = delete;

  void Epilogue(cublasLtEpilogue_t epilogue, const void* bias) const {
    CHECK(cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue) ==
          CUBLAS_STATUS_SUCCESS);
    CHECK(cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias) ==
          CUBLAS_STATUS_SUCCESS);
  }
  cublasStatus_t Heuristic(cublasLtMatmulHeuristicResult_t* results, int wanted, int* count) const {
    return cublasLtMatmulAlgoGetHeuristic(handle, desc, a, b, d, d, preference, wanted, results, count);
  }
  cublasStatus_t Run(const void* weights, const void* src, void* dst,
                     const cublasLtMatmulAlgo_t* algo = nullptr, void* workspace = nullptr,
                     size_t workspace_bytes = 0) const {
    const float one = 1, zero = 0;
    return cublasLtMatmul(handle, desc, &one, weights, a, src, b, &zero, dst, d, dst, d, algo, workspace,
                          workspace_bytes, nullptr);
  }
};

}  // namespace

TEST_CASE("standin: SGEMM of integers is exact for every transposition, alpha and beta") {
  const FreshDevice fresh;
  const Handle blas;
  constexpr int kM = 5, kN = 37, kK = 19, kLd = 41;
  Values values(1);
  const std::vector<float> as = values.Integers(kLd * 40, -4, 4), bs = values.Integers(kLd * 40, -4, 4),
                           cs = values.Integers(kLd * kN, -4, 4);
  const Floats a(as), b(bs);
  for (const auto op_a : {CUBLAS_OP_N, CUBLAS_OP_T})
    for (const auto op_b : {CUBLAS_OP_N, CUBLAS_OP_T}) {
      const Floats c(cs);
      const float alpha = 2, beta = -1;
      REQUIRE(cublasSgemm(blas.handle, op_a, op_b, kM, kN, kK, &alpha, a.data(), kLd, b.data(), kLd, &beta,
                          c.data(), kLd) == CUBLAS_STATUS_SUCCESS);
      const std::vector<float> got = c.Read();
      for (int i = 0; i < kLd; ++i)
        for (int j = 0; j < kN; ++j) {
          double sum = 0;
          for (int p = 0; p < kK && i < kM; ++p)
            sum += double{as[op_a == CUBLAS_OP_N ? At(i, p, kLd) : At(p, i, kLd)]} *
                   double{bs[op_b == CUBLAS_OP_N ? At(p, j, kLd) : At(j, p, kLd)]};
          const double before = cs[At(i, j, kLd)];
          CHECK(got[At(i, j, kLd)] == (i < kM ? 2 * sum - before : before));
        }
    }
}

TEST_CASE("standin: SGEMM checks sizes, memory and handles, batches, and rounds to TF32 when asked") {
  const FreshDevice fresh;
  const Handle blas;
  const Floats a(std::vector<float>{1, 2, 3, 4}), b(std::vector<float>{1, 1, 1, 1}), c(4);
  const float one = 1, zero = 0;
  const auto gemm = [&](const float* left, int lda, int k) {
    return cublasSgemm(blas.handle, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, k, &one, left, lda, b.data(), 2, &zero,
                       c.data(), 2);
  };
  CHECK(gemm(a.data(), 2, 2) == CUBLAS_STATUS_SUCCESS);
  CHECK(c.Read() == std::vector<float>{4, 6, 4, 6});
  CHECK(gemm(a.data(), 1, 2) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK_HAS(FreshDevice::Mistakes(), "leading dimensions");
  CHECK(gemm(a.data(), 3, 2) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK_HAS(FreshDevice::Mistakes(), "A needs 20 bytes, and 16 are left");
  CHECK(gemm(&one, 2, 2) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK_HAS(FreshDevice::Mistakes(), "A is not device memory");
  CHECK(cublasSetStream(blas.handle, reinterpret_cast<cudaStream_t>(a.data())) ==
        CUBLAS_STATUS_INVALID_VALUE);
  CHECK_HAS(FreshDevice::Mistakes(), "a stream that is not alive");
  // Four products of one by one.
  CHECK(cublasSgemmStridedBatched(blas.handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, a.data(), 1, 1,
                                  a.data(), 1, 1, &zero, c.data(), 1, 1, 4) == CUBLAS_STATUS_SUCCESS);
  CHECK(c.Read() == std::vector<float>{1, 4, 9, 16});
  const Floats fine(std::vector<float>{1.0f + 0x1p-13f});
  for (const bool tf32 : {false, true}) {
    CHECK(cublasSetMathMode(blas.handle, tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_DEFAULT_MATH) ==
          CUBLAS_STATUS_SUCCESS);
    CHECK(cublasSgemm(blas.handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, fine.data(), 1, b.data(), 1,
                      &zero, c.data(), 1) == CUBLAS_STATUS_SUCCESS);
    CHECK(c.Read()[0] == (tf32 ? 1.0f : 1.0f + 0x1p-13f));
  }
}

TEST_CASE("standin: cublasLt multiplies, adds the bias, clips, by each algorithm it suggests") {
  const FreshDevice fresh;
  Values values(2);
  for (const int pixels : {1, 21}) {
    const Pointwise p(35, pixels, 16);
    const auto ws = values.Integers(35 * 16, -4, 4),
               xs = values.Integers(16 * static_cast<size_t>(pixels), -4, 4),
               biases = values.Integers(35, -9, 9);
    const Floats w(ws), x(xs), bias(biases), y(35 * static_cast<size_t>(pixels)), workspace(1 << 18);
    const size_t most = workspace.bytes();
    REQUIRE(cublasLtMatmulPreferenceSetAttribute(p.preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                 &most, sizeof most) == CUBLAS_STATUS_SUCCESS);
    for (const auto epilogue :
         {CUBLASLT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_RELU_BIAS}) {
      p.Epilogue(epilogue, bias.data());
      cublasLtMatmulHeuristicResult_t results[4];
      int count = 0;
      REQUIRE(p.Heuristic(results, 4, &count) == CUBLAS_STATUS_SUCCESS);
      REQUIRE(count == 3);
      // The fastest depends on the number of columns, as with the real one.
      CHECK((results[0].workspaceSize > 0) == (pixels > 1));
      for (int i = 0; i < count; ++i) {
        REQUIRE(p.Run(w.data(), x.data(), y.data(), &results[i].algo, workspace.data(), workspace.bytes()) ==
                CUBLAS_STATUS_SUCCESS);
        const std::vector<float> got = y.Read();
        for (int j = 0; j < pixels; ++j)
          for (int o = 0; o < 35; ++o) {
            double sum = epilogue == CUBLASLT_EPILOGUE_DEFAULT ? 0 : biases[static_cast<size_t>(o)];
            for (int k = 0; k < 16; ++k) sum += double{ws[At(o, k, 35)]} * double{xs[At(k, j, 16)]};
            if (epilogue == CUBLASLT_EPILOGUE_RELU_BIAS && sum < 0) sum = 0;
            CHECK(got[At(o, j, 35)] == sum);
          }
      }
    }
  }
}

TEST_CASE("standin: cublasLt refuses what its table of types and epilogues does not hold") {
  const FreshDevice fresh;
  cublasLtMatmulHeuristicResult_t result;
  int count = 0;
  const Floats bias(16);
  {
    const Pointwise p(8, 8, 8, CUDA_R_16F);
    CHECK(p.Heuristic(&result, 1, &count) == CUBLAS_STATUS_SUCCESS);
    p.Epilogue(CUBLASLT_EPILOGUE_BIAS, bias.data());
    CHECK(p.Heuristic(&result, 1, &count) == CUBLAS_STATUS_SUCCESS);
    const int32_t floats = CUDA_R_32F;  // a bias of floats beside halves
    CHECK(cublasLtMatmulDescSetAttribute(p.desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &floats,
                                         sizeof floats) == CUBLAS_STATUS_SUCCESS);
    CHECK(p.Heuristic(&result, 1, &count) == CUBLAS_STATUS_NOT_SUPPORTED);
    CHECK(count == 0);
  }
  {
    const Pointwise p(8, 8, 8, CUDA_R_16F, CUBLAS_COMPUTE_32F_FAST_TF32);
    CHECK(p.Heuristic(&result, 1, &count) == CUBLAS_STATUS_NOT_SUPPORTED);
  }
  const Pointwise p(8, 8, 8);
  const int32_t row = CUBLASLT_ORDER_ROW;
  CHECK(cublasLtMatrixLayoutSetAttribute(p.d, CUBLASLT_MATRIX_LAYOUT_ORDER, &row, sizeof row) ==
        CUBLAS_STATUS_SUCCESS);
  CHECK(p.Heuristic(&result, 1, &count) == CUBLAS_STATUS_SUCCESS);
  p.Epilogue(CUBLASLT_EPILOGUE_BIAS, bias.data());
  CHECK(p.Heuristic(&result, 1, &count) == CUBLAS_STATUS_NOT_SUPPORTED);
  const int64_t short_ld = 7;
  CHECK(cublasLtMatrixLayoutSetAttribute(p.d, CUBLASLT_MATRIX_LAYOUT_LD, &short_ld, sizeof short_ld) ==
        CUBLAS_STATUS_SUCCESS);
  CHECK(p.Heuristic(&result, 1, &count) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK_HAS(FreshDevice::Mistakes(), "rows, columns and leading dimension");
  CHECK(cublasLtMatrixLayoutSetAttribute(p.d, CUBLASLT_MATRIX_LAYOUT_ROWS, &short_ld, 4) ==
        CUBLAS_STATUS_INVALID_VALUE);
}

TEST_CASE("standin: cublasLt holds algorithms to their problem, workspace and alignment") {
  const FreshDevice fresh;
  const Pointwise p(8, 9, 8), other(16, 9, 8);
  const Floats w(64), x(80), y(80), workspace(1 << 18);
  const size_t most = workspace.bytes();
  cublasLtMatmulHeuristicResult_t result;
  int count = 0;
  REQUIRE(other.Heuristic(&result, 1, &count) == CUBLAS_STATUS_SUCCESS);
  CHECK(p.Run(w.data(), x.data(), y.data(), &result.algo) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK_HAS(FreshDevice::Mistakes(), "not found for this problem");
  REQUIRE(cublasLtMatmulPreferenceSetAttribute(p.preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most,
                                               sizeof most) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(p.Heuristic(&result, 1, &count) == CUBLAS_STATUS_SUCCESS);
  CHECK(p.Run(w.data(), x.data(), y.data(), &result.algo, workspace.data(), 1024) ==
        CUBLAS_STATUS_INVALID_VALUE);
  CHECK_HAS(FreshDevice::Mistakes(), "the workspace is too small");
  const uint32_t four = 4;
  CHECK(cublasLtMatmulPreferenceSetAttribute(p.preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &four,
                                             sizeof four) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(p.Heuristic(&result, 1, &count) == CUBLAS_STATUS_SUCCESS);
  CHECK(p.Run(w.data(), x.data() + 1, y.data(), &result.algo, workspace.data(), most) ==
        CUBLAS_STATUS_SUCCESS);
  CHECK(p.Run(w.data(), x.data(), y.data() + 1, &result.algo, workspace.data(), most) ==
        CUBLAS_STATUS_EXECUTION_FAILED);
  CHECK_HAS(FreshDevice::Mistakes(), "C is less aligned than the heuristics were told");
  CHECK(cudaDeviceSynchronize() == cudaErrorMisalignedAddress);
  couplet_standin_reset();
}

TEST_CASE("standin: algorithms add in different orders, so a choice that changes is seen in the bits") {
  const FreshDevice fresh;
  const Pointwise p(1, 2, 3);
  const Floats w(std::vector<float>{1, 1, 1}), x(std::vector<float>{1, 0x1p-24f, 0x1p-24f, 1, 1, 1}), y(2),
      workspace(1 << 18);
  const size_t most = workspace.bytes();
  REQUIRE(cublasLtMatmulPreferenceSetAttribute(p.preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most,
                                               sizeof most) == CUBLAS_STATUS_SUCCESS);
  const uint32_t whole_sums = CUBLASLT_REDUCTION_SCHEME_NONE;
  REQUIRE(cublasLtMatmulPreferenceSetAttribute(p.preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                               &whole_sums, sizeof whole_sums) == CUBLAS_STATUS_SUCCESS);
  cublasLtMatmulHeuristicResult_t results[3], checked;
  int count = 0;
  REQUIRE(p.Heuristic(results, 3, &count) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(count == 2);
  const Pointwise other(2, 2, 3);
  CHECK(cublasLtMatmulAlgoCheck(p.handle, p.desc, p.a, p.b, p.d, p.d, &results[0].algo, &checked) ==
        CUBLAS_STATUS_SUCCESS);
  CHECK(checked.workspaceSize == results[0].workspaceSize);
  CHECK(cublasLtMatmulAlgoCheck(p.handle, other.desc, other.a, other.b, other.d, other.d, &results[0].algo,
                                &checked) == CUBLAS_STATUS_NOT_SUPPORTED);
  float first[2];
  for (int i = 0; i < 2; ++i) {
    CHECK(p.Run(w.data(), x.data(), y.data(), &results[i].algo, workspace.data(), most) ==
          CUBLAS_STATUS_SUCCESS);
    first[i] = y.Read()[0];
  }
  CHECK(first[0] == 1.0f + 0x1p-23f);  // the small ones first
  CHECK(first[1] == 1.0f);
}
