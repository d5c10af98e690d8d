// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/small_ops.h"

#include <cuda_fp16.h>

#include <memory>

#include "kernels/bias_activation.h"
#include "kernels/concat_slice.h"
#include "kernels/depthwise3x3.h"
#include "kernels/first_conv.h"
#include "kernels/global_average.h"
#include "kernels/pad.h"
#include "kernels/pool.h"
#include "kernels/softmax.h"

namespace couplet::cuda {
namespace {

// Calls launch(src, dst, stream) with pointers of the type that activations have.
template <class Launcher>
OpResult MakeKernelOp(const Device& device, const std::string& layer, Launcher launch) {
  if (device.half())
    return MakeOp(device, layer, [launch](const RunArgs& args, Worker& worker) -> Status {
      COUPLET_DEVICE_RETURN(launch(args.n, static_cast<const __half*>(args.src[0]),
                                   static_cast<__half*>(args.dst), worker.stream()));
      return {};
    });
  return MakeOp(device, layer, [launch](const RunArgs& args, Worker& worker) -> Status {
    COUPLET_DEVICE_RETURN(launch(args.n, static_cast<const float*>(args.src[0]),
                                 static_cast<float*>(args.dst), worker.stream()));
    return {};
  });
}

// Floats on the device that a copyable launcher can hold on to.
using Floats = std::shared_ptr<const DeviceBuffer>;
Result<Floats> Upload(const Device& device, std::span<const float> values) {
  COUPLET_ASSIGN_OR_RETURN(DeviceBuffer buffer, device.UploadFloats(values));
  return Floats(std::make_shared<const DeviceBuffer>(std::move(buffer)));
}
// Null when there are none.
const float* Data(const Floats& floats) {
  return floats->as<const float>();
}

}  // namespace

OpResult MakeFirstConv(const Device& device, const Place& place, const Pads& pads,
                       std::span<const float> weights, std::span<const float> bias, Activation activation) {
  COUPLET_ASSIGN_OR_RETURN(const Floats w, Upload(device, weights));
  COUPLET_ASSIGN_OR_RETURN(const Floats b, Upload(device, bias));
  FirstConvShape shape;
  shape.ih = place.src.h, shape.iw = place.src.w, shape.src_stride = place.src.c;
  shape.oh = place.dst.h, shape.ow = place.dst.w, shape.oc = place.dst.c;
  shape.pad_top = pads.top, shape.pad_left = pads.left;
  shape.dst_stride = place.stride;
  shape.activation = activation;
  return MakeKernelOp(device, place.layer,
                      [shape, w, b](int n, const auto* src, auto* dst, cudaStream_t stream) {
                        FirstConvShape batch = shape;
                        batch.n = n;
                        return LaunchFirstConv(batch, src, Data(w), Data(b), dst, stream);
                      });
}

OpResult MakeDepthwise(const Device& device, const Place& place, const DepthwiseAttrs& a,
                       std::span<const float> weights, bool clip_src) {
  COUPLET_ASSIGN_OR_RETURN(const Floats w, Upload(device, weights));
  COUPLET_ASSIGN_OR_RETURN(const Floats b, Upload(device, a.bias));
  const int kh = static_cast<int>(a.weights.dims()[0]), kw = static_cast<int>(a.weights.dims()[1]);
  DepthwiseShape shape{};
  shape.ih = place.src.h, shape.iw = place.src.w, shape.ic = place.src.c;
  shape.oh = place.dst.h, shape.ow = place.dst.w, shape.oc = place.dst.c;
  shape.kh = kh, shape.kw = kw, shape.sh = a.sh, shape.sw = a.sw, shape.dh = a.dh, shape.dw = a.dw;
  shape.pad_top = a.pads.top, shape.pad_left = a.pads.left;
  shape.dst_stride = place.stride;
  shape.activation = a.activation;
  shape.clip_src = clip_src;
  const bool fast =
      kh == 3 && kw == 3 && a.sh == a.sw && a.sh <= 2 && a.dh == 1 && a.dw == 1 && shape.oc == shape.ic;
  return MakeKernelOp(device, place.layer,
                      [shape, fast, w, b](int n, const auto* src, auto* dst, cudaStream_t stream) {
                        DepthwiseShape batch = shape;
                        batch.n = n;
                        return fast ? Depthwise3x3(batch, src, Data(w), Data(b), dst, stream)
                                    : Depthwise(batch, src, Data(w), Data(b), dst, stream);
                      });
}

OpResult MakePool(const Device& device, const Place& place, const PoolAttrs& a) {
  PoolShape shape;
  shape.ih = place.src.h, shape.iw = place.src.w, shape.c = place.src.c;
  shape.oh = place.dst.h, shape.ow = place.dst.w;
  shape.kh = a.kh, shape.kw = a.kw, shape.sh = a.sh, shape.sw = a.sw;
  shape.pad_top = a.pads.top, shape.pad_left = a.pads.left;
  shape.dst_stride = place.stride;
  shape.average = a.kind == PoolAttrs::Kind::kAverage;
  return MakeKernelOp(device, place.layer, [shape](int n, const auto* src, auto* dst, cudaStream_t stream) {
    PoolShape batch = shape;
    batch.n = n;
    return LaunchPool(batch, src, dst, stream);
  });
}

OpResult MakeGlobalAverage(const Device& device, const Place& place, bool clip_src) {
  GlobalAverageShape shape;
  shape.pixels = place.src.h * place.src.w;
  shape.c = place.src.c;
  shape.dst_stride = place.stride;
  shape.clip_src = clip_src;
  return MakeKernelOp(device, place.layer, [shape](int n, const auto* src, auto* dst, cudaStream_t stream) {
    GlobalAverageShape batch = shape;
    batch.n = n;
    return LaunchGlobalAverage(batch, src, dst, stream);
  });
}

OpResult MakeAffine(const Device& device, const Place& place, std::span<const float> scale,
                    std::span<const float> offset, Activation activation) {
  COUPLET_ASSIGN_OR_RETURN(const Floats s, Upload(device, scale));
  COUPLET_ASSIGN_OR_RETURN(const Floats o, Upload(device, offset));
  BiasActivationShape shape;
  shape.c = place.dst.c;
  shape.dst_stride = place.stride;
  shape.activation = activation;
  const int64_t pixels = place.dst.per_image() / place.dst.c;
  return MakeKernelOp(device, place.layer,
                      [shape, pixels, s, o](int n, const auto* src, auto* dst, cudaStream_t stream) {
                        BiasActivationShape batch = shape;
                        batch.pixels = n * pixels;
                        return LaunchBiasActivation(batch, src, Data(s), Data(o), dst, stream);
                      });
}

OpResult MakePad(const Device& device, const Place& place, const Pads& pads) {
  PadShape shape;
  shape.ih = place.src.h, shape.iw = place.src.w, shape.c = place.src.c;
  shape.pad_top = pads.top, shape.pad_left = pads.left, shape.pad_bottom = pads.bottom,
  shape.pad_right = pads.right;
  shape.dst_stride = place.stride;
  return MakeKernelOp(device, place.layer, [shape](int n, const auto* src, auto* dst, cudaStream_t stream) {
    PadShape batch = shape;
    batch.n = n;
    return LaunchPad(batch, src, dst, stream);
  });
}

OpResult MakeSoftmax(const Device& device, const Place& place) {
  SoftmaxShape shape;
  shape.c = place.dst.c;
  shape.dst_stride = place.stride;
  const int rows = place.dst.h * place.dst.w;
  return MakeKernelOp(device, place.layer,
                      [shape, rows](int n, const auto* src, auto* dst, cudaStream_t stream) {
                        SoftmaxShape batch = shape;
                        batch.rows = n * rows;
                        return LaunchSoftmax(batch, src, dst, stream);
                      });
}

OpResult MakeConcat(const Device& device, const Place& place, std::vector<int> channels) {
  const int stride = place.stride != 0 ? place.stride : place.dst.c;
  const int64_t pixels = int64_t{place.dst.h} * place.dst.w;
  const size_t element = device.element_bytes();
  const bool half = device.half();
  return MakeOp(device, place.layer,
                [channels = std::move(channels), stride, pixels, element, half](const RunArgs& args,
                                                                                Worker& worker) -> Status {
                  size_t at = 0;
                  for (size_t i = 0; i < channels.size(); at += static_cast<size_t>(channels[i++])) {
                    void* const slice = static_cast<std::byte*>(args.dst) + at * element;
                    if (args.src[i] == slice) continue;
                    ConcatSliceShape shape;
                    shape.pixels = args.n * pixels;
                    shape.c = channels[i];
                    shape.dst_stride = stride;
                    if (half) {
                      COUPLET_DEVICE_RETURN(LaunchConcatSlice(shape, static_cast<const __half*>(args.src[i]),
                                                              static_cast<__half*>(slice), worker.stream()));
                    } else {
                      COUPLET_DEVICE_RETURN(LaunchConcatSlice(shape, static_cast<const float*>(args.src[i]),
                                                              static_cast<float*>(slice), worker.stream()));
                    }
                  }
                  return {};
                });
}

}  // namespace couplet::cuda
