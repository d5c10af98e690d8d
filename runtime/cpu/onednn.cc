// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/onednn.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "runtime/cpu/bands.h"
#include "runtime/cpu/worker.h"
#include "runtime/planner.h"

namespace couplet::cpu {
namespace {

using dnnl::memory;

const dnnl::engine& CpuEngine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

// The distribution's library is an OpenMP build: a primitive is made for, and has to run with, the calling
// thread's number of OpenMP threads. That number belongs to each thread, so no other is disturbed.
void StayOnThisThread() {
  if (omp_get_max_threads() != 1) omp_set_num_threads(1);
}

memory::desc Nhwc(const Shape& shape) {
  return {{1, shape.c, shape.h, shape.w}, memory::data_type::f32, memory::format_tag::nhwc};
}

// A primitive and what it is run with. Weights and bias are empty for a pool.
struct Kernel {
  template <class PrimitiveDesc>
  Kernel(const PrimitiveDesc& desc, dnnl::primitive made)
      : primitive(std::move(made)),
        src(desc.src_desc()),
        dst(desc.dst_desc()),
        scratch(desc.scratchpad_desc()) {}
  dnnl::primitive primitive;
  memory::desc src, dst, scratch;
};

// What one thread keeps to run a kernel.
struct KernelState {
  memory src, dst, scratch;
  std::array<dnnl_exec_arg_t, 5> args{};
  int count = 0;
};
struct Lane {
  dnnl::stream stream{CpuEngine()};
  std::vector<KernelState> kernels;
};
struct WorkerState final : OpState {
  std::vector<Lane> lanes;
};

// Kernels run once a photo, or once a band of its rows: the first for all bands of full height, the second, where
// there is one, for a last band that is lower.
class PrimitiveOp final : public PreparedOp {
 public:
  PrimitiveOp(std::vector<Kernel> kernels, const Bands& bands, int threads)
      : kernels_(std::move(kernels)), bands_(bands), lanes_(bands.whole() ? 1 : threads) {
    for (const Kernel& kernel : kernels_) edge_at_ = std::max(edge_at_, AlignUp(kernel.scratch.get_size()));
    lane_bytes_ = edge_at_ + AlignUp(bands_.edge_bytes());
  }

  void SetWeights(memory weights, memory bias) {
    weights_ = std::move(weights);
    bias_ = std::move(bias);
  }

  size_t scratch_bytes() const override { return static_cast<size_t>(lanes_) * lane_bytes_; }

  std::unique_ptr<OpState> make_state() const override {
    auto state = std::make_unique<WorkerState>();
    state->lanes.resize(static_cast<size_t>(lanes_));
    for (Lane& lane : state->lanes)
      for (const Kernel& kernel : kernels_) lane.kernels.push_back(MakeKernelState(kernel));
    return state;
  }

  Status run(const RunArgs& args) const override {
    auto& state = static_cast<WorkerState&>(*args.state);
    const auto* src = static_cast<const float*>(args.src[0]);
    auto* dst = static_cast<float*>(args.dst);
    auto* scratch = static_cast<std::byte*>(args.scratch);
    std::atomic<int> failure{dnnl_success};
    const auto run_band = [&](int lane, int index) {
      const int photo = index / bands_.count;
      const auto at = static_cast<size_t>(lane);
      const dnnl_status_t status =
          RunBand(src + photo * bands_.src.per_image(), dst + photo * bands_.dst.per_image(), index % bands_.count,
                  scratch + at * lane_bytes_, state.lanes[at]);
      if (status != dnnl_success) failure.store(status, std::memory_order_relaxed);
    };
    const int pieces = args.n * bands_.count;
    ForEachPiece(args.worker, lanes_, pieces, run_band);
    if (const int status = failure.load(std::memory_order_relaxed); status != dnnl_success)
      return Internal(fmt::format("oneDNN could not run a layer (status {})", status));
    return {};
  }

 private:
  KernelState MakeKernelState(const Kernel& kernel) const {
    KernelState state;
    const auto add = [&](int name, const memory& held) {
      state.args[static_cast<size_t>(state.count++)] = {name, held.get()};
    };
    add(DNNL_ARG_SRC, state.src = memory(kernel.src, CpuEngine(), nullptr));
    add(DNNL_ARG_DST, state.dst = memory(kernel.dst, CpuEngine(), nullptr));
    if (weights_) {
      add(DNNL_ARG_WEIGHTS, weights_);
      add(DNNL_ARG_BIAS, bias_);
    }
    if (kernel.scratch.get_size() != 0)
      add(DNNL_ARG_SCRATCHPAD, state.scratch = memory(kernel.scratch, CpuEngine(), nullptr));
    return state;
  }

