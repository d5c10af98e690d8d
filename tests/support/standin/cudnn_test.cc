// SPDX-License-Identifier: Apache-2.0
#include <cudnn.h>

#include <cmath>

#include "tests/reference/convolution.h"
#include "tests/support/standin/math.h"
#include "tests/support/standin/testing.h"
#include "tests/support/values.h"

using namespace couplet::standin;
using couplet::reference::ConvolutionAt;
using couplet::test::Values;

namespace {

struct Shape {
  int n, ih, iw, ic, oc, kh, kw, pad_h, pad_w, sh, sw, dh, dw, groups;
  int oh() const { return (ih + 2 * pad_h - (kh - 1) * dh - 1) / sh + 1; }
  int ow() const { return (iw + 2 * pad_w - (kw - 1) * dw - 1) / sw + 1; }
};
constexpr Shape kShapes[] = {
    {1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1},     {2, 9, 11, 5, 37, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {1, 17, 13, 3, 8, 3, 3, 0, 0, 2, 2, 1, 1, 1},   {1, 12, 12, 6, 4, 1, 7, 0, 3, 1, 1, 1, 1, 1},
    {3, 7, 7, 64, 33, 1, 1, 0, 0, 1, 1, 1, 1, 1},   {1, 15, 15, 4, 8, 3, 3, 2, 2, 1, 1, 2, 2, 2},
    {2, 14, 14, 12, 12, 3, 3, 1, 1, 2, 2, 1, 1, 12}};

// The descriptors of one convolution.
struct Problem {
  cudnnHandle_t handle = nullptr;
  cudnnTensorDescriptor_t x = nullptr, y = nullptr, bias = nullptr;
  cudnnFilterDescriptor_t w = nullptr;
  cudnnConvolutionDescriptor_t conv = nullptr;
  cudnnActivationDescriptor_t activation = nullptr;

  explicit Problem(const Shape& s, cudnnDataType_t type = CUDNN_DATA_FLOAT) {
    REQUIRE(cudnnCreate(&handle) == CUDNN_STATUS_SUCCESS);
    REQUIRE(cudnnCreateTensorDescriptor(&x) == CUDNN_STATUS_SUCCESS);
    REQUIRE(cudnnCreateTensorDescriptor(&y) == CUDNN_STATUS_SUCCESS);
    REQUIRE(cudnnCreateTensorDescriptor(&bias) == CUDNN_STATUS_SUCCESS);
    REQUIRE(cudnnCreateFilterDescriptor(&w) == CUDNN_STATUS_SUCCESS);
    REQUIRE(cudnnCreateConvolutionDescriptor(&conv) == CUDNN_STATUS_SUCCESS);
    REQUIRE(cudnnCreateActivationDescriptor(&activation) == CUDNN_STATUS_SUCCESS);
    const auto nhwc = CUDNN_TENSOR_NHWC;
    REQUIRE(cudnnSetTensor4dDescriptor(x, nhwc, type, s.n, s.ic, s.ih, s.iw) == CUDNN_STATUS_SUCCESS);
    REQUIRE(cudnnSetTensor4dDescriptor(y, nhwc, type, s.n, s.oc, s.oh(), s.ow()) == CUDNN_STATUS_SUCCESS);
    REQUIRE(cudnnSetTensor4dDescriptor(bias, nhwc, type, 1, s.oc, 1, 1) == CUDNN_STATUS_SUCCESS);
    REQUIRE(cudnnSetFilter4dDescriptor(w, type, nhwc, s.oc, s.ic / s.groups, s.kh, s.kw) ==
            CUDNN_STATUS_SUCCESS);
    REQUIRE(cudnnSetConvolution2dDescriptor(conv, s.pad_h, s.pad_w, s.sh, s.sw, s.dh, s.dw,
                                            CUDNN_CROSS_CORRELATION,
                                            CUDNN_DATA_FLOAT) == CUDNN_STATUS_SUCCESS);
    REQUIRE(cudnnSetConvolutionGroupCount(conv, s.groups) == CUDNN_STATUS_SUCCESS);
    REQUIRE(cudnnSetConvolutionMathType(conv, CUDNN_FMA_MATH) == CUDNN_STATUS_SUCCESS);
    REQUIRE(cudnnSetActivationDescriptor(activation, CUDNN_ACTIVATION_RELU, CUDNN_NOT_PROPAGATE_NAN, 0) ==
            CUDNN_STATUS_SUCCESS);
  }
  ~Problem() {
    CHECK(cudnnDestroyTensorDescriptor(x) == CUDNN_STATUS_SUCCESS);
    CHECK(cudnnDestroyTensorDescriptor(y) == CUDNN_STATUS_SUCCESS);
    CHECK(cudnnDestroyTensorDescriptor(bias) == CUDNN_STATUS_SUCCESS);
    CHECK(cudnnDestroyFilterDescriptor(w) == CUDNN_STATUS_SUCCESS);
    CHECK(cudnnDestroyConvolutionDescriptor(conv) == CUDNN_STATUS_SUCCESS);
    CHECK(cudnnDestroyActivationDescriptor(activation) == CUDNN_STATUS_SUCCESS);
    CHECK(cudnnDestroy(handle) == CUDNN_STATUS_SUCCESS);
  }
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;

  cudnnStatus_t Forward(cudnnConvolutionFwdAlgo_t algo, const void* from, const void* weights, void* to,
                        const Floats* workspace = nullptr) const {
    const float one = 1, zero = 0;
    return cudnnConvolutionForward(handle, &one, x, from, w, weights, conv, algo,
                                   workspace != nullptr ? workspace->data() : nullptr,
                                   workspace != nullptr ? workspace->bytes() : 0, &zero, y, to);
  }
  size_t WorkspaceBytes(cudnnConvolutionFwdAlgo_t algo) const {
    size_t bytes = 0;
    CHECK(cudnnGetConvolutionForwardWorkspaceSize(handle, x, w, conv, y, algo, &bytes) ==
          CUDNN_STATUS_SUCCESS);
    return bytes;
  }
};

constexpr auto kImplicit = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM;
constexpr auto kPrecomputed = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;

size_t Count(int a, int b, int c, int d) {
  return static_cast<size_t>(a) * b * c * d;
}

struct Data {
  std::vector<float> x, w, bias;  // w as cuDNN has it: [oc, kh, kw, ic / groups]
};
Data Integers(const Shape& s) {
  Values values(3);
  return {values.Integers(Count(s.n, s.ih, s.iw, s.ic), -4, 4),
          values.Integers(Count(s.oc, s.kh, s.kw, s.ic / s.groups), -4, 4),
          values.Integers(static_cast<size_t>(s.oc), -9, 9)};
}

// By the definition, in double; [n, oh, ow, oc].
std::vector<float> Want(const Shape& s, const Data& data, bool bias_relu) {
  // [kh, kw, ic, oc] with zeros between the groups, as the reference takes it.
  const int each = s.ic / s.groups, out_each = s.oc / s.groups;
  std::vector<float> dense(Count(s.kh, s.kw, s.ic, s.oc), 0.0f);
  for (int o = 0; o < s.oc; ++o)
    for (int k = 0; k < s.kh * s.kw; ++k)
      for (int i = 0; i < each; ++i)
        dense[(static_cast<size_t>(k) * s.ic + o / out_each * each + i) * s.oc + o] =
            data.w[(static_cast<size_t>(o) * s.kh * s.kw + k) * each + i];
  const couplet::reference::ConvolutionCase c = {s.ih, s.iw, s.ic, s.oc,    s.kh,    s.kw, s.sh,
                                                 s.sw, s.dh, s.dw, s.pad_h, s.pad_w, false};
  std::vector<float> out;
  for (int n = 0; n < s.n; ++n)
    for (int y = 0; y < s.oh(); ++y)
      for (int x = 0; x < s.ow(); ++x)
        for (int o = 0; o < s.oc; ++o) {
          double value =
              ConvolutionAt(c, data.x, dense, {}, bias_relu ? data.bias : std::vector<float>(), n, y, x, o)
                  .value;
          if (bias_relu && value < 0) value = 0;
          out.push_back(static_cast<float>(value));
        }
  return out;
}

}  // namespace

TEST_CASE("standin: convolutions of integers are exact, by either algorithm, plain and with bias and ReLU") {
  const FreshDevice fresh;
  for (const Shape& s : kShapes) {
    CAPTURE(s.ih);
    CAPTURE(s.kh);
    const Data data = Integers(s);
    const Problem problem(s);
    const Floats x(data.x), w(data.w), bias(data.bias), y(Count(s.n, s.oh(), s.ow(), s.oc));
    const Floats workspace(problem.WorkspaceBytes(kPrecomputed) / 4);
    for (const auto algo : {kImplicit, kPrecomputed}) {
      CHECK(problem.Forward(algo, x.data(), w.data(), y.data(),
                            algo == kPrecomputed ? &workspace : nullptr) == CUDNN_STATUS_SUCCESS);
      CHECK(y.Read() == Want(s, data, false));
    }
    const float one = 1, zero = 0;
    CHECK(cudnnConvolutionBiasActivationForward(
              problem.handle, &one, problem.x, x.data(), problem.w, w.data(), problem.conv, kImplicit,
              nullptr, 0, &zero, problem.y, y.data(), problem.bias, bias.data(), problem.activation,
              problem.y, y.data()) == CUDNN_STATUS_SUCCESS);
    CHECK(y.Read() == Want(s, data, true));
  }
}

TEST_CASE("standin: floats are rounded to TF32 unless FMA math is asked for, halves at the end only") {
  const FreshDevice fresh;
  const Shape s = {1, 1, 1, 2, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1};
  const Problem problem(s);
  const float fine = 1.0f + 0x1p-13f;
  const Floats x(std::vector<float>{fine, 0}), w(std::vector<float>{1, 1}), y(1);
  CHECK(problem.Forward(kImplicit, x.data(), w.data(), y.data()) == CUDNN_STATUS_SUCCESS);
  CHECK(y.Read()[0] == fine);
  for (const auto math : {CUDNN_DEFAULT_MATH, CUDNN_TENSOR_OP_MATH}) {
    CHECK(cudnnSetConvolutionMathType(problem.conv, math) == CUDNN_STATUS_SUCCESS);
    CHECK(problem.Forward(kImplicit, x.data(), w.data(), y.data()) == CUDNN_STATUS_SUCCESS);
    CHECK(y.Read()[0] == 1.0f);
    couplet_standin_set("capability", "7.5");  // has no TF32
    CHECK(problem.Forward(kImplicit, x.data(), w.data(), y.data()) == CUDNN_STATUS_SUCCESS);
    CHECK(y.Read()[0] == fine);
    couplet_standin_set("capability", "9.0");
  }
  const Problem halves(s, CUDNN_DATA_HALF);
  const auto bits = [](float value) { return FloatToHalf(value); };
  const uint16_t xs[] = {bits(1), bits(0x1p-11f)}, ws[] = {bits(1), bits(1)};
  CHECK(cudaMemcpy(x.data(), xs, sizeof xs, cudaMemcpyHostToDevice) == cudaSuccess);
  CHECK(cudaMemcpy(w.data(), ws, sizeof ws, cudaMemcpyHostToDevice) == cudaSuccess);
  CHECK(halves.Forward(kImplicit, x.data(), w.data(), y.data()) == CUDNN_STATUS_SUCCESS);
  uint16_t out = 0;
  CHECK(cudaMemcpy(&out, y.data(), 2, cudaMemcpyDeviceToHost) == cudaSuccess);
  CHECK(HalfToFloat(out) == 1.0f);  // 1 + 2^-11 lies between two halves; the even one is 1
}

TEST_CASE("standin: half precision conversions are those of IEEE 754") {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto stored = static_cast<uint16_t>(bits);
    const float value = HalfToFloat(stored);
    if (std::isnan(value))
      CHECK(std::isnan(HalfToFloat(FloatToHalf(value))));
    else
      CHECK(FloatToHalf(value) == stored);
  }
  CHECK(FloatToHalf(65519.9f) == 0x7BFF);
  CHECK(FloatToHalf(65520.0f) == 0x7C00);
  CHECK(FloatToHalf(0x1p-25f) == 0);         // a tie, to even
  CHECK(FloatToHalf(0x1.000002p-25f) == 1);  // just above
  CHECK(FloatToHalf(1.0f + 0x1p-11f) == 0x3C00);
  CHECK(FloatToHalf(1.0f + 0x3p-11f) == 0x3C02);
  CHECK(RoundToTf32(1.0f + 0x1p-11f) == 1.0f);
  CHECK(RoundToTf32(1.0f + 0x1.8p-11f) == 1.0f + 0x1p-10f);
}

