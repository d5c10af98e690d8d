// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/pairs.h"

#include <cuda_fp16.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/depthwise_pointwise.h"
#include "runtime/cuda/prepare.h"
#include "runtime/cuda/preprocess_op.h"
#include "runtime/cuda/stopwatch.h"

namespace couplet::cuda {
namespace {

// A photo of the flowers: what the race of the first two layers runs on.
constexpr int kPhotoWidth = 500, kPhotoHeight = 333;

std::string Names(const PairedLayer& first, const PairedLayer& second) {
  return first.layer.name + " + " + second.layer.name;
}

// MobileNet's block. Not in fp32: tensor cores have no exact product.
bool IsBlock(const Device& device, const PairedLayer& first, const PairedLayer& second, const Shape& src) {
  const auto* depthwise = std::get_if<DepthwiseAttrs>(&first.layer.attrs);
  const auto* product = std::get_if<ConvAttrs>(&second.layer.attrs);
  if (depthwise == nullptr || product == nullptr || !IsProduct(*product)) return false;
  const auto& dims = depthwise->weights.dims();
  constexpr int kFirstWithMma = 75;  // kernels/ptx.h
  return device.precision() != Precision::kFp32 && device.capability() >= kFirstWithMma && dims[0] == 3 && dims[1] == 3 && dims[3] == 1 &&
         depthwise->sh == depthwise->sw && depthwise->sh <= 2 && depthwise->dh == 1 && depthwise->dw == 1 &&
         src.c % 4 == 0;
}

bool IsStart(const PairedLayer& first, const PairedLayer& second) {
  const auto* conv = std::get_if<ConvAttrs>(&second.layer.attrs);
  return std::holds_alternative<PreprocessAttrs>(first.layer.attrs) && conv != nullptr &&
         IsFirstConv(*conv, second.layer.shape.c);
}

// A block's weights on the device, and its launch.
class Block final : public Op {
 public:
  Block(const Device& device, std::string layers, const DepthwisePointwiseShape& shape)
      : Op(device, std::move(layers)), shape_(shape) {}
  Status Upload(const DepthwiseAttrs& depthwise, const ConvAttrs& product) {
    COUPLET_ASSIGN_OR_RETURN(depthwise_weights_, device().UploadFloats(Folded(depthwise.weights, depthwise.scale)));
    COUPLET_ASSIGN_OR_RETURN(depthwise_bias_, device().UploadFloats(depthwise.bias));
    COUPLET_ASSIGN_OR_RETURN(bias_, device().UploadFloats(product.bias));
    const std::vector<float> weights = Folded(product.weights, product.scale);
    return device().half() ? Pack<__half>(weights) : Pack<float>(weights);
  }

 protected:
  Status Run(const RunArgs& args, Worker& worker) const override {
    return device().half() ? Queue<__half>(args, worker) : Queue<float>(args, worker);
  }

 private:
  template <class T>
  Status Pack(const std::vector<float>& weights) {
    const int ic = shape_.depthwise.ic;
    std::vector<T> packed(PackedPointwiseCount(ic, shape_.oc, static_cast<const T*>(nullptr)));
    PackPointwise(ic, shape_.oc, weights.data(), packed.data());
    COUPLET_ASSIGN_OR_RETURN(packed_, device().Upload(packed.data(), packed.size() * sizeof(T)));
    return {};
  }
  template <class T>
  Status Queue(const RunArgs& args, Worker& worker) const {
    DepthwisePointwiseShape shape = shape_;
    shape.depthwise.n = args.n;
    COUPLET_DEVICE_RETURN(DepthwisePointwise(shape, static_cast<const T*>(args.src[0]),
                                             depthwise_weights_.as<const float>(), depthwise_bias_.as<const float>(),
                                             packed_.as<const T>(), bias_.as<const float>(),
                                             static_cast<T*>(args.dst), worker.stream()));
    return {};
  }