  // `src`, `dst`: of the photo.
  dnnl_status_t RunBand(const float* src, float* dst, int band, std::byte* scratch, const Lane& lane) const {
    StayOnThisThread();
    const int rows = bands_.src_rows(bands_.dst_rows_of(band)), first = bands_.src_first(band);
    const int64_t row = int64_t{bands_.src.w} * bands_.src.c;
    const float* from = src + first * row;
    if (first < 0 || first + rows > bands_.src.h) {
      auto* edge = reinterpret_cast<float*>(scratch + edge_at_);
      const int begin = std::max(first, 0), end = std::min(first + rows, bands_.src.h);
      float* to = std::fill_n(edge, (begin - first) * row, 0.0f);
      to = std::copy(src + begin * row, src + end * row, to);
      std::fill(to, edge + rows * row, 0.0f);
      from = edge;
    }
    const size_t at = band == bands_.count - 1 ? kernels_.size() - 1 : 0;
    const KernelState& kernel = lane.kernels[at];
    dst += bands_.dst_first(band) * int64_t{bands_.dst.w} * bands_.dst.c;
    dnnl_status_t status = dnnl_memory_set_data_handle(kernel.src.get(), const_cast<float*>(from));
    if (status == dnnl_success) status = dnnl_memory_set_data_handle(kernel.dst.get(), dst);
    if (status == dnnl_success && kernel.scratch) status = dnnl_memory_set_data_handle(kernel.scratch.get(), scratch);
    if (status != dnnl_success) return status;
    return dnnl_primitive_execute(kernels_[at].primitive.get(), lane.stream.get(), kernel.count, kernel.args.data());
  }

