// The CPU backend: which implementation serves which layer. Memory is plain aligned memory, a run is over
// when it returns.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "runtime/backend.h"
#include "runtime/cpu/head_trainer.h"
#include "runtime/cpu/onednn.h"
#include "runtime/cpu/preprocess.h"
#include "runtime/cpu/small_ops.h"
#include "runtime/cpu/worker.h"
#include "runtime/planner.h"

namespace couplet {
namespace {

using OpResult = Result<std::unique_ptr<PreparedOp>>;

const float* Source(const RunArgs& args, size_t i = 0) {
  return static_cast<const float*>(args.src[i]);
}
float* Target(const RunArgs& args) {
  return static_cast<float*>(args.dst);
}

// A layer that is one function; `body` holds what it needs of the attributes.
template <class Body>
class LoopOp final : public PreparedOp {
 public:
  LoopOp(Body body, size_t scratch_bytes) : body_(std::move(body)), scratch_bytes_(scratch_bytes) {}
  size_t scratch_bytes() const override { return scratch_bytes_; }
  Status run(const RunArgs& args) const override { return body_(args); }

 private:
  Body body_;
  size_t scratch_bytes_;
};
template <class Body>
OpResult MakeLoop(Body body, size_t scratch_bytes = 0) {
  return std::unique_ptr<PreparedOp>(std::make_unique<LoopOp<Body>>(std::move(body), scratch_bytes));
}

// Prepares one layer. Each overload checks the attributes against the shapes and names the implementation.
class Preparer {
 public:
  Preparer(const Layer& layer, std::span<const Shape> src, int threads)
      : layer_(layer), src_(src), dst_(layer.shape), threads_(threads) {}

  OpResult operator()(const InputAttrs&) const {
    return MakeLoop([](const RunArgs&) { return Status(); });  // the session writes the values
  }

  OpResult operator()(const PreprocessAttrs& attrs) const {
    if (dst_.c != 3) return Unfit(fmt::format("a photo has 3 channels, the layer {}", dst_.c));
    if (!(attrs.normalization.std > 0.0f)) return Unfit(fmt::format("std is {}", attrs.normalization.std));
    const auto body = [normalization = attrs.normalization, dst = dst_](const RunArgs& args) {
      for (int i = 0; i < args.n; ++i)
        COUPLET_RETURN_IF_ERROR(cpu::Preprocess(*args.images, static_cast<size_t>(i), dst.h, dst.w,
                                                normalization, args.scratch,
                                                Target(args) + i * dst.per_image()));
      return Status();
    };
    return MakeLoop(body, cpu::PreprocessScratchBytes(dst_.w));
  }

  OpResult operator()(const ConvAttrs& a) const {
    const auto& dims = a.weights.dims();
    if (dims.size() != 4 || dims[2] != src_[0].c || dims[3] != dst_.c) return UnfitWeights(a.weights);
    return ConvolveWindows(a, false);
  }

  OpResult operator()(const DepthwiseAttrs& a) const {
    const auto& dims = a.weights.dims();
    if (dims.size() != 4 || dims[2] != src_[0].c || CheckedMul(dims[2], dims[3]) != dst_.c)
      return UnfitWeights(a.weights);
    return ConvolveWindows(a, true);
  }

  // A 1x1 convolution of a 1x1 picture. The library's inner product would cut the sum among its threads.
  OpResult operator()(const FullyConnectedAttrs& a) const {
    const auto& dims = a.weights.dims();
    const Shape flat = {.n = 1, .h = 1, .w = 1, .c = static_cast<int>(src_[0].per_image())};
    if (dims.size() != 2 || dims[0] != flat.c || dims[1] != dst_.per_image()) return UnfitWeights(a.weights);
    cpu::Convolution c = Common(a);
    c.src = flat;
    c.dst = {.n = 1, .h = 1, .w = 1, .c = static_cast<int>(dst_.per_image())};
    return Convolve(c);
  }

  OpResult operator()(const AffineAttrs& a) const {
    if (src_[0].per_image() != dst_.per_image()) return Unfit("source and result differ in shape");
    if (!FitsChannels(a.scale) || !FitsChannels(a.offset))
      return Unfit("scale or offset is not one a channel");
    return MakeLoop([scale = a.scale, offset = a.offset, dst = dst_](const RunArgs& args) {
      cpu::Affine(Source(args), Target(args), int64_t{args.n} * dst.h * dst.w, dst.c, scale, offset);
      return Status();
    });
  }

