// cuDNN's handle and descriptors.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "tests/support/standin/cudnn_types.h"
#include "tests/support/standin/state.h"

namespace couplet::standin {

namespace {

template <class T>
cudnnStatus_t Make(const char* call, const char* what, T** out) {
  return Cudnn(call, InCapture::kHostOnly, [&] {
    if (out == nullptr) return CUDNN_STATUS_BAD_PARAM;
    *out = Create<T>(what);
    return CUDNN_STATUS_SUCCESS;
  });
}
template <class T>
cudnnStatus_t Drop(const char* call, const char* what, T* object, InCapture rule = InCapture::kHostOnly) {
  return CudnnRelease(call, rule,
                      [&] { return Destroy(object, what) ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM; });
}
// Sets a living descriptor; `body` returns whether its values are allowed.
template <class T, class Body>
cudnnStatus_t Set(const char* call, const char* what, T* object, Body&& body) {
  return Cudnn(call, InCapture::kHostOnly, [&] {
    if (!Alive(object, what, call)) return CUDNN_STATUS_BAD_PARAM;
    return body() ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
  });
}

bool KnownType(cudnnDataType_t type) {
  if (type == CUDNN_DATA_FLOAT || type == CUDNN_DATA_HALF) return true;
  TheState().Misuse("cudnn: data type " + std::to_string(type) + " is not played");
  return false;
}

}  // namespace

}  // namespace couplet::standin

using namespace couplet::standin;  // NOLINT: the names below are C's

size_t cudnnGetVersion() {
  return CUDNN_VERSION;
}
const char* cudnnGetErrorString(cudnnStatus_t status) {
  switch (status) {
    case CUDNN_STATUS_SUCCESS:
      return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_NOT_INITIALIZED:
      return "CUDNN_STATUS_NOT_INITIALIZED";
    case CUDNN_STATUS_BAD_PARAM:
      return "CUDNN_STATUS_BAD_PARAM";
    case CUDNN_STATUS_NOT_SUPPORTED:
      return "CUDNN_STATUS_NOT_SUPPORTED";
    case CUDNN_STATUS_INTERNAL_ERROR:
      return "CUDNN_STATUS_INTERNAL_ERROR";
    case CUDNN_STATUS_ALLOC_FAILED:
      return "CUDNN_STATUS_ALLOC_FAILED";
    case CUDNN_STATUS_EXECUTION_FAILED:
      return "CUDNN_STATUS_EXECUTION_FAILED";
    default:
      return "CUDNN_STATUS_ of another kind";
  }
}
void cudnnGetLastErrorString(char* message, size_t size) {
  if (size != 0) message[0] = '\0';
}

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  return Cudnn(__func__, InCapture::kForbidden, [&] {
    if (handle == nullptr) return CUDNN_STATUS_BAD_PARAM;
    *handle = Create<cudnnContext>(kHandle);
    return CUDNN_STATUS_SUCCESS;
  });
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  return Drop(__func__, kHandle, handle, InCapture::kAllowed);
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  return Set(__func__, kHandle, handle, [&] {
    if (TheState().scheduler->Find(stream, "cudnnSetStream") == nullptr) return false;
    handle->stream = stream;
    return true;
  });
}

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* out) {
  return Make(__func__, kTensor, out);
}
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t object) {
  return Drop(__func__, kTensor, object);
}
cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t tensor, cudnnTensorFormat_t format,
                                         cudnnDataType_t type, int n, int c, int h, int w) {
  return Set(__func__, kTensor, tensor, [&] {
    if (n <= 0 || c <= 0 || h <= 0 || w <= 0 || !KnownType(type)) return false;
    *tensor = {true, type, n, c, h, w, int64_t{c} * h * w, 0, 0, 0};
    if (format == CUDNN_TENSOR_NHWC) {
      tensor->c_stride = 1, tensor->w_stride = c, tensor->h_stride = int64_t{c} * w;
    } else {
      tensor->w_stride = 1, tensor->h_stride = w, tensor->c_stride = int64_t{h} * w;
    }
    return format == CUDNN_TENSOR_NHWC || format == CUDNN_TENSOR_NCHW;
  });
}
cudnnStatus_t cudnnSetTensor4dDescriptorEx(cudnnTensorDescriptor_t tensor, cudnnDataType_t type, int n, int c,
                                           int h, int w, int n_stride, int c_stride, int h_stride,
                                           int w_stride) {
  return Set(__func__, kTensor, tensor, [&] {
    const bool positive =
        n > 0 && c > 0 && h > 0 && w > 0 && n_stride > 0 && c_stride > 0 && h_stride > 0 && w_stride > 0;
    if (!positive || !KnownType(type)) return false;
    *tensor = {true, type, n, c, h, w, n_stride, c_stride, h_stride, w_stride};
    return true;
  });
}

cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t* out) {
  return Make(__func__, kFilter, out);
}
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t object) {
  return Drop(__func__, kFilter, object);
}
cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t filter, cudnnDataType_t type,
                                         cudnnTensorFormat_t format, int k, int c, int h, int w) {
  return Set(__func__, kFilter, filter, [&] {
    if (k <= 0 || c <= 0 || h <= 0 || w <= 0 || !KnownType(type)) return false;
    *filter = {true, type, format, k, c, h, w};
    return true;
  });
}

cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t* out) {
  return Make(__func__, kConvolution, out);
}
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t object) {
  return Drop(__func__, kConvolution, object);
}
cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t conv, int pad_h, int pad_w, int sh,
                                              int sw, int dh, int dw, cudnnConvolutionMode_t mode,
                                              cudnnDataType_t compute) {
  return Set(__func__, kConvolution, conv, [&] {
    if (pad_h < 0 || pad_w < 0 || sh <= 0 || sw <= 0 || dh <= 0 || dw <= 0 || !KnownType(compute))
      return false;
    const int groups = conv->groups;
    const cudnnMathType_t math = conv->math;
    *conv = {true, pad_h, pad_w, sh, sw, dh, dw, groups, mode, compute, math};
    return true;
  });
}
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t conv, cudnnMathType_t math) {
  return Set(__func__, kConvolution, conv, [&] {
    conv->math = math;
    return math >= CUDNN_DEFAULT_MATH && math <= CUDNN_FMA_MATH;
  });
}
cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t conv, int groups) {
  return Set(__func__, kConvolution, conv, [&] {
    conv->groups = groups;
    return groups > 0;
  });
}

cudnnStatus_t cudnnCreateActivationDescriptor(cudnnActivationDescriptor_t* out) {
  return Make(__func__, kActivation, out);
}
cudnnStatus_t cudnnDestroyActivationDescriptor(cudnnActivationDescriptor_t object) {
  return Drop(__func__, kActivation, object);
}
cudnnStatus_t cudnnSetActivationDescriptor(cudnnActivationDescriptor_t activation, cudnnActivationMode_t mode,
                                           cudnnNanPropagation_t, double) {
  return Set(__func__, kActivation, activation, [&] {
    *activation = {true, mode};
    return mode >= CUDNN_ACTIVATION_SIGMOID && mode <= CUDNN_ACTIVATION_SWISH;
  });
}