  DepthwisePointwiseShape shape_;
  DeviceBuffer depthwise_weights_, depthwise_bias_, packed_, bias_;
};

// The block clips its own result even where it might leave that to its readers: there it costs nothing.
OpResult MakeBlock(const Device& device, const PairedLayer& first, const PairedLayer& second, const Shape& src) {
  const auto& depthwise = std::get<DepthwiseAttrs>(first.layer.attrs);
  const auto& product = std::get<ConvAttrs>(second.layer.attrs);
  DepthwisePointwiseShape shape{};
  DepthwiseShape& d = shape.depthwise;
  d.ih = src.h, d.iw = src.w, d.ic = d.oc = src.c;
  d.oh = first.layer.shape.h, d.ow = first.layer.shape.w;
  d.kh = d.kw = 3, d.sh = depthwise.sh, d.sw = depthwise.sw, d.dh = d.dw = 1;
  d.pad_top = depthwise.pads.top, d.pad_left = depthwise.pads.left;
  d.activation = depthwise.activation;
  d.clip_src = first.options.clip_src;
  shape.oc = second.layer.shape.c;
  shape.dst_stride = second.options.dst_stride;
  shape.activation = product.activation;
  auto block = std::make_unique<Block>(device, Names(first, second), shape);
  COUPLET_RETURN_IF_ERROR(block->Upload(depthwise, product));
  return std::unique_ptr<PreparedOp>(std::move(block));
}

OpResult MakeStart(const Device& device, const PairedLayer& first, const PairedLayer& second) {
  const auto& conv = std::get<ConvAttrs>(second.layer.attrs);
  FirstConvShape shape{};
  shape.ih = first.layer.shape.h, shape.iw = first.layer.shape.w;
  shape.oh = second.layer.shape.h, shape.ow = second.layer.shape.w, shape.oc = second.layer.shape.c;
  shape.pad_top = conv.pads.top, shape.pad_left = conv.pads.left;
  shape.dst_stride = second.options.dst_stride;
  shape.activation = conv.activation;
  return MakePreprocessFirstConv(device, Names(first, second), first.layer.shape,
                                 std::get<PreprocessAttrs>(first.layer.attrs).normalization,
                                 second.options.max_batch, shape, Folded(conv.weights, conv.scale), conv.bias);
}

std::string Key(const PairedLayer& first, const PairedLayer& second, const Shape& src) {
  const Shape& between = first.layer.shape;
  const Shape& dst = second.layer.shape;
  const int n = GroupOf(second.options.max_batch), stride = second.options.dst_stride;
  if (const auto* d = std::get_if<DepthwiseAttrs>(&first.layer.attrs))
    return fmt::format("block {}x{}x{}x{} to {}x{}x{} s {} p {}x{} dst {} clip {}", n, src.h, src.w, src.c, dst.h,
                       dst.w, dst.c, d->sh, d->pads.top, d->pads.left, stride, first.options.clip_src);
  return fmt::format("start {}x{}x{} to {}x{}x{} dst {}", n, between.h, between.w, dst.h, dst.w, dst.c, stride);
}

// What the two ways are timed on: a group of photos, or a source of noise.
struct Track {
  PinnedBuffer bytes;  // as a run has them: another copy would take longer than the layers
  std::vector<ImageEntry> entries;
  ImageBatch images;
  DeviceBuffer src, between, dst, scratch;

