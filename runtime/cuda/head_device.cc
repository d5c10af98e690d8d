// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/head_device.h"

#include <algorithm>

#include "kernels/gather_rows.h"

namespace couplet::cuda {

namespace {

// cuBLAS would else allocate while a graph is being captured, and with memory of its own its sums keep their
// order.
constexpr size_t kBlasWorkspaceBytes = size_t{8} << 20;

// Where one kernel a step wins over matrix products: every block of that kernel looks at all rows.
constexpr int kFusedRows = 512;
constexpr int kFusedFeatures = 4096;

// Plain float32: no TF32, whatever the device and the environment offer.
Status MakeExact(cublasHandle_t blas) {
#if CUBLAS_VER_MAJOR >= 11
  COUPLET_DEVICE_RETURN(cublasSetMathMode(blas, CUBLAS_PEDANTIC_MATH));
#else
  COUPLET_DEVICE_RETURN(cublasSetMathMode(blas, CUBLAS_DEFAULT_MATH));
#endif
  return {};
}

Status SetWorkspace([[maybe_unused]] cublasHandle_t blas, [[maybe_unused]] const DeviceBuffer& workspace) {
#if CUBLAS_VERSION >= 110300
  COUPLET_DEVICE_RETURN(cublasSetWorkspace(blas, workspace.data(), workspace.bytes()));
#endif
  return {};
}

}  // namespace

Status Grow(const Device& device, DeviceBuffer* buffer, size_t bytes, int* made) {
  if (buffer->bytes() >= bytes) return {};
  *buffer = DeviceBuffer();  // the old one goes first: the two need not fit together
  ++*made;
  COUPLET_ASSIGN_OR_RETURN(*buffer, device.Allocate(bytes));
  return {};
}

Status Grow(PinnedBuffer* buffer, size_t bytes) {
  if (buffer->bytes() >= bytes) return {};
  *buffer = PinnedBuffer();
  COUPLET_ASSIGN_OR_RETURN(*buffer, PinnedBuffer::Allocate(bytes));
  return {};
}

Result<std::unique_ptr<HeadDevice>> HeadDevice::Create(const Device& memory, const HeadShape& shape) {
  std::unique_ptr<HeadDevice> device(new HeadDevice(memory, shape));
  COUPLET_RETURN_IF_ERROR(device->Init());
  return device;
}

Status HeadDevice::Init() {
  const size_t heads = static_cast<size_t>(shape_.heads);
  COUPLET_ASSIGN_OR_RETURN(stream_, MakeStream());
  COUPLET_ASSIGN_OR_RETURN(workspace_, memory_.Allocate(kBlasWorkspaceBytes));
  COUPLET_ASSIGN_OR_RETURN(blas_, MakeBlasHandle(stream_.get()));
  COUPLET_RETURN_IF_ERROR(SetWorkspace(blas_.get(), workspace_));
  COUPLET_RETURN_IF_ERROR(MakeExact(blas_.get()));
  COUPLET_ASSIGN_OR_RETURN(weights_, memory_.Allocate(heads * Weights() * sizeof(float)));
  COUPLET_ASSIGN_OR_RETURN(biases_, memory_.Allocate(heads * Classes() * sizeof(float)));
  COUPLET_ASSIGN_OR_RETURN(gradient_, memory_.Allocate(Weights() * sizeof(float)));
  const SgdUpdateShape update{
      .n = 1, .features = shape_.features, .classes = shape_.classes, .learning_rate = 0.0f};
  COUPLET_ASSIGN_OR_RETURN(
      next_, memory_.Allocate(static_cast<size_t>(SgdUpdateNextFloats(update)) * sizeof(float)));
  COUPLET_ASSIGN_OR_RETURN(
      update_partials_,
      memory_.Allocate(static_cast<size_t>(SgdUpdatePartials(update)) * sizeof(SgdPartial)));
  return {};
}

Status HeadDevice::CopyIn(void* dst, const void* src, size_t bytes) {
  if (bytes == 0) return {};
  COUPLET_DEVICE_RETURN(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyHostToDevice, stream_.get()));
  COUPLET_DEVICE_RETURN(cudaStreamSynchronize(stream_.get()));
  return {};
}

Status HeadDevice::SetVectors(std::span<const float> vectors) {
  COUPLET_CHECK(vectors.size() % static_cast<size_t>(shape_.features) == 0);
  count_ = 0;
  COUPLET_RETURN_IF_ERROR(Grow(memory_, &vectors_, vectors.size_bytes(), &made_));
  COUPLET_RETURN_IF_ERROR(CopyIn(vectors_.data(), vectors.data(), vectors.size_bytes()));
  Use(vectors_.as<float>(), vectors.size() / static_cast<size_t>(shape_.features));
  return {};
}

void HeadDevice::UseVectors(const DeviceVectors& vectors) {
  COUPLET_CHECK(vectors.features == shape_.features);
  Use(vectors.memory.as<float>(), vectors.rows);
}

void HeadDevice::Use(const float* vectors, size_t count) {
  made_ += vectors != in_use_;
  in_use_ = vectors;
  count_ = count;
}

Status HeadDevice::SetParams(const HeadParams& params) {
  COUPLET_CHECK(params.weights.size() == Weights() && params.biases.size() == Classes());
  COUPLET_RETURN_IF_ERROR(CopyIn(weights(head_), params.weights.data(), Weights() * sizeof(float)));
  return CopyIn(biases(head_), params.biases.data(), Classes() * sizeof(float));
}