TEST_CASE("standin: the list of algorithms holds some that do not work, and one that needs no workspace") {
  const FreshDevice fresh;
  const Problem problem(kShapes[1]);
  cudnnConvolutionFwdAlgoPerf_t results[8];
  int count = 0;
  REQUIRE(cudnnGetConvolutionForwardAlgorithm_v7(problem.handle, problem.x, problem.w, problem.conv,
                                                 problem.y, 8, &count, results) == CUDNN_STATUS_SUCCESS);
  REQUIRE(count == 4);
  CHECK(results[0].status != CUDNN_STATUS_SUCCESS);
  CHECK(results[1].status == CUDNN_STATUS_SUCCESS);
  CHECK(results[1].memory == problem.WorkspaceBytes(results[1].algo));
  CHECK(results[1].memory > 0);
  CHECK(results[2].algo == kImplicit);
  CHECK(results[2].memory == 0);
}

TEST_CASE("standin: descriptors, pointers and sizes that a convolution cannot take are seen") {
  const FreshDevice fresh;
  const Shape s = kShapes[1];
  const Data data = Integers(s);
  const Problem problem(s), other(kShapes[2]);
  const Floats x(data.x), w(data.w), y(Count(s.n, s.oh(), s.ow(), s.oc));
  const auto forward = [&](const void* from, const void* weights, void* to) {
    return problem.Forward(kImplicit, from, weights, to);
  };
  CHECK(forward(data.x.data(), w.data(), y.data()) == CUDNN_STATUS_BAD_PARAM);
  CHECK_HAS(FreshDevice::Mistakes(), "x is not device memory");
  CHECK(forward(x.data(), w.data(), x.data()) == CUDNN_STATUS_BAD_PARAM);
  CHECK_HAS(FreshDevice::Mistakes(), "are left of");
  CHECK(forward(x.data(), w.data(), y.data() + 4) == CUDNN_STATUS_BAD_PARAM);
  CHECK_HAS(FreshDevice::Mistakes(), "y needs");
  const Floats bigger(Count(s.n, s.oh(), s.ow(), s.oc) + 4);
  CHECK(forward(x.data(), w.data(), bigger.data() + 1) == CUDNN_STATUS_BAD_PARAM);
  CHECK_HAS(FreshDevice::Mistakes(), "y is not aligned to 16 bytes");
  CHECK(forward(bigger.data(), w.data(), bigger.data() + 4) == CUDNN_STATUS_BAD_PARAM);
  CHECK_HAS(FreshDevice::Mistakes(), "x and y overlap");
  const Floats small(8);
  CHECK(problem.Forward(kPrecomputed, x.data(), w.data(), y.data(), &small) == CUDNN_STATUS_BAD_PARAM);
  CHECK_HAS(FreshDevice::Mistakes(), "the workspace is too small");
  CHECK(problem.Forward(CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD, x.data(), w.data(), y.data()) ==
        CUDNN_STATUS_NOT_SUPPORTED);
  size_t bytes = 0;
  CHECK(cudnnGetConvolutionForwardWorkspaceSize(problem.handle, problem.x, problem.w, problem.conv, other.y,
                                                kImplicit, &bytes) == CUDNN_STATUS_BAD_PARAM);
  CHECK_HAS(FreshDevice::Mistakes(), "the shapes do not fit together");
  CHECK(cudnnSetTensor4dDescriptor(problem.x, CUDNN_TENSOR_NHWC, CUDNN_DATA_FLOAT, 0, 1, 1, 1) ==
        CUDNN_STATUS_BAD_PARAM);
  CHECK(cudnnSetFilter4dDescriptor(nullptr, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NHWC, 1, 1, 1, 1) ==
        CUDNN_STATUS_BAD_PARAM);
  CHECK_HAS(FreshDevice::Mistakes(), "not a living cudnn filter descriptor");
}

