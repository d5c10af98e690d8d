// The CPU backend: which implementation serves which layer. Memory is plain aligned memory, a run is over
// when it returns.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>

#include "runtime/backend.h"
#include "runtime/cpu/fma_peak.h"
#include "runtime/cpu/head_trainer.h"
#include "runtime/cpu/int8_kernel.h"
#if COUPLET_ONEDNN
#include "runtime/cpu/onednn.h"
#endif
#include "runtime/cpu/own.h"
#include "runtime/cpu/preprocess.h"
#include "runtime/cpu/row_chain.h"
#include "runtime/cpu/small_ops.h"
#include "runtime/cpu/worker.h"
#include "runtime/layer_check.h"
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

// Prepares one layer that CheckLayer has passed: each overload names the implementation.
class Preparer {
 public:
  Preparer(const Layer& layer, std::span<const Shape> src, const PrepareOptions& options, CpuKernels kernels, Precision precision)
      : layer_(layer), src_(src), dst_(layer.shape), options_(options), kernels_(kernels), precision_(precision) {}

  OpResult operator()(const InputAttrs&) const {
    return MakeLoop([](const RunArgs&) { return Status(); });  // the session writes the values
  }

  OpResult operator()(const PreprocessAttrs& attrs) const {
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
    return Convolve(Windows(a, false), precision_);
  }

  OpResult operator()(const DepthwiseAttrs& a) const {
    return Convolve(Windows(a, true), precision_);
  }

  // This layer and the one that reads it.
  OpResult Pair(const DepthwiseAttrs& a, const Preparer& second, const ConvAttrs& b) const {
    return cpu::own::MakeInt8Pair(Windows(a, true), second.Windows(b, false), options_.threads);
  }

  // A 1x1 convolution of a 1x1 picture. The library's inner product would cut the sum among its threads.
  OpResult operator()(const FullyConnectedAttrs& a) const {
    const Shape flat = {.n = 1, .h = 1, .w = 1, .c = static_cast<int>(src_[0].per_image())};
    cpu::Convolution c = Common(a);
    c.src = flat;
    c.dst = {.n = 1, .h = 1, .w = 1, .c = static_cast<int>(dst_.per_image())};
    return Convolve(c, Precision::kFp32);  // a head that was trained: in no hurry, and worth all its bits
  }

  OpResult operator()(const AffineAttrs& a) const {
    return MakeLoop([scale = a.scale, offset = a.offset, dst = dst_](const RunArgs& args) {
      cpu::Affine(Source(args), Target(args), int64_t{args.n} * dst.h * dst.w, dst.c, scale, offset);
      return Status();
    });
  }

  OpResult operator()(const ActivationAttrs& a) const {
    return MakeLoop([activation = a.activation, count = dst_.per_image()](const RunArgs& args) {
      cpu::Activate(Source(args), Target(args), args.n * count, activation);
      return Status();
    });
  }

  OpResult operator()(const PoolAttrs& a) const {
    const Shape& src = src_[0];
    if (IsGlobalAverage(a, src)) return (*this)(GlobalAverageAttrs{});
#if COUPLET_ONEDNN
    if (kernels_ == CpuKernels::kOneDnn) return cpu::MakePool(layer_.name, OnePhoto(src), OnePhoto(dst_), a);
#endif
    return cpu::own::MakePool(OnePhoto(src), OnePhoto(dst_), a, options_.dst_stride);
  }

  OpResult operator()(const GlobalAverageAttrs&) const {
    return MakeLoop([src = src_[0]](const RunArgs& args) {
      cpu::GlobalAverage(Source(args), Target(args), args.n, int64_t{src.h} * src.w, src.c);
      return Status();
    });
  }

  OpResult operator()(const PadAttrs& a) const {
    return MakeLoop([src = src_[0], pads = a.pads](const RunArgs& args) {
      cpu::Pad(Source(args), Target(args), args.n, src, pads);
      return Status();
    });
  }

  OpResult operator()(const ConcatAttrs&) const {
    std::vector<int> channels;
    for (const Shape& s : src_) channels.push_back(s.c);
    return MakeLoop([channels, dst = dst_](const RunArgs& args) {
      int at = 0;
      for (size_t i = 0; i < channels.size(); at += channels[i++])
        if (Source(args, i) != Target(args) + at)  // else it was computed there (writes_slice)
          cpu::CopyChannels(Source(args, i), Target(args), int64_t{args.n} * dst.h * dst.w, channels[i], dst.c,
                          at);
      return Status();
    });
  }

  OpResult operator()(const SoftmaxAttrs&) const {
    return MakeLoop([dst = dst_](const RunArgs& args) {
      cpu::Softmax(Source(args), Target(args), int64_t{args.n} * dst.h * dst.w, dst.c);
      return Status();
    });
  }

  OpResult operator()(const IdentityAttrs&) const {
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
    c.dst_stride = options_.dst_stride;
    return c;
  }
  template <class Attrs>
  cpu::Convolution Windows(const Attrs& a, bool depthwise) const {
    cpu::Convolution c = Common(a);
    c.src = OnePhoto(src_[0]);
    c.dst = OnePhoto(dst_);
    c.kh = static_cast<int>(a.weights.dims()[0]);
    c.kw = static_cast<int>(a.weights.dims()[1]);
    c.sh = a.sh, c.sw = a.sw, c.dh = a.dh, c.dw = a.dw;
    c.pads = a.pads;
    c.depthwise = depthwise;
    return c;
  }
  OpResult Convolve(const cpu::Convolution& c, Precision precision) const {
#if COUPLET_ONEDNN
    if (kernels_ == CpuKernels::kOneDnn) return cpu::MakeConvolution(c, options_.threads);
#endif
    return cpu::own::MakeConvolution(c, precision, options_.threads);
  }
  static Shape OnePhoto(Shape shape) {
    shape.n = 1;
    return shape;
  }