  std::vector<Kernel> kernels_;
  memory weights_, bias_;
  Bands bands_;
  int lanes_;
  // A lane's scratch: the library's own, then rows of a band that lies partly in the padding.
  size_t edge_at_ = 0, lane_bytes_ = 0;
};

dnnl::primitive_attr Attributes(Activation activation) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attr.set_fpmath_mode(dnnl::fpmath_mode::strict);  // whatever the environment says
  if (activation == Activation::kNone) return attr;
  const bool relu6 = activation == Activation::kRelu6;
  const auto algorithm = relu6 ? dnnl::algorithm::eltwise_clip : dnnl::algorithm::eltwise_relu;
  dnnl::post_ops post_ops;
#if DNNL_VERSION_MAJOR >= 3
  post_ops.append_eltwise(algorithm, 0.0f, relu6 ? 6.0f : 0.0f);
#else
  post_ops.append_eltwise(1.0f, algorithm, 0.0f, relu6 ? 6.0f : 0.0f);
#endif
  attr.set_post_ops(post_ops);
  return attr;
}

// TensorFlow's layout of the weights, in the library's order of dimensions (strides in floats).
memory::desc TensorFlowWeights(const memory::dims& dims, const Convolution& c) {
  const memory::dim ic = c.src.c, oc = c.dst.c;
  if (!c.depthwise) return {dims, memory::data_type::f32, memory::dims{1, oc, c.kw * ic * oc, ic * oc}};
  return {dims, memory::data_type::f32, memory::dims{oc / ic, 1, 1, c.kw * oc, oc}};
}

// Of `rows` rows of the result.
dnnl::convolution_forward::primitive_desc DescribeConvolution(const Convolution& c, const Bands& bands, int rows,
                                                              const memory::dims& weights) {
  const bool whole = bands.whole();  // else rows of padding come as zeros
  const memory::desc src = Nhwc({.n = 1, .h = bands.src_rows(rows), .w = c.src.w, .c = c.src.c});
  const memory::desc dst = Nhwc({.n = 1, .h = rows, .w = c.dst.w, .c = c.dst.c});
  const memory::desc packed(weights, memory::data_type::f32, memory::format_tag::any);
  const memory::desc bias({c.dst.c}, memory::data_type::f32, memory::format_tag::x);
  const memory::dims strides = {c.sh, c.sw}, dilates = {c.dh - 1, c.dw - 1};
  const memory::dims before = {whole ? c.pads.top : 0, c.pads.left}, after = {whole ? c.pads.bottom : 0, c.pads.right};
  constexpr auto kKind = dnnl::prop_kind::forward_inference;
  constexpr auto kDirect = dnnl::algorithm::convolution_direct;  // Winograd rounds worse
#if DNNL_VERSION_MAJOR >= 3
  return {CpuEngine(), kKind,   kDirect, src,    packed, bias,
          dst,         strides, dilates, before, after,  Attributes(c.activation)};
#else
  return {{kKind, kDirect, src, packed, bias, dst, strides, dilates, before, after},
          Attributes(c.activation),
          CpuEngine()};
#endif
}

dnnl::pooling_forward::primitive_desc DescribePool(const Shape& src, const Shape& dst, const PoolAttrs& p) {
  const auto algorithm = p.kind == PoolAttrs::Kind::kMax ? dnnl::algorithm::pooling_max
                                                         : dnnl::algorithm::pooling_avg_exclude_padding;
  const memory::dims strides = {p.sh, p.sw}, kernel = {p.kh, p.kw};
  const memory::dims before = {p.pads.top, p.pads.left}, after = {p.pads.bottom, p.pads.right};
  constexpr auto kKind = dnnl::prop_kind::forward_inference;
  const auto attr = Attributes(Activation::kNone);
#if DNNL_VERSION_MAJOR >= 3
  return {CpuEngine(), kKind, algorithm, Nhwc(src), Nhwc(dst), strides, kernel, {0, 0}, before, after, attr};
#else
  return {{kKind, algorithm, Nhwc(src), Nhwc(dst), strides, kernel, before, after}, attr, CpuEngine()};
#endif
}

// A weights layout with at most its first dimension (output channels, or groups) cut into blocks: what the
// library picks for float convolutions with AVX-512.
struct BlockedLayout {
  memory::dims padded, strides;  // in blocks along the first dimension
  memory::dim block = 1;
};

// nullopt when `desc` is laid out in another way.
std::optional<BlockedLayout> FindBlockedLayout(const memory::desc& desc, const memory::dims& dims) {
  BlockedLayout layout;
#if DNNL_VERSION_MAJOR >= 3
  if (desc.get_format_kind() != memory::format_kind::blocked) return std::nullopt;
  layout.padded = desc.get_padded_dims();
  layout.strides = desc.get_strides();
  const memory::dims blocks = desc.get_inner_blks(), cut = desc.get_inner_idxs();
#else
  if (desc.data.format_kind != dnnl_blocked || desc.data.extra.flags != 0) return std::nullopt;
  const auto& blocking = desc.data.format_desc.blocking;
  const auto list = [](const dnnl_dim_t* values, size_t count) {
    return memory::dims(values, values + count);
  };
  layout.padded = list(desc.data.padded_dims, dims.size());
  layout.strides = list(blocking.strides, dims.size());
  const memory::dims blocks = list(blocking.inner_blks, static_cast<size_t>(blocking.inner_nblks));
  const memory::dims cut = list(blocking.inner_idxs, static_cast<size_t>(blocking.inner_nblks));
#endif
  if (blocks.size() > 1 || (blocks.size() == 1 && cut[0] != 0)) return std::nullopt;
  if (blocks.size() == 1) layout.block = blocks[0];
  if (!std::equal(dims.begin() + 1, dims.end(), layout.padded.begin() + 1)) return std::nullopt;
  memory::dim floats = 1;
  for (const memory::dim size : layout.padded) floats *= size;
  if (desc.get_size() != static_cast<size_t>(floats) * sizeof(float)) return std::nullopt;
  return layout;
}

void Scale(float* values, const float* scale, memory::dim count) {
  for (memory::dim i = 0; i < count; ++i) values[i] *= scale[i];
}

// Copies the weights straight to their place, times scale. Twice as fast as the library's reorder, which
// would need an aligned copy first and code made for each shape: more than half of what preparing Inception
// took. REQUIRES: one weight a group where there are groups.
void PackBlocks(const Convolution& c, const BlockedLayout& layout, float* packed) {
  const size_t kernel = layout.strides.size() - 2;  // dims end with kh, kw
  const memory::dim ic = c.depthwise ? 1 : c.src.c, oc = c.dst.c;
  size_t row = 0;  // of oc weights
  for (memory::dim h = 0; h < c.kh; ++h)
    for (memory::dim w = 0; w < c.kw; ++w)
      for (memory::dim i = 0; i < ic; ++i, ++row) {
        float* dst =
            packed + h * layout.strides[kernel] + w * layout.strides[kernel + 1] + i * layout.strides[1];
        for (memory::dim o = 0; o < layout.padded[0]; o += layout.block, dst += layout.strides[0]) {
          const memory::dim count = std::clamp<memory::dim>(oc - o, 0, layout.block);
          c.weights->copy_to(dst, row * static_cast<size_t>(oc) + static_cast<size_t>(o),
                             static_cast<size_t>(count));
          if (!c.scale.empty()) Scale(dst, c.scale.data() + o, count);
          std::fill_n(dst + count, layout.block - count, 0.0f);
        }
      }
}

// By the library, for any layout.
void Reorder(const Convolution& c, const memory::dims& dims, memory& packed) {
  std::vector<float> plain = Folded(*c.weights, c.scale);
  memory source(TensorFlowWeights(dims, c), CpuEngine(), plain.data());
  dnnl::stream stream(CpuEngine());
  dnnl::reorder(source, packed).execute(stream, source, packed);
  stream.wait();
}

// Weights times scale, in the layout the primitive asks for.
memory Pack(const Convolution& c, const memory::dims& dims, const memory::desc& packed_desc) {
  memory packed(packed_desc, CpuEngine());
  const auto layout = FindBlockedLayout(packed_desc, dims);
  if (layout && (!c.depthwise || c.dst.c == c.src.c))
    PackBlocks(c, *layout, static_cast<float*>(packed.get_data_handle()));
  else
    Reorder(c, dims, packed);
  return packed;
}

memory MakeBias(const Convolution& c) {
  memory bias({{c.dst.c}, memory::data_type::f32, memory::format_tag::x}, CpuEngine());
  auto* values = static_cast<float*>(bias.get_data_handle());
  if (c.bias.empty())
    std::fill_n(values, c.dst.c, 0.0f);
  else
    std::copy(c.bias.begin(), c.bias.end(), values);
  return bias;
}

Status Refused(std::string_view layer, const char* kind, const dnnl::error& error) {
  return Internal(fmt::format("layer '{}' ({}): oneDNN has no primitive for it ({}, status {})", layer, kind,
                              error.message, static_cast<int>(error.status)));
}

}  // namespace

