// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/gemm.h"

#include <cuda_fp16.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "kernels/bias_activation.h"
#include "runtime/cuda/stopwatch.h"
#include "runtime/planner.h"

namespace couplet::cuda {
namespace {

// The largest power of two, up to `limit`, that every group's start is a multiple of.
uint32_t Alignment(size_t group_bytes, uint32_t limit) {
  uint32_t alignment = limit;
  while (group_bytes % alignment != 0) alignment /= 2;
  return alignment;
}

std::string Hex(const cublasLtMatmulAlgo_t& algo) {
  std::string text;
  for (const uint64_t word : algo.data) text += fmt::format("{:016x}", word);
  return text;
}

std::optional<cublasLtMatmulAlgo_t> FromHex(const std::string& text) {
  cublasLtMatmulAlgo_t algo;
  constexpr size_t kDigits = 16;
  if (text.size() < std::size(algo.data) * kDigits) return std::nullopt;  // what follows are times
  for (size_t i = 0; i < std::size(algo.data); ++i) {
    const std::string word = text.substr(i * kDigits, kDigits);
    if (word.find_first_not_of("0123456789abcdef") != std::string::npos) return std::nullopt;
    algo.data[i] = std::stoull(word, nullptr, 16);
  }
  return algo;
}

// cublasLt is column-major: our row-major dst [rows, oc] is its [oc, rows], and dst' = weights' . src'.
class Gemm final : public Op {
 public:
  Gemm(const Device& device, const GemmLayer& spec)
      : Op(device, spec.layer),
        rows_(spec.rows),
        ic_(spec.ic),
        oc_(spec.oc),
        stride_(spec.dst_stride != 0 ? spec.dst_stride : spec.oc),
        sliced_(spec.dst_stride != 0),
        group_(spec.group),
        window_(spec.window),
        activation_(spec.activation) {}

  Status Prepare(const GemmLayer& spec);
  size_t scratch_bytes() const override { return GatheredBytes() + workspace_bytes_; }

 protected:
  Status Run(const RunArgs& args, Worker& worker) const override;

 private:
  Status Describe(const GemmLayer& spec);
  Status SetEpilogue(bool with_bias);
  Status ChooseAlgorithm();
  Result<std::vector<cublasLtMatmulHeuristicResult_t>> Proposals(int count) const;
  Status Race(const std::vector<cublasLtMatmulHeuristicResult_t>& proposals, const std::string& key);
  Status Multiply(const cublasLtMatmulAlgo_t& algo, const void* src, void* dst, void* workspace, size_t bytes,
                  cudaStream_t stream) const;
  template <class T>
  Status Gather(const void* src, void* dst, cudaStream_t stream) const;
  template <class T>
  Status Finish(const RunArgs& args, cudaStream_t stream) const;
  void Take(const cublasLtMatmulAlgo_t& algo, size_t workspace_bytes) {
    algo_ = algo;
    workspace_bytes_ = workspace_bytes;
  }
  size_t element_bytes() const { return device().element_bytes(); }
  size_t SrcGroupBytes() const { return static_cast<size_t>(group_ * rows_ * ic_) * element_bytes(); }
  // Scratch: the gathered matrix, then the product's workspace.
  size_t GatheredBytes() const { return window_ ? GatheredRoom(SrcGroupBytes()) : 0; }
  size_t WorkspaceLimit() const { return device().options().workspace_bytes - GatheredBytes(); }
  size_t DstGroupBytes() const { return static_cast<size_t>(group_ * rows_ * stride_) * element_bytes(); }