  const Layer& layer_;
  std::span<const Shape> src_;
  Shape dst_;
  const PrepareOptions& options_;
  CpuKernels kernels_;
  Precision precision_;
};

class CpuBackend final : public Backend {
 public:
  CpuBackend(CpuKernels kernels, Precision precision) : kernels_(kernels), precision_(precision) {}

  std::string_view kind() const override { return "cpu"; }
  std::string description() const override {
#if COUPLET_ONEDNN
    if (kernels_ == CpuKernels::kOneDnn) return cpu::LibraryDescription();
#endif
    if (precision_ == Precision::kInt8) return fmt::format("own kernels, int8, {}", Name(cpu::BestInt8Dot()));
    return fmt::format("own kernels, {}", cpu::own::InstructionSet());
  }
  Precision precision() const override { return precision_; }

  // Ours: one more wherever one of them changes a bit.
  std::string numerics() const override {
    if (precision_ == Precision::kInt8) return "own3,int8-2";
    return kernels_ == CpuKernels::kOwn ? "own3" : "";
  }

  // Thread-safe. Neither the batch nor the threads change how a value is computed, so they cannot change a bit either.
  OpResult prepare(const Layer& layer, std::span<const Shape> src, const PrepareOptions& options) override {
    COUPLET_RETURN_IF_ERROR(CheckLayer(layer, src));
    return std::visit(Preparer(layer, src, options, kernels_, precision_), layer.attrs);
  }

  OpResult prepare_pair(const Layer& first, const Layer& second, std::span<const Shape> src, const PrepareOptions& first_options,
                        const PrepareOptions& second_options) override {
    const auto* const depthwise = std::get_if<DepthwiseAttrs>(&first.attrs);
    const auto* const convolution = std::get_if<ConvAttrs>(&second.attrs);
    if (precision_ != Precision::kInt8 || depthwise == nullptr || convolution == nullptr) return std::unique_ptr<PreparedOp>();
    COUPLET_RETURN_IF_ERROR(CheckLayer(first, src));
    Shape between = first.shape;
    between.n = src[0].n;
    COUPLET_RETURN_IF_ERROR(CheckLayer(second, {&between, 1}));
    const Preparer after(second, {&between, 1}, second_options, kernels_, precision_);
    return Preparer(first, src, first_options, kernels_, precision_).Pair(*depthwise, after, *convolution);
  }

  Joined join(std::span<std::unique_ptr<PreparedOp>> ops) const override { return cpu::JoinRows(ops); }

  // What the catalogue's networks concatenate. (An average over the whole picture is no pool here, so none is a slice.)
  bool writes_slice(const Layer& layer, int /*at*/, int /*stride*/) const override {
    if (kernels_ != CpuKernels::kOwn) return false;
    const auto* pool = std::get_if<PoolAttrs>(&layer.attrs);
    return std::holds_alternative<ConvAttrs>(layer.attrs) || (pool != nullptr && pool->kind == PoolAttrs::Kind::kMax);
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

  bool reads_callers_memory() const override { return true; }
  Status copy_in(void* dst, const float* src, size_t count, WorkerContext&) override {
    return Copy(dst, src, count);
  }
  Status copy_out(float* dst, const void* src, size_t count, WorkerContext&) override {
    return Copy(dst, src, count);
  }
  Status wait(WorkerContext&) override { return {}; }
  Result<std::unique_ptr<Timer>> make_timer(WorkerContext&) override { return MakeHostTimer(); }

  // Of one core; what it moves lies in caches whose speed is not known. The first call measures. Not known for bytes.
  double floor_ms(double /*bytes*/, double multiply_adds) const override {
    if (precision_ == Precision::kInt8) return 0.0;
    std::call_once(measured_, [this] { flops_ = cpu::BestFmaPeak(0.02); });
    return 2e3 * multiply_adds / flops_;
  }

  Result<std::unique_ptr<HeadTrainer>> make_head_trainer(const HeadShape& shape) override {
    return MakeCpuHeadTrainer(shape);
  }

 private:
  static Status Copy(void* dst, const void* src, size_t count) {
    if (count != 0) std::memcpy(dst, src, count * sizeof(float));
    return {};
  }

  CpuKernels kernels_;
  Precision precision_;
  mutable std::once_flag measured_;
  mutable double flops_ = 0;
};

}  // namespace

std::vector<CpuKernels> BuiltCpuKernels() {
#if COUPLET_ONEDNN
  return {CpuKernels::kOwn, CpuKernels::kOneDnn};
#else
  return {CpuKernels::kOwn};
#endif
}

std::unique_ptr<Backend> MakeCpuBackend() { return MakeCpuBackend(BuiltCpuKernels().back()); }
std::unique_ptr<Backend> MakeCpuBackend(CpuKernels kernels) { return std::make_unique<CpuBackend>(kernels, Precision::kFp32); }
std::unique_ptr<Backend> MakeInt8CpuBackend() { return std::make_unique<CpuBackend>(CpuKernels::kOwn, Precision::kInt8); }
bool Int8IsFast() { return cpu::BestInt8Dot() != cpu::Int8Dot::kPortable; }

}  // namespace couplet