Result<std::unique_ptr<PreparedOp>> MakeConvolution(const Convolution& c, int threads) {
  const memory::dim groups = c.src.c;
  const memory::dims dims = c.depthwise ? memory::dims{groups, c.dst.c / groups, 1, c.kh, c.kw}
                                        : memory::dims{c.dst.c, c.src.c, c.kh, c.kw};
  try {
    StayOnThisThread();
    Bands bands = CutIntoBands(c);
    auto desc = DescribeConvolution(c, bands, bands.dst_rows, dims);
    std::vector<Kernel> kernels;
    if (bands.last_dst_rows() != bands.dst_rows) {
      const auto last = DescribeConvolution(c, bands, bands.last_dst_rows(), dims);
      if (last.weights_desc() == desc.weights_desc()) {
        kernels.emplace_back(last, dnnl::convolution_forward(last));
      } else {  // the two cannot share weights
        bands = OneBand(c.src, c.dst);
        desc = DescribeConvolution(c, bands, bands.dst_rows, dims);
      }
    }
    kernels.emplace(kernels.begin(), desc, dnnl::convolution_forward(desc));
    auto op = std::make_unique<PrimitiveOp>(std::move(kernels), bands, threads);
    op->SetWeights(Pack(c, dims, desc.weights_desc()), MakeBias(c));
    return std::unique_ptr<PreparedOp>(std::move(op));
  } catch (const dnnl::error& error) {
    return Refused(c.layer, "convolution", error);
  }
}

Result<std::unique_ptr<PreparedOp>> MakePool(std::string_view layer, const Shape& src, const Shape& dst,
                                             const PoolAttrs& attrs) {
  try {
    StayOnThisThread();
    const auto desc = DescribePool(src, dst, attrs);
    std::vector<Kernel> kernels;
    kernels.emplace_back(desc, dnnl::pooling_forward(desc));
    return std::unique_ptr<PreparedOp>(std::make_unique<PrimitiveOp>(std::move(kernels), OneBand(src, dst), 1));
  } catch (const dnnl::error& error) {
    return Refused(layer, "pool", error);
  }
}

std::string LibraryDescription() {
  const dnnl_version_t* version = dnnl_version();
  const char* instructions = "SSE4.1 or less";
  const auto isa = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto has = [&](dnnl::cpu_isa level) {
    return (isa & static_cast<unsigned>(level)) == static_cast<unsigned>(level);
  };
  if (has(dnnl::cpu_isa::avx2)) instructions = "AVX2";
  if (has(dnnl::cpu_isa::avx512_core)) instructions = "AVX-512";
  return fmt::format("oneDNN {}.{}.{}, {}", version->major, version->minor, version->patch, instructions);
}

}  // namespace couplet::cpu