  Status Make(const Device& device, const PairedLayer& first, const PairedLayer& second, const Shape& from,
              size_t scratch_bytes) {
    const int64_t n = GroupOf(second.options.max_batch);
    const size_t element = device.element_bytes();
    const int64_t pixels = int64_t{second.layer.shape.h} * second.layer.shape.w;
    const int stride = second.options.dst_stride != 0 ? second.options.dst_stride : second.layer.shape.c;
    if (std::holds_alternative<PreprocessAttrs>(first.layer.attrs)) {
      COUPLET_RETURN_IF_ERROR(AddPhotos(static_cast<int>(n)));
    } else {
      COUPLET_ASSIGN_OR_RETURN(src, device.UploadNoise(static_cast<size_t>(n * from.per_image())));
    }
    COUPLET_ASSIGN_OR_RETURN(between,
                             device.Allocate(static_cast<size_t>(n * first.layer.shape.per_image()) * element));
    COUPLET_ASSIGN_OR_RETURN(dst, device.Allocate(static_cast<size_t>(n * pixels * stride) * element));
    COUPLET_ASSIGN_OR_RETURN(scratch, device.Allocate(std::max<size_t>(scratch_bytes, 1)));
    return {};
  }
  Status AddPhotos(int n) {
    constexpr size_t kBytes = size_t{3} * kPhotoWidth * kPhotoHeight;
    for (int i = 0; i < n; ++i) entries.push_back({kPhotoWidth, kPhotoHeight, static_cast<size_t>(i) * kBytes, 0});
    const size_t size = static_cast<size_t>(n) * kBytes;
    COUPLET_ASSIGN_OR_RETURN(bytes, PinnedBuffer::Allocate(size));
    auto* const values = bytes.as<uint8_t>();
    for (size_t i = 0; i < size; ++i) values[i] = static_cast<uint8_t>((i * 2654435761u) >> 13);
    images = {{values, size}, entries};
    return {};
  }
};

Result<bool> FusedWins(const Device& device, const PairedLayer& first, const PairedLayer& second,
                       std::span<const Shape> src, const PreparedOp& fused, const std::string& key) {
  Shape between = first.layer.shape;
  between.n = second.options.max_batch;
  COUPLET_ASSIGN_OR_RETURN(const auto one, PrepareLayer(device, first.layer, src, first.options));
  COUPLET_ASSIGN_OR_RETURN(const auto two, PrepareLayer(device, second.layer, std::span(&between, 1), second.options));
  const auto fused_state = fused.make_state(), one_state = one->make_state(), two_state = two->make_state();
  Track track;
  COUPLET_RETURN_IF_ERROR(track.Make(device, first, second, src.empty() ? Shape() : src[0],
                                     std::max({one->scratch_bytes(), two->scratch_bytes(), fused.scratch_bytes()})));
  COUPLET_ASSIGN_OR_RETURN(Stream stream, MakeStream());
  Worker worker(std::move(stream), DeviceBuffer());

  const void* const from = track.src.data();
  const void* const middle = track.between.data();
  const auto run = [&](const PreparedOp& op, OpState* state, const void* const* source, void* dst) {
    RunArgs args;
    args.n = GroupOf(second.options.max_batch);
    if (*source != nullptr) args.src = std::span(source, 1);
    args.images = &track.images;
    args.dst = dst;
    args.scratch = track.scratch.data();
    args.state = state;
    args.worker = &worker;
    return op.run(args);
  };
  const Device::Bench bench = device.TakeBench();  // nobody else is timed, or times, meanwhile
  const auto together = [&] { return run(fused, fused_state.get(), &from, track.dst.data()); };
  const auto apart = [&]() -> Status {
    COUPLET_RETURN_IF_ERROR(run(*one, one_state.get(), &from, track.between.data()));
    return run(*two, two_state.get(), &middle, track.dst.data());
  };
  COUPLET_ASSIGN_OR_RETURN(const double fused_ms, TimeOnDevice(worker.stream(), together));
  COUPLET_ASSIGN_OR_RETURN(const double apart_ms, TimeOnDevice(worker.stream(), apart));
  const bool wins = fused_ms < apart_ms;
  device.tuning().Keep(key, fmt::format("{} ms: fused {:.4f} apart {:.4f}", wins ? "fused" : "apart", fused_ms,
                                        apart_ms));
  return wins;
}

}  // namespace

OpResult PreparePair(const Device& device, const PairedLayer& first, const PairedLayer& second,
                     std::span<const Shape> src) {
  const auto nothing = [] { return std::unique_ptr<PreparedOp>(); };
  const bool start = IsStart(first, second);
  if (!start && (src.size() != 1 || !IsBlock(device, first, second, src[0]))) return nothing();
  const Shape from = src.empty() ? Shape() : src[0];
  const std::string key = Key(first, second, from);
  const auto kept = device.tuning().Find(key);
  if (kept ? !kept->starts_with("fused") : !device.options().tune) return nothing();
  COUPLET_ASSIGN_OR_RETURN(auto fused,
                           start ? MakeStart(device, first, second) : MakeBlock(device, first, second, from));
  if (kept) return fused;
  COUPLET_ASSIGN_OR_RETURN(const bool wins, FusedWins(device, first, second, src, *fused, key));
  return wins ? std::move(fused) : nothing();
}

}  // namespace couplet::cuda