  const int64_t rows_;
  const int ic_, oc_, stride_;
  const bool sliced_;
  const int group_;
  const std::optional<Im2colShape> window_;
  const Activation activation_;
  bool fused_ = false;  // the bias and a ReLU are the product's epilogue
  DeviceBuffer weights_, bias_,
      float_bias_;  // the bias as an activation's element, and as a float where that differs
  MatmulDesc product_;
  MatrixLayout weights_layout_, src_layout_, dst_layout_;
  cublasLtMatmulAlgo_t algo_{};
  size_t workspace_bytes_ = 0;
};

Result<MatrixLayout> MakeLayout(cudaDataType_t type, int64_t rows, int64_t columns, int64_t stride) {
  cublasLtMatrixLayout_t made = nullptr;
  COUPLET_DEVICE_RETURN(cublasLtMatrixLayoutCreate(&made, type, static_cast<uint64_t>(rows),
                                                   static_cast<uint64_t>(columns), stride));
  return MatrixLayout(made);
}

Status Gemm::Prepare(const GemmLayer& spec) {
  COUPLET_RETURN_IF_ERROR(Describe(spec));
  // Not every shape has a product with an epilogue: an odd number of half-precision channels, for one.
  Status chosen = ChooseAlgorithm();
  if (!chosen.ok() && fused_ && chosen.code() != Code::kOutOfMemory) {
    fused_ = false;
    COUPLET_RETURN_IF_ERROR(SetEpilogue(false));
    chosen = ChooseAlgorithm();
  }
  return chosen;
}

Status Gemm::Describe(const GemmLayer& spec) {
  COUPLET_ASSIGN_OR_RETURN(weights_, device().UploadElements(spec.weights));
  COUPLET_ASSIGN_OR_RETURN(bias_, device().UploadElements(spec.bias));
  if (device().half()) {
    COUPLET_ASSIGN_OR_RETURN(float_bias_, device().UploadFloats(spec.bias));
  }
  cublasLtMatmulDesc_t made = nullptr;
#if CUBLAS_VER_MAJOR >= 11
  const cublasComputeType_t compute =
      device().precision() == Precision::kTf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  COUPLET_DEVICE_RETURN(cublasLtMatmulDescCreate(&made, compute, CUDA_R_32F));
#else
  COUPLET_DEVICE_RETURN(cublasLtMatmulDescCreate(&made, CUDA_R_32F));
#endif
  product_ = MatmulDesc(made);
  const cudaDataType_t type = device().blas_type();
  COUPLET_ASSIGN_OR_RETURN(weights_layout_, MakeLayout(type, oc_, ic_, oc_));
  COUPLET_ASSIGN_OR_RETURN(src_layout_, MakeLayout(type, ic_, group_ * rows_, ic_));
  COUPLET_ASSIGN_OR_RETURN(dst_layout_, MakeLayout(type, oc_, group_ * rows_, stride_));
  fused_ = !spec.bias.empty();
  return SetEpilogue(fused_);
}

Status Gemm::SetEpilogue(bool with_bias) {
  const cublasLtEpilogue_t epilogue = !with_bias                         ? CUBLASLT_EPILOGUE_DEFAULT
                                      : activation_ == Activation::kRelu ? CUBLASLT_EPILOGUE_RELU_BIAS
                                                                         : CUBLASLT_EPILOGUE_BIAS;
  COUPLET_DEVICE_RETURN(cublasLtMatmulDescSetAttribute(product_.get(), CUBLASLT_MATMUL_DESC_EPILOGUE,
                                                       &epilogue, sizeof epilogue));
  const void* const bias = with_bias ? bias_.data() : nullptr;
  COUPLET_DEVICE_RETURN(
      cublasLtMatmulDescSetAttribute(product_.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias));
  return {};
}

// In the order cublasLt thinks best. No sums in parts: their order would be open.
Result<std::vector<cublasLtMatmulHeuristicResult_t>> Gemm::Proposals(int count) const {
  cublasLtMatmulPreference_t made = nullptr;
  COUPLET_DEVICE_RETURN(cublasLtMatmulPreferenceCreate(&made));
  const MatmulPreference preference(made);
  const auto set = [made](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) -> Status {
    COUPLET_DEVICE_RETURN(cublasLtMatmulPreferenceSetAttribute(made, attribute, &value, sizeof value));
    return {};
  };
  const uint64_t limit = WorkspaceLimit();
  const uint32_t whole_sums = CUBLASLT_REDUCTION_SCHEME_NONE;
  const uint32_t arena = static_cast<uint32_t>(kArenaAlignment);
  const uint32_t src_alignment = window_ ? arena : Alignment(SrcGroupBytes(), arena);
  const uint32_t dst_alignment = Alignment(DstGroupBytes(), sliced_ ? 16 : arena);
  COUPLET_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, limit));
  COUPLET_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, whole_sums));
  COUPLET_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, src_alignment));
  COUPLET_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, dst_alignment));
  COUPLET_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, dst_alignment));

  std::vector<cublasLtMatmulHeuristicResult_t> results(static_cast<size_t>(count));
  int found = 0;
  COUPLET_DEVICE_RETURN(cublasLtMatmulAlgoGetHeuristic(
      device().blas_lt(), product_.get(), weights_layout_.get(), src_layout_.get(), dst_layout_.get(),
      dst_layout_.get(), preference.get(), count, results.data(), &found));
  results.resize(static_cast<size_t>(found));
  std::erase_if(results, [](const auto& result) { return result.state != CUBLAS_STATUS_SUCCESS; });
  if (results.empty())
    return DeviceError(
        fmt::format("cublasLt has no way to multiply [{}, {}] by [{}, {}]", group_ * rows_, ic_, ic_, oc_));
  return results;
}

Status Gemm::ChooseAlgorithm() {
  const std::string key = fmt::format("gemm {}x{}x{} dst {} relu {} bias {}", group_ * rows_, ic_, oc_,
                                      stride_, fused_ && activation_ == Activation::kRelu, fused_);
  if (const auto kept = device().tuning().Find(key)) {
    cublasLtMatmulHeuristicResult_t checked{};
    const auto algo = FromHex(*kept);
    if (algo &&
        cublasLtMatmulAlgoCheck(device().blas_lt(), product_.get(), weights_layout_.get(), src_layout_.get(),
                                dst_layout_.get(), dst_layout_.get(), &*algo,
                                &checked) == CUBLAS_STATUS_SUCCESS &&
        checked.workspaceSize <= WorkspaceLimit()) {
      Take(*algo, checked.workspaceSize);
      return {};
    }
  }
  constexpr int kRunners = 8;
  COUPLET_ASSIGN_OR_RETURN(const auto proposals, Proposals(device().options().tune ? kRunners : 1));
  Take(proposals[0].algo, proposals[0].workspaceSize);
  return device().options().tune ? Race(proposals, key) : Status();
}

