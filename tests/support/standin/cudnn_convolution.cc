// cuDNN's forward convolution, as its documentation promises it for NHWC: dense tensors (a channel slice as
// the destination only where the played device says so), IMPLICIT_GEMM and IMPLICIT_PRECOMP_GEMM, groups,
// dilation. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "tests/support/standin/cudnn_types.h"
#include "tests/support/standin/memory.h"
#include "tests/support/standin/state.h"

namespace couplet::standin {

namespace {

constexpr auto kImplicit = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM;
constexpr auto kPrecomputed = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;

int OutSize(int size, int pad, int kernel, int stride, int dilation) {
  return (size + 2 * pad - ((kernel - 1) * dilation + 1)) / stride + 1;
}

// What cuDNN holds against the descriptors.
cudnnStatus_t Judge(const char* call, const cudnnTensorStruct* x, const cudnnFilterStruct* w,
                    const cudnnConvolutionStruct* conv, const cudnnTensorStruct* y) {
  const std::string name(call);
  if (!Alive(x, kTensor, call) || !Alive(w, kFilter, call) || !Alive(conv, kConvolution, call) ||
      !Alive(y, kTensor, call))
    return CUDNN_STATUS_BAD_PARAM;
  if (!x->set || !w->set || !conv->set || !y->set) {
    TheState().Misuse(name + ": a descriptor that was never set");
    return CUDNN_STATUS_BAD_PARAM;
  }
  const bool shapes = x->c == w->c * conv->groups && w->k % conv->groups == 0 && y->c == w->k &&
                      y->n == x->n && y->h == OutSize(x->h, conv->pad_h, w->h, conv->sh, conv->dh) &&
                      y->w == OutSize(x->w, conv->pad_w, w->w, conv->sw, conv->dw);
  if (!shapes) {
    TheState().Misuse(name + ": the shapes do not fit together");
    return CUDNN_STATUS_BAD_PARAM;
  }
  if (x->type != w->type || x->type != y->type || conv->compute != CUDNN_DATA_FLOAT ||
      conv->mode != CUDNN_CROSS_CORRELATION || conv->math == CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION)
    return CUDNN_STATUS_NOT_SUPPORTED;
  if (w->format != CUDNN_TENSOR_NHWC || !x->packed() || !y->channels_last())
    return CUDNN_STATUS_NOT_SUPPORTED;
  if (!y->packed() && !TheState().device.strided) return CUDNN_STATUS_NOT_SUPPORTED;
  return CUDNN_STATUS_SUCCESS;
}

// IMPLICIT_PRECOMP_GEMM keeps a table of offsets; the bytes are the stand-in's own choice.
size_t WorkspaceBytes(const cudnnFilterStruct& w, const cudnnTensorStruct& y,
                      cudnnConvolutionFwdAlgo_t algo) {
  if (algo == kImplicit) return 0;
  return static_cast<size_t>(int64_t{y.h} * y.w * w.h * w.w) * sizeof(int32_t) + 1024;
}

cudnnStatus_t Algorithms(const cudnnFilterStruct& w, const cudnnConvolutionStruct& conv,
                         const cudnnTensorStruct& y, int wanted, int* count,
                         cudnnConvolutionFwdAlgoPerf_t* results) {
  if (wanted <= 0 || count == nullptr || results == nullptr) return CUDNN_STATUS_BAD_PARAM;
  // As the real one: what does not work is listed too, its status saying so.
  const cudnnConvolutionFwdAlgoPerf_t all[] = {
      {CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED,
       CUDNN_STATUS_NOT_SUPPORTED,
       -1.0f,
       0,
       CUDNN_DETERMINISTIC,
       conv.math,
       {}},
      {kPrecomputed,
       CUDNN_STATUS_SUCCESS,
       -1.0f,
       WorkspaceBytes(w, y, kPrecomputed),
       CUDNN_DETERMINISTIC,
       conv.math,
       {}},
      {kImplicit, CUDNN_STATUS_SUCCESS, -1.0f, 0, CUDNN_DETERMINISTIC, conv.math, {}},
      {CUDNN_CONVOLUTION_FWD_ALGO_FFT,
       CUDNN_STATUS_NOT_SUPPORTED,
       -1.0f,
       0,
       CUDNN_DETERMINISTIC,
       conv.math,
       {}},
  };
  *count = std::min(wanted, static_cast<int>(std::size(all)));
  std::copy_n(all, *count, results);
  return CUDNN_STATUS_SUCCESS;
}

bool Aligned(const char* call, const char* argument, const void* data) {
  if (reinterpret_cast<uintptr_t>(data) % 16 == 0) return true;
  TheState().Misuse(std::string(call) + ": " + argument + " is not aligned to 16 bytes");
  return false;
}

bool CheckMemory(const char* call, const ConvolutionJob& job) {
  const Memory& memory = *TheState().memory;
  const std::string name(call);
  const bool fine =
      memory.CheckDevice(name + ": x", job.x_data, job.x.span_bytes()) &&
      memory.CheckDevice(name + ": w", job.w_data, job.w.span_bytes()) &&
      memory.CheckDevice(name + ": y", job.y_data, job.y.span_bytes()) &&
      memory.CheckDevice(name + ": workspace", job.workspace, job.workspace_bytes) &&
      (job.z_scale == 0.0f || memory.CheckDevice(name + ": z", job.z_data, job.z.span_bytes())) &&
      (job.bias == nullptr ||
       memory.CheckDevice(name + ": bias", job.bias, static_cast<size_t>(job.y.c) * job.y.element_bytes()));
  if (!fine) return false;
  const auto* x = static_cast<const std::byte*>(job.x_data);
  const auto* y = static_cast<const std::byte*>(job.y_data);
  if (x < y + job.y.span_bytes() && y < x + job.x.span_bytes()) {
    TheState().Misuse(name + ": x and y overlap");
    return false;
  }
  return Aligned(call, "x", job.x_data) && Aligned(call, "w", job.w_data) && Aligned(call, "y", job.y_data);
}

// The part both forward calls share: the job's descriptors and data are there, the rest is checked and
// queued.
cudnnStatus_t Enqueue(const char* call, cudnnHandle_t handle, cudnnConvolutionFwdAlgo_t algo,
                      ConvolutionJob job) {
  if (algo != kImplicit && algo != kPrecomputed) return CUDNN_STATUS_NOT_SUPPORTED;
  if (job.workspace_bytes < WorkspaceBytes(job.w, job.y, algo)) {
    TheState().Misuse(std::string(call) + ": the workspace is too small");
    return CUDNN_STATUS_BAD_PARAM;
  }
  // Algorithms add in different orders, and what runs behind one depends on the batch: as with the real ones,
  // a choice or a batch that changes is seen in the bits.
  job.order = (algo == kImplicit) == (job.x.n % 2 == 1) ? SumOrder::kRising : SumOrder::kFalling;
  // From sm_80 on, everything but FMA_MATH lets cuDNN round floats to TF32.
  job.tf32 =
      job.x.type == CUDNN_DATA_FLOAT && job.conv.math != CUDNN_FMA_MATH && TheState().device.major >= 8;
  if (!CheckMemory(call, job)) return CUDNN_STATUS_BAD_PARAM;
  Stream* stream = TheState().scheduler->Find(handle->stream, call);
  if (stream == nullptr) return CUDNN_STATUS_BAD_PARAM;
  const cudaError_t error = TheState().scheduler->Add(stream, call, [call, job] {
    if (!CheckMemory(call, job)) return cudaErrorIllegalAddress;
    if (!TheState().device.idle) ComputeConvolution(job);
    return cudaSuccess;
  });
  return error == cudaSuccess ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_EXECUTION_FAILED;
}

}  // namespace

}  // namespace couplet::standin