  OpResult operator()(const ActivationAttrs& a) const {
    if (src_[0].per_image() != dst_.per_image()) return Unfit("source and result differ in shape");
    return MakeLoop([activation = a.activation, count = dst_.per_image()](const RunArgs& args) {
      cpu::Activate(Source(args), Target(args), args.n * count, activation);
      return Status();
    });
  }

  OpResult operator()(const PoolAttrs& a) const {
    const Shape& src = src_[0];
    if (src.c != dst_.c || !FitsWindow(a.kh, a.kw, a.sh, a.sw, 1, 1, a.pads)) return UnfitWindow();
    if (a.pads.top >= a.kh || a.pads.left >= a.kw || a.pads.bottom >= a.kh || a.pads.right >= a.kw)
      return Unfit("a window lies in the padding alone");
    if (a.kind == PoolAttrs::Kind::kAverage && a.pads == Pads{} && a.kh == src.h && a.kw == src.w)
      return (*this)(GlobalAverageAttrs{});
    return cpu::MakePool(layer_.name, OnePhoto(src), OnePhoto(dst_), a);
  }

  OpResult operator()(const GlobalAverageAttrs&) const {
    if (dst_.per_image() != src_[0].c) return Unfit("the result is not one value a channel");
    return MakeLoop([src = src_[0]](const RunArgs& args) {
      cpu::GlobalAverage(Source(args), Target(args), args.n, int64_t{src.h} * src.w, src.c);
      return Status();
    });
  }

  OpResult operator()(const PadAttrs& a) const {
    if (src_[0].c != dst_.c || src_[0].h + a.pads.top + a.pads.bottom != dst_.h ||
        src_[0].w + a.pads.left + a.pads.right != dst_.w)
      return UnfitWindow();
    return MakeLoop([src = src_[0], pads = a.pads](const RunArgs& args) {
      cpu::Pad(Source(args), Target(args), args.n, src, pads);
      return Status();
    });
  }

  OpResult operator()(const ConcatAttrs&) const {
    std::vector<int> channels;
    int sum = 0;
    for (const Shape& s : src_) {
      if (s.h != dst_.h || s.w != dst_.w) return Unfit("the sources differ in height or width");
      channels.push_back(s.c);
      sum += s.c;
    }
    if (sum != dst_.c) return Unfit(fmt::format("the sources have {} channels, the result {}", sum, dst_.c));
    return MakeLoop([channels, dst = dst_](const RunArgs& args) {
      int at = 0;
      for (size_t i = 0; i < channels.size(); at += channels[i++])
        cpu::CopyChannels(Source(args, i), Target(args), int64_t{args.n} * dst.h * dst.w, channels[i], dst.c,
                          at);
      return Status();
    });
  }

  OpResult operator()(const SoftmaxAttrs&) const {
    if (src_[0].per_image() != dst_.per_image()) return Unfit("source and result differ in shape");
    return MakeLoop([dst = dst_](const RunArgs& args) {
      cpu::Softmax(Source(args), Target(args), int64_t{args.n} * dst.h * dst.w, dst.c);
      return Status();
    });
  }

  OpResult operator()(const IdentityAttrs&) const {
    if (src_[0].per_image() != dst_.per_image()) return Unfit("source and result differ in size");
    return MakeLoop([bytes = static_cast<size_t>(dst_.per_image()) * sizeof(float)](const RunArgs& args) {
      if (args.src[0] != args.dst) std::memcpy(args.dst, args.src[0], static_cast<size_t>(args.n) * bytes);
      return Status();
    });
  }

 private:
  // What the three kinds of convolution share.
  template <class Attrs>
  cpu::Convolution Common(const Attrs& a) const {
    cpu::Convolution c;
    c.layer = layer_.name;
    c.weights = &a.weights;
    c.scale = a.scale;
    c.bias = a.bias;
    c.activation = a.activation;
    return c;
  }
  template <class Attrs>
  OpResult ConvolveWindows(const Attrs& a, bool depthwise) const {
    cpu::Convolution c = Common(a);
    c.src = OnePhoto(src_[0]);
    c.dst = OnePhoto(dst_);
    c.kh = static_cast<int>(a.weights.dims()[0]);
    c.kw = static_cast<int>(a.weights.dims()[1]);
    c.sh = a.sh, c.sw = a.sw, c.dh = a.dh, c.dw = a.dw;
    c.pads = a.pads;
    c.depthwise = depthwise;
    if (!FitsWindow(c.kh, c.kw, c.sh, c.sw, c.dh, c.dw, c.pads)) return UnfitWindow();
    return Convolve(c);
  }
  OpResult Convolve(const cpu::Convolution& c) const {
    if (!FitsChannels(c.scale) || !FitsChannels(c.bias))
      return Unfit("scale or bias is not one an output channel");
    return cpu::MakeConvolution(c, threads_);
  }

