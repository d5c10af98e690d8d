// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/conv_cudnn.h"

#include <cuda_fp16.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "kernels/bias_activation.h"
#include "kernels/pad.h"
#include "runtime/cuda/stopwatch.h"

namespace couplet::cuda {
namespace {

// One way to do the convolution.
struct Way {
  cudnnConvolutionFwdAlgo_t algorithm = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM;
  cudnnMathType_t math = CUDNN_FMA_MATH;
  bool fused = false;  // bias and ReLU in the same call
  size_t workspace_bytes = 0;
};

bool SumsPlainProducts(cudnnConvolutionFwdAlgo_t algorithm) {
  return algorithm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM ||
         algorithm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM ||
         algorithm == CUDNN_CONVOLUTION_FWD_ALGO_GEMM || algorithm == CUDNN_CONVOLUTION_FWD_ALGO_DIRECT;
}

// cuDNN's fp32 kernels gain nothing from more photos: on an H200 Inception does 1,638 photos a second in groups of 32, and
// 1,213 in groups of 256.
int GroupOfConvolutions(const Device& device, int max_batch) {
  const int group = GroupOf(max_batch);
  return device.precision() == Precision::kFp32 ? std::min(group, kSmallGroup) : group;
}

// cuDNN has filters as [oc, kh, kw, ic].
std::vector<float> OutputChannelFirst(const ConvLayer& c) {
  const size_t oc = static_cast<size_t>(c.dst.c), rest = c.weights.size() / oc;
  std::vector<float> turned(c.weights.size());
  for (size_t i = 0; i < rest; ++i)
    for (size_t o = 0; o < oc; ++o) turned[o * rest + i] = c.weights[i * oc + o];
  return turned;
}

class DnnConv final : public Op {
 public:
  DnnConv(const Device& device, const ConvLayer& spec)
      : Op(device, spec.layer),
        c_(Geometry(spec)),
        group_(GroupOfConvolutions(device, spec.max_batch)),
        padded_(spec.pads.top != spec.pads.bottom || spec.pads.left != spec.pads.right ||
                !GroupsAligned(spec.src, spec.max_batch)),
        apart_(spec.dst_stride != 0 || !GroupsAligned(spec.dst, spec.max_batch)) {
    if (padded_) {
      source_.h = c_.src.h + c_.pads.top + c_.pads.bottom;
      source_.w = c_.src.w + c_.pads.left + c_.pads.right;
      source_.c = c_.src.c;
    } else {
      source_ = c_.src;
    }
  }

  Status Prepare(const ConvLayer& spec);
  size_t scratch_bytes() const override { return PaddedBytes() + DenseBytes() + way_.workspace_bytes; }

 protected:
  Status Run(const RunArgs& args, Worker& worker) const override;

 private:
  static ConvLayer Geometry(const ConvLayer& spec) {
    ConvLayer geometry = spec;
    geometry.weights.clear();
    geometry.bias.clear();
    return geometry;
  }
  // cuDNN wants 16 bytes: does each group of photos of this shape begin at a multiple of them?
  bool GroupsAligned(const Shape& shape, int max_batch) const {
    const size_t bytes = static_cast<size_t>(group_ * shape.per_image()) * device().element_bytes();
    return max_batch <= group_ || bytes % 16 == 0;
  }
  size_t Bytes(const Shape& shape) const {
    return Aligned(static_cast<size_t>(group_ * shape.per_image()) * device().element_bytes());
  }
  // Scratch: the source with its padding, the result before it goes to its place, the library's workspace.
  size_t PaddedBytes() const { return padded_ ? Bytes(source_) : 0; }
  size_t DenseBytes() const { return apart_ ? Bytes(c_.dst) : 0; }
  bool CanFuse() const { return !apart_ && has_bias_ && c_.activation == Activation::kRelu; }

  Status DescribeTensors();
  Status SetMath(cudnnMathType_t math);
  Result<std::vector<Way>> Ways(cudnnHandle_t dnn);
  Status Choose();
  Status Race(const std::vector<Way>& ways, const void* src, void* dst, void* workspace,
              cudnnHandle_t dnn, const Device::Bench& bench);
  cudnnStatus_t Convolve(const Way& way, cudnnHandle_t dnn, const void* src, void* dst,
                         void* workspace) const;
  template <class T>
  Status PadSource(const void* src, void* dst, cudaStream_t stream) const;
  template <class T>
  Status Finish(const void* src, void* dst, cudaStream_t stream) const;
  Status RunGroup(const void* src, void* dst, void* scratch, Worker& worker) const;
  std::string Key() const;