void HeadDevice::UseHead(int head) {
  COUPLET_CHECK(head >= 0 && head < shape_.heads);
  head_ = head;
}

Status HeadDevice::ReadParams(HeadParams* out) const {
  out->weights.resize(Weights());
  out->biases.resize(Classes());
  COUPLET_DEVICE_RETURN(cudaMemcpyAsync(out->weights.data(), weights(head_), Weights() * sizeof(float),
                                        cudaMemcpyDeviceToHost, stream_.get()));
  COUPLET_DEVICE_RETURN(cudaMemcpyAsync(out->biases.data(), biases(head_), Classes() * sizeof(float),
                                        cudaMemcpyDeviceToHost, stream_.get()));
  COUPLET_DEVICE_RETURN(cudaStreamSynchronize(stream_.get()));
  return {};
}

Status HeadDevice::Reserve(int n) {
  if (n <= reserved_) return {};
  reserved_ = 0;
  const size_t rows = static_cast<size_t>(n), row_bytes = static_cast<size_t>(shape_.classes) * sizeof(float);
  COUPLET_RETURN_IF_ERROR(
      Grow(memory_, &gathered_, rows * static_cast<size_t>(shape_.features) * sizeof(float), &made_));
  for (DeviceBuffer* buffer : {&products_, &slopes_, &logits_, &probabilities_})
    COUPLET_RETURN_IF_ERROR(Grow(memory_, buffer, rows * row_bytes, &made_));
  const int partials = SoftmaxXentPartials({.n = n, .classes = shape_.classes});
  COUPLET_RETURN_IF_ERROR(Grow(memory_, &pass_partials_, static_cast<size_t>(partials) * sizeof(HeadResult), &made_));
  reserved_ = n;
  return {};
}

Status HeadDevice::Forward(const DeviceBatch& batch, bool keep, const HeadResult* previous,
                           HeadResult* result) {
  COUPLET_CHECK(batch.n > 0 && batch.n <= reserved_);
  const int features = shape_.features, classes = shape_.classes;
  COUPLET_DEVICE_RETURN(LaunchGatherRows({.n = batch.n, .features = features}, vectors(), batch.rows,
                                         gathered_.as<float>(), stream()));
  // cuBLAS counts columns first, so it sees each matrix turned: products^T = weights^T . gathered^T.
  const float one = 1.0f, zero = 0.0f;
  COUPLET_DEVICE_RETURN(cublasSgemm(blas_.get(), CUBLAS_OP_N, CUBLAS_OP_N, classes, batch.n, features, &one,
                                    weights(head_), classes, gathered_.as<float>(), features, &zero,
                                    products_.as<float>(), classes));
  const SoftmaxXentOutputs outputs{.logits = keep ? logits_.as<float>() : nullptr,
                                   .probabilities = keep ? probabilities_.as<float>() : nullptr,
                                   .slopes = slopes_.as<float>()};
  COUPLET_DEVICE_RETURN(LaunchSoftmaxXent({.n = batch.n, .classes = classes}, products_.as<float>(), biases(head_),
                                          batch.labels, outputs, pass_partials_.as<HeadResult>(), previous,
                                          result, stream()));
  return {};
}

bool FusesHeads(const HeadShape& shape) {
  return shape.features <= kFusedFeatures && HeadStepsFit({.features = shape.features, .classes = shape.classes});
}

bool HeadDevice::Fuses(int n) const {
  return n <= kFusedRows && FusesHeads(shape_);
}

Status HeadDevice::FusedStep(const DeviceBatch& batch, float learning_rate, HeadResult* result) {
  const HeadStepsShape shape = FusedShape();
  const HeadStepsHeads head{.count = 1, .stopped = 0, .results = 1, .learning_rates = {learning_rate}};
  int made = 0;  // nothing captured uses it
  COUPLET_RETURN_IF_ERROR(Grow(
      memory_, &step_scratch_, static_cast<size_t>(HeadStepsScratchFloats(shape, batch.n, 1)) * sizeof(float), &made));
  const HeadStepsBatch first{
      .rows = batch.rows, .labels = batch.labels, .n = batch.n, .stride = batch.n, .result = result};
  COUPLET_DEVICE_RETURN(LaunchHeadSteps(
      shape, head,
      {.count = 1, .first = first, .row_stride = batch.n, .evaluations = nullptr, .evaluation_count = 0},
      vectors(), weights(head_), biases(head_), step_scratch_.as<float>(), batch.n, stream()));
  return {};
}

Status HeadDevice::Update(const DeviceBatch& batch, float learning_rate, HeadResult* result) {
  const int features = shape_.features, classes = shape_.classes;
  // gradient^T = slopes^T . gathered
  const float one = 1.0f, zero = 0.0f;
  COUPLET_DEVICE_RETURN(cublasSgemm(blas_.get(), CUBLAS_OP_N, CUBLAS_OP_T, classes, features, batch.n, &one,
                                    slopes_.as<float>(), classes, gathered_.as<float>(), features, &zero,
                                    gradient_.as<float>(), classes));
  COUPLET_DEVICE_RETURN(LaunchSgdUpdate(
      {.shape = {.n = batch.n, .features = features, .classes = classes, .learning_rate = learning_rate},
       .gradient = gradient_.as<float>(),
       .slopes = slopes_.as<float>(),
       .weights = weights(head_),
       .biases = biases(head_),
       .next = next_.as<float>(),
       .partials = update_partials_.as<SgdPartial>(),
       .result = result,
       .stats = nullptr},
      stream()));
  return {};
}

}  // namespace couplet::cuda