using namespace couplet::standin;  // NOLINT: the names below are C's

cudnnStatus_t cudnnGetConvolution2dForwardOutputDim(const cudnnConvolutionDescriptor_t conv,
                                                    const cudnnTensorDescriptor_t x,
                                                    const cudnnFilterDescriptor_t w, int* n, int* c, int* h,
                                                    int* width) {
  return Cudnn(__func__, InCapture::kAllowed, [&] {
    if (!Alive(conv, kConvolution, __func__) || !Alive(x, kTensor, __func__) || !Alive(w, kFilter, __func__))
      return CUDNN_STATUS_BAD_PARAM;
    *n = x->n, *c = w->k;
    *h = OutSize(x->h, conv->pad_h, w->h, conv->sh, conv->dh);
    *width = OutSize(x->w, conv->pad_w, w->w, conv->sw, conv->dw);
    return *h > 0 && *width > 0 ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
  });
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithmMaxCount(cudnnHandle_t handle, int* count) {
  return Cudnn(__func__, InCapture::kAllowed, [&] {
    if (!Alive(handle, kHandle, "cudnnGetConvolutionForwardAlgorithmMaxCount")) return CUDNN_STATUS_BAD_PARAM;
    *count = CUDNN_CONVOLUTION_FWD_ALGO_COUNT;
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t handle, const cudnnTensorDescriptor_t x,
                                                     const cudnnFilterDescriptor_t w,
                                                     const cudnnConvolutionDescriptor_t conv,
                                                     const cudnnTensorDescriptor_t y, const int wanted,
                                                     int* count, cudnnConvolutionFwdAlgoPerf_t* results) {
  const char* const call = "cudnnGetConvolutionForwardAlgorithm_v7";
  return Cudnn(call, InCapture::kAllowed, [&] {
    if (!Alive(handle, kHandle, call)) return CUDNN_STATUS_BAD_PARAM;
    const cudnnStatus_t status = Judge(call, x, w, conv, y);
    return status == CUDNN_STATUS_SUCCESS ? Algorithms(*w, *conv, *y, wanted, count, results) : status;
  });
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t handle, const cudnnTensorDescriptor_t x,
                                                      const cudnnFilterDescriptor_t w,
                                                      const cudnnConvolutionDescriptor_t conv,
                                                      const cudnnTensorDescriptor_t y,
                                                      cudnnConvolutionFwdAlgo_t algo, size_t* bytes) {
  const char* const call = "cudnnGetConvolutionForwardWorkspaceSize";
  return Cudnn(call, InCapture::kAllowed, [&] {
    if (!Alive(handle, kHandle, call) || bytes == nullptr) return CUDNN_STATUS_BAD_PARAM;
    const cudnnStatus_t status = Judge(call, x, w, conv, y);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    if (algo != kImplicit && algo != kPrecomputed) return CUDNN_STATUS_NOT_SUPPORTED;
    *bytes = WorkspaceBytes(*w, *y, algo);
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void* alpha,
                                      const cudnnTensorDescriptor_t x, const void* x_data,
                                      const cudnnFilterDescriptor_t w, const void* w_data,
                                      const cudnnConvolutionDescriptor_t conv, cudnnConvolutionFwdAlgo_t algo,
                                      void* workspace, size_t workspace_bytes, const void* beta,
                                      const cudnnTensorDescriptor_t y, void* y_data) {
  const char* const call = "cudnnConvolutionForward";
  return Cudnn(call, InCapture::kAllowed, [&] {
    if (!Alive(handle, kHandle, call) || alpha == nullptr || beta == nullptr) return CUDNN_STATUS_BAD_PARAM;
    const cudnnStatus_t status = Judge(call, x, w, conv, y);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    ConvolutionJob job;
    job.x = *x, job.y = job.z = *y, job.w = *w, job.conv = *conv;
    job.x_data = x_data, job.w_data = w_data, job.y_data = y_data, job.z_data = y_data;
    job.workspace = workspace, job.workspace_bytes = workspace_bytes;
    job.alpha = *static_cast<const float*>(alpha), job.z_scale = *static_cast<const float*>(beta);
    return Enqueue(call, handle, algo, job);
  });
}

cudnnStatus_t cudnnConvolutionBiasActivationForward(
    cudnnHandle_t handle, const void* alpha, const cudnnTensorDescriptor_t x, const void* x_data,
    const cudnnFilterDescriptor_t w, const void* w_data, const cudnnConvolutionDescriptor_t conv,
    cudnnConvolutionFwdAlgo_t algo, void* workspace, size_t workspace_bytes, const void* z_scale,
    const cudnnTensorDescriptor_t z, const void* z_data, const cudnnTensorDescriptor_t bias,
    const void* bias_data, const cudnnActivationDescriptor_t activation, const cudnnTensorDescriptor_t y,
    void* y_data) {
  const char* const call = "cudnnConvolutionBiasActivationForward";
  return Cudnn(call, InCapture::kAllowed, [&] {
    if (!Alive(handle, kHandle, call) || !Alive(z, kTensor, call) || !Alive(bias, kTensor, call) ||
        !Alive(activation, kActivation, call) || alpha == nullptr || z_scale == nullptr)
      return CUDNN_STATUS_BAD_PARAM;
    const cudnnStatus_t status = Judge(call, x, w, conv, y);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    if (bias->n != 1 || bias->c != y->c || bias->h != 1 || bias->w != 1 || bias->type != y->type ||
        z->n != y->n || z->c != y->c || z->h != y->h || z->w != y->w || z->type != y->type)
      return CUDNN_STATUS_BAD_PARAM;
    const bool identity = activation->mode == CUDNN_ACTIVATION_IDENTITY;
    if ((!identity && activation->mode != CUDNN_ACTIVATION_RELU) || (identity && algo != kPrecomputed))
      return CUDNN_STATUS_NOT_SUPPORTED;
    ConvolutionJob job;
    job.x = *x, job.y = *y, job.z = *z, job.w = *w, job.conv = *conv;
    job.x_data = x_data, job.w_data = w_data, job.y_data = y_data, job.z_data = z_data, job.bias = bias_data;
    job.workspace = workspace, job.workspace_bytes = workspace_bytes;
    job.alpha = *static_cast<const float*>(alpha), job.z_scale = *static_cast<const float*>(z_scale);
    job.relu = !identity;
    if (bias_data == nullptr) return CUDNN_STATUS_BAD_PARAM;
    return Enqueue(call, handle, algo, job);
  });
}
