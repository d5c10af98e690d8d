// cublasLt: descriptors, layouts, heuristics, matmul with bias and ReLU in the epilogue.
// SPDX-License-Identifier: Apache-2.0
#include <cublasLt.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "tests/support/standin/memory.h"
#include "tests/support/standin/product.h"
#include "tests/support/standin/state.h"

namespace couplet::standin {

namespace {

constexpr const char* kDesc = "cublasLt matmul descriptor";
constexpr const char* kLayout = "cublasLt matrix layout";
constexpr const char* kPreference = "cublasLt matmul preference";

// The descriptors are opaque structs that cublasLt allocates; ours carry their fields behind.
struct MatmulDesc : cublasLtMatmulDescOpaque_t {
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  cudaDataType_t scale = CUDA_R_32F;
  int32_t pointer_mode = CUBLASLT_POINTER_MODE_HOST;
  int32_t op_a = CUBLAS_OP_N, op_b = CUBLAS_OP_N;
  uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
  int32_t bias_type = -1;  // -1: as D
};
struct Layout : cublasLtMatrixLayoutOpaque_t {
  uint32_t type = CUDA_R_32F;
  uint64_t rows = 0, cols = 0;
  int64_t ld = 0;
  int32_t order = CUBLASLT_ORDER_COL;
  int32_t batch = 1;
  int64_t batch_stride = 0;
};
struct Preference : cublasLtMatmulPreferenceOpaque_t {
  uint64_t max_workspace = 0;
  uint32_t alignment[4] = {256, 256, 256, 256};  // of A, B, C, D
  uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_MASK;
};
// What an algorithm found by the heuristics carries: 64 bytes of the caller's.
struct Algorithm {
  uint32_t magic = 0;
  uint32_t order = 0;  // it adds in: kRising, kFalling, or 2: in parts whose order is open
  uint64_t workspace = 0;
  uint32_t alignment[4] = {};
  uint64_t problem = 0;  // what it was found for, all but the number of columns
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));
constexpr uint32_t kOpenOrder = 2;
constexpr uint32_t kMagic = 0x4C744D4D;
constexpr uint64_t kTiledWorkspace = uint64_t{1} << 16, kSplitWorkspace = uint64_t{1} << 20;

struct Problem {
  const MatmulDesc* desc;
  const Layout *a, *b, *c, *d;
};

const MatmulDesc* Find(cublasLtMatmulDesc_t desc, const char* call) {
  return Alive(desc, kDesc, call) ? static_cast<const MatmulDesc*>(desc) : nullptr;
}
const Layout* Find(cublasLtMatrixLayout_t layout, const char* call) {
  return Alive(layout, kLayout, call) ? static_cast<const Layout*>(layout) : nullptr;
}

Matrix ToMatrix(const Layout& layout, const void* data, bool transposed) {
  Matrix matrix;
  matrix.data = data;
  matrix.element = layout.type == CUDA_R_16F ? Element::kHalf : Element::kFloat;
  matrix.rows = static_cast<int64_t>(layout.rows);
  matrix.cols = static_cast<int64_t>(layout.cols);
  matrix.ld = layout.ld;
  matrix.row_major = layout.order == CUBLASLT_ORDER_ROW;
  matrix.transposed = transposed;
  matrix.batch_stride = layout.batch_stride;
  return matrix;
}

bool LayoutHolds(const Layout& layout) {
  const uint64_t across = layout.order == CUBLASLT_ORDER_ROW ? layout.cols : layout.rows;
  return layout.rows > 0 && layout.cols > 0 && layout.ld >= static_cast<int64_t>(across) &&
         layout.batch >= 1 && (layout.order == CUBLASLT_ORDER_COL || layout.order == CUBLASLT_ORDER_ROW);
}

// The types of cublasLtMatmul's table that we may ask for.
bool TypesSupported(const Problem& p) {
  const bool floats = p.a->type == CUDA_R_32F && p.b->type == CUDA_R_32F && p.c->type == CUDA_R_32F &&
                      p.d->type == CUDA_R_32F;
  const bool halves = p.a->type == CUDA_R_16F && p.b->type == CUDA_R_16F && p.c->type == p.d->type &&
                      (p.d->type == CUDA_R_16F || p.d->type == CUDA_R_32F);
  const auto compute = p.desc->compute;
  const bool exact = compute == CUBLAS_COMPUTE_32F || compute == CUBLAS_COMPUTE_32F_PEDANTIC;
  if (p.desc->scale != CUDA_R_32F) return false;
  if (p.desc->bias_type != -1 && p.desc->bias_type != static_cast<int32_t>(p.d->type)) return false;
  return (floats && (exact || compute == CUBLAS_COMPUTE_32F_FAST_TF32)) || (halves && exact);
}

cublasStatus_t Judge(const char* call, const Problem& p) {
  const auto refuse = [&](const char* why) {
    TheState().Misuse(std::string(call) + ": " + why);
    return CUBLAS_STATUS_INVALID_VALUE;
  };
  for (const Layout* layout : {p.a, p.b, p.c, p.d})
    if (!LayoutHolds(*layout)) return refuse("a layout whose rows, columns and leading dimension do not fit");
  const Matrix a = ToMatrix(*p.a, nullptr, p.desc->op_a == CUBLAS_OP_T);
  const Matrix b = ToMatrix(*p.b, nullptr, p.desc->op_b == CUBLAS_OP_T);
  if (p.desc->op_a == CUBLAS_OP_C || p.desc->op_b == CUBLAS_OP_C) return CUBLAS_STATUS_NOT_SUPPORTED;
  const auto rows = static_cast<int64_t>(p.d->rows), cols = static_cast<int64_t>(p.d->cols);
  if (a.op_rows() != rows || b.op_cols() != cols || a.op_cols() != b.op_rows() || p.c->rows != p.d->rows ||
      p.c->cols != p.d->cols || p.a->batch != p.d->batch || p.b->batch != p.d->batch ||
      p.c->batch != p.d->batch)
    return refuse("shapes that do not fit together");
  if (!TypesSupported(p)) return CUBLAS_STATUS_NOT_SUPPORTED;
  const uint32_t epilogue = p.desc->epilogue;
  const bool known = epilogue == CUBLASLT_EPILOGUE_DEFAULT || epilogue == CUBLASLT_EPILOGUE_RELU ||
                     epilogue == CUBLASLT_EPILOGUE_BIAS || epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;
  // The epilogues are promised for column-major results.
  if (!known || (epilogue != CUBLASLT_EPILOGUE_DEFAULT && p.d->order != CUBLASLT_ORDER_COL))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  return CUBLAS_STATUS_SUCCESS;
}

uint64_t Fingerprint(const Problem& p) {
  uint64_t hash = 1469598103934665603u;
  const auto add = [&](uint64_t value) { hash = (hash ^ value) * 1099511628211u; };
  add(p.desc->compute), add(static_cast<uint64_t>(p.desc->op_a)), add(static_cast<uint64_t>(p.desc->op_b));
  add(p.desc->epilogue);
  for (const Layout* layout : {p.a, p.b, p.c, p.d})
    add(layout->type), add(static_cast<uint64_t>(layout->order));
  add(p.d->rows);
  return hash;
}

void Suggest(const Problem& p, const Preference& preference, int wanted,
             cublasLtMatmulHeuristicResult_t* results, int* count) {
  Algorithm plain;
  plain.magic = kMagic;
  plain.problem = Fingerprint(p);
  // Nothing here needs more than 16 bytes at once, and what is promised less aligned gets narrower loads.
  for (int i = 0; i < 4; ++i) plain.alignment[i] = std::min(16u, preference.alignment[i]);
  Algorithm tiled = plain, split = plain;
  tiled.order = static_cast<uint32_t>(SumOrder::kFalling);
  split.order = kOpenOrder;
  tiled.workspace = kTiledWorkspace;
  split.workspace = kSplitWorkspace;
  // Which is thought the fastest depends on the columns, as it does for the real ones.
  std::vector<Algorithm> found = {plain};
  if (preference.max_workspace >= kTiledWorkspace)
    found.insert(p.d->cols == 1 ? found.end() : found.begin(), tiled);
  if (preference.max_workspace >= kSplitWorkspace && preference.reductions != CUBLASLT_REDUCTION_SCHEME_NONE)
    found.insert(p.d->cols == 1 ? found.end() : found.begin(), split);
  *count = std::min(wanted, static_cast<int>(found.size()));
  for (int i = 0; i < *count; ++i) {
    std::memset(&results[i], 0, sizeof results[i]);
    std::memcpy(&results[i].algo, &found[static_cast<size_t>(i)], sizeof(Algorithm));
    results[i].workspaceSize = found[static_cast<size_t>(i)].workspace;
    results[i].state = CUBLAS_STATUS_SUCCESS;
    results[i].wavesCount = 1.0f;
  }
}

// Is the algorithm of the caller's one for this problem, and are the pointers as aligned as it was promised?
cublasStatus_t JudgeAlgorithm(const char* call, const Problem& p, const cublasLtMatmulAlgo_t* given,
                              const void* const* data, size_t workspace_bytes, Algorithm* algorithm) {
  std::memcpy(static_cast<void*>(algorithm), given, sizeof *algorithm);
  const std::string name(call);
  if (algorithm->magic != kMagic || algorithm->problem != Fingerprint(p)) {
    TheState().Misuse(name + ": an algorithm that was not found for this problem");
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (workspace_bytes < algorithm->workspace) {
    TheState().Misuse(name + ": the workspace is too small");
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  for (int i = 0; i < 4; ++i) {
    if (reinterpret_cast<uintptr_t>(data[i]) % algorithm->alignment[i] == 0) continue;
    TheState().Misuse(name + ": " + "ABCD"[i] + " is less aligned than the heuristics were told");
    TheState().sticky = cudaErrorMisalignedAddress;
    return CUBLAS_STATUS_EXECUTION_FAILED;
  }
  return CUBLAS_STATUS_SUCCESS;
}

// Copies an attribute's value of exactly its size.
template <class T>
cublasStatus_t SetValue(T* field, const void* value, size_t bytes) {
  if (value == nullptr || bytes != sizeof *field) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(field, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t NotPlayed(const char* what, int attribute) {
  TheState().Misuse(std::string(what) + ": attribute " + std::to_string(attribute) + " is not played");
  return CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t SetDescriptor(MatmulDesc* desc, cublasLtMatmulDescAttributes_t attribute, const void* value,
                             size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_POINTER_MODE:
      return SetValue(&desc->pointer_mode, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return SetValue(&desc->op_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return SetValue(&desc->op_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return SetValue(&desc->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return SetValue(&desc->bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
      return SetValue(&desc->bias_type, value, bytes);
    default:
      return NotPlayed("cublasLtMatmulDescSetAttribute", attribute);
  }
}

cublasStatus_t SetLayout(Layout* layout, cublasLtMatrixLayoutAttribute_t attribute, const void* value,
                         size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE:
      return SetValue(&layout->type, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
      return SetValue(&layout->order, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ROWS:
      return SetValue(&layout->rows, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_COLS:
      return SetValue(&layout->cols, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_LD:
      return SetValue(&layout->ld, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
      return SetValue(&layout->batch, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
      return SetValue(&layout->batch_stride, value, bytes);
    default:
      return NotPlayed("cublasLtMatrixLayoutSetAttribute", attribute);
  }
}

cublasStatus_t SetPreference(Preference* preference, cublasLtMatmulPreferenceAttributes_t attribute,
                             const void* value, size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return SetValue(&preference->max_workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      return SetValue(&preference->alignment[0], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      return SetValue(&preference->alignment[1], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      return SetValue(&preference->alignment[2], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return SetValue(&preference->alignment[3], value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return SetValue(&preference->reductions, value, bytes);
    default:
      return NotPlayed("cublasLtMatmulPreferenceSetAttribute", attribute);
  }
}

template <class Body>
cublasStatus_t OnObject(const char* call, const void* object, const char* what, Body&& body) {
  return Blas(call, InCapture::kAllowed,
              [&] { return Alive(object, what, call) ? body() : CUBLAS_STATUS_INVALID_VALUE; });
}

template <class T, class Opaque>
cublasStatus_t DestroyObject(const char* call, const char* what, Opaque* object,
                             InCapture rule = InCapture::kHostOnly) {
  return BlasRelease(call, rule, [&] {
    return Destroy(static_cast<T*>(object), what) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
  });
}

cublasStatus_t Matmul(const char* call, const Problem& p, ProductJob job, const float* alpha,
                      const float* beta, cudaStream_t stream) {
  if (p.desc->pointer_mode == CUBLASLT_POINTER_MODE_HOST) {
    job.alpha = *alpha, job.beta = *beta;
  } else if (p.desc->pointer_mode == CUBLASLT_POINTER_MODE_DEVICE) {
    job.device_alpha = alpha, job.device_beta = beta;
  } else {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  job.batch = p.d->batch;
  if ((p.desc->epilogue & CUBLASLT_EPILOGUE_BIAS) != 0) {
    if (p.desc->bias == nullptr) {
      TheState().Misuse(std::string(call) + ": no bias pointer for the epilogue");
      return CUBLAS_STATUS_INVALID_VALUE;
    }
    job.bias = p.desc->bias;
    job.bias_element = job.d.element;
  }
  job.relu = (p.desc->epilogue & CUBLASLT_EPILOGUE_RELU) != 0;
  job.tf32 = p.desc->compute == CUBLAS_COMPUTE_32F_FAST_TF32 && TheState().device.major >= 8;
  return EnqueueProduct(call, stream, job);
}

}  // namespace

}  // namespace couplet::standin

using namespace couplet::standin;  // NOLINT: the names below are C's

size_t cublasLtGetVersion() {
  return CUBLAS_VERSION;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  return Blas(__func__, InCapture::kForbidden, [&] {
    if (handle == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    *handle = Create<cublasLtContext>(kLtHandle);
    return CUBLAS_STATUS_SUCCESS;
  });
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  return DestroyObject<cublasLtContext>(__func__, kLtHandle, handle, InCapture::kAllowed);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* out, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  return Blas(__func__, InCapture::kAllowed, [&] {
    auto* desc = Create<MatmulDesc>(kDesc);
    desc->compute = compute;
    desc->scale = scale;
    *out = desc;
    return CUBLAS_STATUS_SUCCESS;
  });
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t object) {
  return DestroyObject<MatmulDesc>(__func__, kDesc, object);
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t object,
                                              cublasLtMatmulDescAttributes_t attribute, const void* value,
                                              size_t bytes) {
  return OnObject(__func__, object, kDesc,
                  [&] { return SetDescriptor(static_cast<MatmulDesc*>(object), attribute, value, bytes); });
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* out, cudaDataType type, uint64_t rows,
                                          uint64_t cols, int64_t ld) {
  return Blas(__func__, InCapture::kAllowed, [&] {
    auto* layout = Create<Layout>(kLayout);
    layout->type = static_cast<uint32_t>(type);
    layout->rows = rows;
    layout->cols = cols;
    layout->ld = ld;
    *out = layout;
    return CUBLAS_STATUS_SUCCESS;
  });
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t object) {
  return DestroyObject<Layout>(__func__, kLayout, object);
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t object,
                                                cublasLtMatrixLayoutAttribute_t attribute, const void* value,
                                                size_t bytes) {
  return OnObject(__func__, object, kLayout,
                  [&] { return SetLayout(static_cast<Layout*>(object), attribute, value, bytes); });
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* out) {
  return Blas(__func__, InCapture::kAllowed, [&] {
    *out = Create<Preference>(kPreference);
    return CUBLAS_STATUS_SUCCESS;
  });
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t object) {
  return DestroyObject<Preference>(__func__, kPreference, object);
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t object,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, size_t bytes) {
  return OnObject(__func__, object, kPreference,
                  [&] { return SetPreference(static_cast<Preference*>(object), attribute, value, bytes); });
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int* count) {
  const char* const call = "cublasLtMatmulAlgoGetHeuristic";
  return OnObject(call, handle, kLtHandle, [&] {
    const Problem p{Find(desc, call), Find(a, call), Find(b, call), Find(c, call), Find(d, call)};
    if (p.desc == nullptr || p.a == nullptr || p.b == nullptr || p.c == nullptr || p.d == nullptr ||
        !Alive(preference, kPreference, call) || wanted <= 0 || results == nullptr || count == nullptr)
      return CUBLAS_STATUS_INVALID_VALUE;
    *count = 0;
    const cublasStatus_t status = Judge(call, p);
    if (status == CUBLAS_STATUS_SUCCESS)
      Suggest(p, *static_cast<Preference*>(preference), wanted, results, count);
    return status;
  });
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t* algo,
                                       cublasLtMatmulHeuristicResult_t* result) {
  const char* const call = "cublasLtMatmulAlgoCheck";
  return OnObject(call, handle, kLtHandle, [&] {
    const Problem p{Find(desc, call), Find(a, call), Find(b, call), Find(c, call), Find(d, call)};
    if (p.desc == nullptr || p.a == nullptr || p.b == nullptr || p.c == nullptr || p.d == nullptr ||
        algo == nullptr || result == nullptr)
      return CUBLAS_STATUS_INVALID_VALUE;
    const cublasStatus_t status = Judge(call, p);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    Algorithm algorithm;
    std::memcpy(static_cast<void*>(&algorithm), algo, sizeof algorithm);
    if (algorithm.magic != kMagic || algorithm.problem != Fingerprint(p)) return CUBLAS_STATUS_NOT_SUPPORTED;
    std::memset(result, 0, sizeof *result);
    result->algo = *algo;
    result->workspaceSize = algorithm.workspace;
    result->state = CUBLAS_STATUS_SUCCESS;
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha,
                              const void* a_data, cublasLtMatrixLayout_t a, const void* b_data,
                              cublasLtMatrixLayout_t b, const void* beta, const void* c_data,
                              cublasLtMatrixLayout_t c, void* d_data, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t* algo, void* workspace, size_t workspace_bytes,
                              cudaStream_t stream) {
  const char* const call = "cublasLtMatmul";
  return OnObject(call, handle, kLtHandle, [&] {
    const Problem p{Find(desc, call), Find(a, call), Find(b, call), Find(c, call), Find(d, call)};
    if (p.desc == nullptr || p.a == nullptr || p.b == nullptr || p.c == nullptr || p.d == nullptr ||
        alpha == nullptr || beta == nullptr || reinterpret_cast<uintptr_t>(workspace) % 256 != 0)
      return CUBLAS_STATUS_INVALID_VALUE;
    const cublasStatus_t status = Judge(call, p);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    ProductJob job;
    if (algo != nullptr) {
      const void* const data[] = {a_data, b_data, c_data, d_data};
      Algorithm algorithm;
      const cublasStatus_t fits = JudgeAlgorithm(call, p, algo, data, workspace_bytes, &algorithm);
      if (fits != CUBLAS_STATUS_SUCCESS) return fits;
      // An open order is another one in every call.
      const uint32_t order =
          algorithm.order == kOpenOrder ? static_cast<uint32_t>(TheState().calls["*"] % 2) : algorithm.order;
      job.order = order == 0 ? SumOrder::kRising : SumOrder::kFalling;
    }
    job.a = ToMatrix(*p.a, a_data, p.desc->op_a == CUBLAS_OP_T);
    job.b = ToMatrix(*p.b, b_data, p.desc->op_b == CUBLAS_OP_T);
    job.c = ToMatrix(*p.c, c_data, false);
    job.d = ToMatrix(*p.d, d_data, false);
    job.out = d_data;
    job.workspace = workspace;
    job.workspace_bytes = workspace_bytes;
    return Matmul(call, p, job, static_cast<const float*>(alpha), static_cast<const float*>(beta), stream);
  });
}