TEST_CASE("standin: a channel slice as destination is refused, or written where the device says so") {
  const FreshDevice fresh;
  const Shape s = {2, 3, 3, 4, 4, 1, 1, 0, 0, 1, 1, 1, 1, 1};
  const Data data = Integers(s);
  const Problem problem(s);
  const Floats x(data.x), w(data.w), y(Count(s.n, 3, 3, 12));
  REQUIRE(cudnnSetTensor4dDescriptorEx(problem.y, CUDNN_DATA_FLOAT, 2, 4, 3, 3, 108, 1, 36, 12) ==
          CUDNN_STATUS_SUCCESS);
  CHECK(problem.Forward(kImplicit, x.data(), w.data(), y.data() + 4) == CUDNN_STATUS_NOT_SUPPORTED);
  couplet_standin_set("strided", "1");
  CHECK(problem.Forward(kImplicit, x.data(), w.data(), y.data() + 4) == CUDNN_STATUS_SUCCESS);
  const std::vector<float> got = y.Read(), want = Want(s, data, false);
  for (size_t pixel = 0; pixel < 18; ++pixel)
    for (size_t c = 0; c < 12; ++c) {
      if (c >= 4 && c < 8)
        CHECK(got[pixel * 12 + c] == want[pixel * 4 + c - 4]);
      else
        CHECK(std::isnan(got[pixel * 12 + c]));
    }
}

TEST_CASE("standin: memory freed before the work runs is seen") {
  const FreshDevice fresh;
  const Shape s = kShapes[0];
  const Problem problem(s);
  cudaStream_t stream = nullptr;
  REQUIRE(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  REQUIRE(cudnnSetStream(problem.handle, stream) == CUDNN_STATUS_SUCCESS);
  REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed) == cudaSuccess);
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  {
    const Floats x(1), w(1), y(1);
    CHECK(problem.Forward(kImplicit, x.data(), w.data(), y.data()) == CUDNN_STATUS_SUCCESS);
    REQUIRE(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
    REQUIRE(cudaGraphInstantiateWithFlags(&exec, graph, 0) == cudaSuccess);
  }
  CHECK(cudaGraphLaunch(exec, stream) == cudaErrorIllegalAddress);
  CHECK_HAS(FreshDevice::Mistakes(), "x is not device memory");
  couplet_standin_reset();
  couplet_standin_set("quiet", "1");
  CHECK(cudaGraphExecDestroy(exec) == cudaSuccess);
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
}