  bool FitsChannels(std::span<const float> values) const {
    return values.empty() || static_cast<int64_t>(values.size()) == dst_.c;
  }
  bool FitsWindow(int kh, int kw, int sh, int sw, int dh, int dw, const Pads& pads) const {
    const auto fits = [](int in, int k, int stride, int dilation, int before, int after, int out) {
      const int64_t room = int64_t{in} + before + after - (int64_t{k} - 1) * dilation - 1;
      return k > 0 && stride > 0 && dilation > 0 && before >= 0 && after >= 0 && room >= 0 &&
             room / stride + 1 == out;
    };
    return fits(src_[0].h, kh, sh, dh, pads.top, pads.bottom, dst_.h) &&
           fits(src_[0].w, kw, sw, dw, pads.left, pads.right, dst_.w);
  }
  static Shape OnePhoto(Shape shape) {
    shape.n = 1;
    return shape;
  }

  Status Unfit(std::string_view why) const {
    return BadInput(fmt::format("layer '{}' ({}): {}", layer_.name, KindName(layer_.attrs), why));
  }
  Status UnfitWeights(const ConstTensor& weights) const {
    return Unfit(fmt::format("weights [{}] do not fit source {} and result {}",
                             fmt::join(weights.dims(), ","), ToString(src_[0]), ToString(dst_)));
  }
  Status UnfitWindow() const {
    return Unfit(
        fmt::format("kernel, strides and pads do not lead from {} to {}", ToString(src_[0]), ToString(dst_)));
  }

  const Layer& layer_;
  std::span<const Shape> src_;
  Shape dst_;
  int threads_;
};

class CpuBackend final : public Backend {
 public:
  std::string_view kind() const override { return "cpu"; }
  std::string description() const override { return cpu::LibraryDescription(); }

  // Thread-safe. Neither the batch nor the threads change how a value is computed, so they cannot change a bit either.
  OpResult prepare(const Layer& layer, std::span<const Shape> src, const PrepareOptions& options) override {
    const bool source = std::holds_alternative<InputAttrs>(layer.attrs) ||
                        std::holds_alternative<PreprocessAttrs>(layer.attrs);
    if (src.empty() != source || (src.size() > 1 && !std::holds_alternative<ConcatAttrs>(layer.attrs)))
      return BadInput(
          fmt::format("layer '{}' ({}) has {} sources", layer.name, KindName(layer.attrs), src.size()));
    return std::visit(Preparer(layer, src, options.threads), layer.attrs);
  }

  Result<std::unique_ptr<WorkerContext>> make_worker(int threads) override {
    return std::unique_ptr<WorkerContext>(std::make_unique<cpu::CpuWorker>(threads));
  }

  Result<Buffer> allocate(size_t bytes) override {
    constexpr std::align_val_t kAlignment{kArenaAlignment};
    void* data = ::operator new(std::max<size_t>(bytes, 1), kAlignment, std::nothrow);
    if (data == nullptr)
      return DeviceError(fmt::format("no memory for {} MB of activations; use fewer --threads", bytes >> 20));
    return Buffer(data, bytes, [](void* held, size_t) { ::operator delete(held, kAlignment); });
  }

  Result<Buffer> allocate_pinned(size_t bytes) override { return allocate(bytes); }

  Status copy_in(void* dst, const float* src, size_t count, WorkerContext&) override {
    return Copy(dst, src, count);
  }
  Status copy_out(float* dst, const void* src, size_t count, WorkerContext&) override {
    return Copy(dst, src, count);
  }
  Status wait(WorkerContext&) override { return {}; }
  Result<std::unique_ptr<Timer>> make_timer(WorkerContext&) override { return MakeHostTimer(); }

  Result<std::unique_ptr<HeadTrainer>> make_head_trainer(const HeadShape& shape) override {
    return MakeCpuHeadTrainer(shape);
  }

 private:
  static Status Copy(void* dst, const void* src, size_t count) {
    if (count != 0) std::memcpy(dst, src, count * sizeof(float));
    return {};
  }
};

}  // namespace

std::unique_ptr<Backend> MakeCpuBackend() {
  return std::make_unique<CpuBackend>();
}

}  // namespace couplet