  const ConvLayer c_;  // without weights
  const int group_;
  const bool padded_;  // the source is copied with its padding, into scratch
  const bool apart_;   // the result is made in scratch and brought to its place
  Shape source_;  // of one photo, as cuDNN sees it
  bool has_bias_ = false;
  DeviceBuffer weights_, bias_, dnn_bias_;  // bias as floats for our kernel, as elements for cuDNN
  TensorDescriptor src_descriptor_, dst_descriptor_, bias_descriptor_;
  FilterDescriptor filter_descriptor_;
  ConvolutionDescriptor convolution_;
  ActivationDescriptor relu_;
  Way way_;
};

Status DnnConv::DescribeTensors() {
  const cudnnDataType_t type = device().dnn_type();
  const auto describe = [&](TensorDescriptor* descriptor, int n, int c, int h, int w) -> Status {
    COUPLET_ASSIGN_OR_RETURN(*descriptor, MakeTensorDescriptor());
    COUPLET_DEVICE_RETURN(cudnnSetTensor4dDescriptor(descriptor->get(), CUDNN_TENSOR_NHWC, type, n, c, h, w));
    return {};
  };
  COUPLET_RETURN_IF_ERROR(describe(&src_descriptor_, group_, source_.c, source_.h, source_.w));
  COUPLET_RETURN_IF_ERROR(describe(&dst_descriptor_, group_, c_.dst.c, c_.dst.h, c_.dst.w));
  COUPLET_RETURN_IF_ERROR(describe(&bias_descriptor_, 1, c_.dst.c, 1, 1));
  COUPLET_ASSIGN_OR_RETURN(filter_descriptor_, MakeFilterDescriptor());
  COUPLET_DEVICE_RETURN(cudnnSetFilter4dDescriptor(filter_descriptor_.get(), type, CUDNN_TENSOR_NHWC,
                                                   c_.dst.c, c_.src.c, c_.kh, c_.kw));
  COUPLET_ASSIGN_OR_RETURN(convolution_, MakeConvolutionDescriptor());
  COUPLET_DEVICE_RETURN(cudnnSetConvolution2dDescriptor(convolution_.get(), padded_ ? 0 : c_.pads.top,
                                                        padded_ ? 0 : c_.pads.left, c_.sh, c_.sw, c_.dh,
                                                        c_.dw, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
  COUPLET_ASSIGN_OR_RETURN(relu_, MakeActivationDescriptor());
  COUPLET_DEVICE_RETURN(
      cudnnSetActivationDescriptor(relu_.get(), CUDNN_ACTIVATION_RELU, CUDNN_PROPAGATE_NAN, 0.0));
  return {};
}

Status DnnConv::SetMath(cudnnMathType_t math) {
  COUPLET_DEVICE_RETURN(cudnnSetConvolutionMathType(convolution_.get(), math));
  return {};
}

std::string DnnConv::Key() const {
  return fmt::format("conv {}x{}x{}x{} to {}x{}x{} k {}x{} s {}x{} d {}x{} p {}x{} fuse {}", group_,
                     source_.h, source_.w, source_.c, c_.dst.h, c_.dst.w, c_.dst.c, c_.kh, c_.kw, c_.sh,
                     c_.sw, c_.dh, c_.dw, padded_ ? 0 : c_.pads.top, padded_ ? 0 : c_.pads.left, CanFuse());
}

// The ways that may be taken, best first by cuDNN's ranking; the last needs no workspace and always works.
Result<std::vector<Way>> DnnConv::Ways(cudnnHandle_t dnn) {
  const cudnnMathType_t math = device().precision() == Precision::kFp32   ? CUDNN_FMA_MATH
                               : device().precision() == Precision::kTf32 ? CUDNN_DEFAULT_MATH
                                                                          : CUDNN_TENSOR_OP_MATH;
  COUPLET_RETURN_IF_ERROR(SetMath(math));
  cudnnConvolutionFwdAlgoPerf_t ranking[2 * CUDNN_CONVOLUTION_FWD_ALGO_COUNT];
  int found = 0;
  COUPLET_DEVICE_RETURN(cudnnGetConvolutionForwardAlgorithm_v7(
      dnn, src_descriptor_.get(), filter_descriptor_.get(), convolution_.get(), dst_descriptor_.get(),
      static_cast<int>(std::size(ranking)), &found, ranking));
  std::vector<Way> ways;
  const auto add = [&](Way way) {
    way.fused = true;
    if (CanFuse()) ways.push_back(way);
    way.fused = false;
    ways.push_back(way);
  };
  for (const cudnnConvolutionFwdAlgoPerf_t& rank : std::span(ranking, static_cast<size_t>(found))) {
    if (rank.status != CUDNN_STATUS_SUCCESS || rank.determinism != CUDNN_DETERMINISTIC ||
        !SumsPlainProducts(rank.algo) || rank.memory > device().options().workspace_bytes)
      continue;
    // fp32 stays exact whatever the library proposes.
    const cudnnMathType_t taken = device().precision() == Precision::kFp32 ? CUDNN_FMA_MATH : rank.mathType;
    add({rank.algo, taken, false, rank.memory});
  }
  add({CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, device().half() ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH, false,
       0});
  return ways;
}

cudnnStatus_t DnnConv::Convolve(const Way& way, cudnnHandle_t dnn, const void* src, void* dst,
                                void* workspace) const {
  const float one = 1.0f, zero = 0.0f;
  if (!way.fused)
    return cudnnConvolutionForward(dnn, &one, src_descriptor_.get(), src, filter_descriptor_.get(),
                                   weights_.data(), convolution_.get(), way.algorithm, workspace,
                                   way.workspace_bytes, &zero, dst_descriptor_.get(), dst);
  return cudnnConvolutionBiasActivationForward(
      dnn, &one, src_descriptor_.get(), src, filter_descriptor_.get(), weights_.data(), convolution_.get(),
      way.algorithm, workspace, way.workspace_bytes, &zero, dst_descriptor_.get(), dst,
      bias_descriptor_.get(), dnn_bias_.data(), relu_.get(), dst_descriptor_.get(), dst);
}

// Tries the ways on memory of its own, because only a call tells whether cuDNN has the fused form: takes the
// first that works, or the kept one, or, when tuning, the fastest.
Status DnnConv::Choose() {
  const bool tune = device().options().tune;
  COUPLET_ASSIGN_OR_RETURN(const DeviceBuffer src,
                           tune ? device().UploadNoise(Bytes(source_) / device().element_bytes())
                                : device().Allocate(Bytes(source_)));
  COUPLET_ASSIGN_OR_RETURN(const DeviceBuffer dst, device().Allocate(Bytes(c_.dst)));
  const Device::Bench bench = device().TakeBench();
  if (!tune) COUPLET_DEVICE_RETURN(cudaMemsetAsync(src.data(), 0, src.bytes(), bench.stream));
  COUPLET_ASSIGN_OR_RETURN(const cudnnHandle_t dnn, device().DnnOf(bench));
  COUPLET_ASSIGN_OR_RETURN(const std::vector<Way> ways, Ways(dnn));
  size_t most = 0;
  for (const Way& way : ways) most = std::max(most, way.workspace_bytes);
  COUPLET_ASSIGN_OR_RETURN(const DeviceBuffer workspace, device().Allocate(most));
  if (tune) {
    COUPLET_RETURN_IF_ERROR(Race(ways, src.data(), dst.data(), workspace.data(), dnn, bench));
    return SetMath(way_.math);
  }
  size_t kept = 0;
  if (const auto choice = device().tuning().Find(Key())) kept = std::strtoull(choice->c_str(), nullptr, 10);
  for (size_t i = kept < ways.size() ? kept : 0; i < ways.size(); ++i) {
    COUPLET_RETURN_IF_ERROR(SetMath(ways[i].math));
    const cudnnStatus_t tried = Convolve(ways[i], dnn, src.data(), dst.data(), workspace.data());
    if (IsRefusal(tried) && i + 1 < ways.size()) continue;
    COUPLET_DEVICE_RETURN(tried);
    COUPLET_DEVICE_RETURN(cudaStreamSynchronize(bench.stream));
    way_ = ways[i];
    return {};
  }
  return DeviceError("cuDNN has no way to do this convolution");
}

// What is kept is the place in the ranking: it is the same as long as library and device are, and Tuning sees
// to that.
Status DnnConv::Race(const std::vector<Way>& ways, const void* src, void* dst, void* workspace, cudnnHandle_t dnn,
                     const Device::Bench& bench) {
  // Where a dense result is brought to its place among other channels.
  Shape place = c_.dst;
  place.c = c_.Stride();
  DeviceBuffer places;
  if (apart_) {
    COUPLET_ASSIGN_OR_RETURN(places, device().Allocate(Bytes(place)));
  }
  void* const placed = apart_ ? places.data() : dst;
  double best_ms = -1.0;
  size_t best = 0;
  std::string times;
  for (size_t i = 0; i < ways.size(); ++i) {
    COUPLET_RETURN_IF_ERROR(SetMath(ways[i].math));
    const Result<double> ms = TimeOnDevice(bench.stream, [&]() -> Status {
      COUPLET_DEVICE_RETURN(Convolve(ways[i], dnn, src, dst, workspace));
      if (ways[i].fused) return {};
      return device().half() ? Finish<__half>(dst, placed, bench.stream) : Finish<float>(dst, placed, bench.stream);
    });
    if (!ms.ok()) continue;
    times += fmt::format(" {}:{:.4f}", i, *ms);
    if (best_ms >= 0.0 && *ms >= best_ms) continue;
    best_ms = *ms;
    best = i;
  }
  if (best_ms < 0.0) return DeviceError("cuDNN has no way to do this convolution");
  way_ = ways[best];
  device().tuning().Keep(Key(), fmt::format("{} ms:{}", best, times));
  return {};
}

Status DnnConv::Prepare(const ConvLayer& spec) {
  has_bias_ = !spec.bias.empty();
  COUPLET_ASSIGN_OR_RETURN(weights_, device().UploadElements(OutputChannelFirst(spec)));
  COUPLET_ASSIGN_OR_RETURN(bias_, device().UploadFloats(spec.bias));
  if (CanFuse()) {
    COUPLET_ASSIGN_OR_RETURN(dnn_bias_, device().UploadElements(spec.bias));
  }
  COUPLET_RETURN_IF_ERROR(DescribeTensors());
  return Choose();
}

template <class T>
Status DnnConv::PadSource(const void* src, void* dst, cudaStream_t stream) const {
  PadShape shape;
  shape.n = group_, shape.ih = c_.src.h, shape.iw = c_.src.w, shape.c = c_.src.c;
  shape.pad_top = c_.pads.top, shape.pad_left = c_.pads.left;
  shape.pad_bottom = c_.pads.bottom, shape.pad_right = c_.pads.right;
  COUPLET_DEVICE_RETURN(LaunchPad<T>(shape, static_cast<const T*>(src), static_cast<T*>(dst), stream));
  return {};
}

// Bias and activation, from dense `src` to the layer's place.
template <class T>
Status DnnConv::Finish(const void* src, void* dst, cudaStream_t stream) const {
  if (src == dst && !has_bias_ && c_.activation == Activation::kNone) return {};
  BiasActivationShape shape;
  shape.pixels = int64_t{group_} * c_.dst.h * c_.dst.w;
  shape.c = c_.dst.c;
  shape.dst_stride = c_.dst_stride;
  shape.activation = c_.activation;
  COUPLET_DEVICE_RETURN(LaunchBiasActivation<T>(shape, static_cast<const T*>(src), nullptr,
                                                has_bias_ ? bias_.as<const float>() : nullptr,
                                                static_cast<T*>(dst), stream));
  return {};
}

Status DnnConv::RunGroup(const void* src, void* dst, void* scratch, Worker& worker) const {
  std::byte* const room = static_cast<std::byte*>(scratch);
  void* const dense = apart_ ? room + PaddedBytes() : dst;
  if (padded_) {
    COUPLET_RETURN_IF_ERROR(device().half() ? PadSource<__half>(src, room, worker.stream())
                                            : PadSource<float>(src, room, worker.stream()));
    src = room;
  }
  COUPLET_ASSIGN_OR_RETURN(const cudnnHandle_t dnn, worker.dnn());
  COUPLET_DEVICE_RETURN(Convolve(way_, dnn, src, dense, room + PaddedBytes() + DenseBytes()));
  if (way_.fused) return {};
  return device().half() ? Finish<__half>(dense, dst, worker.stream())
                         : Finish<float>(dense, dst, worker.stream());
}

Status DnnConv::Run(const RunArgs& args, Worker& worker) const {
  const int64_t pixels = int64_t{c_.dst.h} * c_.dst.w;
  const int64_t dst_photo = pixels * c_.Stride();
  for (int first = 0; first < args.n; first += group_)
    COUPLET_RETURN_IF_ERROR(RunGroup(Photo(args.src[0], first, c_.src.per_image(), device().element_bytes()),
                                     Photo(args.dst, first, dst_photo, device().element_bytes()),
                                     args.scratch, worker));
  return {};
}

}  // namespace

OpResult MakeDnnConv(const Device& device, const ConvLayer& spec) {
  auto conv = std::make_unique<DnnConv>(device, spec);
  if (const Status status = conv->Prepare(spec); !status.ok())
    return Status(status.code(), fmt::format("layer '{}': {}", spec.layer, status.message()));
  return std::unique_ptr<PreparedOp>(std::move(conv));
}

}  // namespace couplet::cuda