Status Gemm::Race(const std::vector<cublasLtMatmulHeuristicResult_t>& proposals, const std::string& key) {
  size_t most = 0;
  for (const auto& proposal : proposals) most = std::max(most, proposal.workspaceSize);
  COUPLET_ASSIGN_OR_RETURN(const DeviceBuffer src, device().UploadNoise(SrcGroupBytes() / element_bytes()));
  COUPLET_ASSIGN_OR_RETURN(const DeviceBuffer dst, device().Allocate(DstGroupBytes()));
  COUPLET_ASSIGN_OR_RETURN(const DeviceBuffer workspace, device().Allocate(most));
  const Device::Bench bench = device().TakeBench();
  double best_ms = -1.0;
  std::string times;
  for (size_t i = 0; i < proposals.size(); ++i) {
    const auto& proposal = proposals[i];
    const Result<double> ms = TimeOnDevice(bench.stream, [&] {
      return Multiply(proposal.algo, src.data(), dst.data(), workspace.data(), proposal.workspaceSize,
                      bench.stream);
    });
    if (!ms.ok()) continue;
    times += fmt::format(" {:.4f}", *ms);
    if (best_ms >= 0.0 && *ms >= best_ms) continue;
    best_ms = *ms;
    Take(proposal.algo, proposal.workspaceSize);
  }
  device().tuning().Keep(key, Hex(algo_) + " ms:" + times);
  return {};
}

Status Gemm::Multiply(const cublasLtMatmulAlgo_t& algo, const void* src, void* dst, void* workspace,
                      size_t bytes, cudaStream_t stream) const {
  const float one = 1.0f, zero = 0.0f;
  COUPLET_DEVICE_RETURN(cublasLtMatmul(device().blas_lt(), product_.get(), &one, weights_.data(),
                                       weights_layout_.get(), src, src_layout_.get(), &zero, dst,
                                       dst_layout_.get(), dst, dst_layout_.get(), &algo, workspace, bytes,
                                       stream));
  return {};
}

template <class T>
Status Gemm::Gather(const void* src, void* dst, cudaStream_t stream) const {
  COUPLET_DEVICE_RETURN(LaunchIm2col<T>(*window_, static_cast<const T*>(src), static_cast<T*>(dst), stream));
  return {};
}

Status Gemm::Run(const RunArgs& args, Worker& worker) const {
  const int64_t src_photo = window_ ? int64_t{window_->ih} * window_->iw * window_->ic : rows_ * ic_;
  for (int first = 0; first < args.n; first += group_) {
    const void* src = Photo(args.src[0], first, src_photo, element_bytes());
    if (window_) {
      COUPLET_RETURN_IF_ERROR(device().half() ? Gather<__half>(src, args.scratch, worker.stream())
                                              : Gather<float>(src, args.scratch, worker.stream()));
      src = args.scratch;
    }
    COUPLET_RETURN_IF_ERROR(Multiply(algo_, src, Photo(args.dst, first, rows_ * stride_, element_bytes()),
                                     static_cast<std::byte*>(args.scratch) + GatheredBytes(), workspace_bytes_,
                                     worker.stream()));
  }
  return device().half() ? Finish<__half>(args, worker.stream()) : Finish<float>(args, worker.stream());
}

// What the product's epilogue did not do, in place.
template <class T>
Status Gemm::Finish(const RunArgs& args, cudaStream_t stream) const {
  const float* const bias =
      fused_ || bias_.bytes() == 0 ? nullptr : (device().half() ? float_bias_ : bias_).as<const float>();
  const bool done = activation_ == Activation::kNone || (fused_ && activation_ == Activation::kRelu);
  if (bias == nullptr && done) return {};
  BiasActivationShape shape;
  shape.pixels = args.n * rows_;
  shape.c = oc_;
  shape.src_stride = shape.dst_stride = stride_;
  shape.activation = activation_;
  auto* const dst = static_cast<T*>(args.dst);
  COUPLET_DEVICE_RETURN(LaunchBiasActivation<T>(shape, dst, nullptr, bias, dst, stream));
  return {};
}

}  // namespace

OpResult MakeGemm(const Device& device, const GemmLayer& spec) {
  auto gemm = std::make_unique<Gemm>(device, spec);
  if (const Status status = gemm->Prepare(spec); !status.ok())
    return Status(status.code(), fmt::format("layer '{}': {}", spec.layer, status.message()));
  return std::unique_ptr<PreparedOp>(std::move(gemm));
}

}  // namespace couplet::cuda
