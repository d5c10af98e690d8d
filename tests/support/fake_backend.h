// For the session's tests: a tiny backend that trips over every mistake in memory, random networks for it,
// and what they should give. Fresh memory is NaN with canaries around it; each op fills its dst and scratch
// with NaN before it reads its sources.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "kernels/philox.h"
#include "runtime/session.h"
#include "tests/support/test.h"

namespace couplet::test {

constexpr size_t kCanary = 128;
inline std::atomic<int> broken_canaries{0};

inline void FreeWithCanaries(void* data, size_t bytes) {
  auto* memory = static_cast<unsigned char*>(data) - kCanary;
  for (size_t i = 0; i < kCanary; ++i)
    if (memory[i] != 0xC5 || memory[kCanary + bytes + i] != 0xC5) {
      ++broken_canaries;
      break;
    }
  std::free(memory);
}

class FakeWorker : public WorkerContext {};
class FakeState : public OpState {
 public:
  explicit FakeState(int64_t size) : value(static_cast<size_t>(size)) {}
  std::vector<float> value;  // dense
  std::atomic<bool> busy{false};
};

class FakeOp : public PreparedOp {
 public:
  FakeOp(Layer layer, std::vector<Shape> src, const PrepareOptions& options, size_t scratch)
      : layer_(std::move(layer)),
        src_(std::move(src)),
        max_batch_(options.max_batch),
        stride_(options.dst_stride != 0 ? options.dst_stride : layer_.shape.c),
        scratch_(scratch) {}
  size_t scratch_bytes() const override { return scratch_; }
  std::unique_ptr<OpState> make_state() const override {
    return std::make_unique<FakeState>(max_batch_ * layer_.shape.per_image());
  }

  bool joins() const { return std::holds_alternative<AffineAttrs>(layer_.attrs) && stride_ == layer_.shape.c; }
  int64_t elements() const { return max_batch_ * layer_.shape.per_image(); }

  Status run(const RunArgs& args) const override {
    if (args.n < 1 || args.n > max_batch_ || args.worker == nullptr) return Internal("bad arguments");
    if (args.src.size() != src_.size()) return Internal("bad sources");
    auto* state = dynamic_cast<FakeState*>(args.state);
    if (state == nullptr || state->busy.exchange(true)) return Internal("state is shared");
    if (stride_ == layer_.shape.c && reinterpret_cast<uintptr_t>(args.dst) % kArenaAlignment != 0)
      return Internal("dst is not aligned");
    if (scratch_ != 0 && reinterpret_cast<uintptr_t>(args.scratch) % kArenaAlignment != 0)
      return Internal("scratch is not aligned");
    std::vector<float>& value = state->value;
    std::fill(value.begin(), value.end(), NAN);
    if (std::holds_alternative<ConcatAttrs>(layer_.attrs)) {
      Concatenate(args);
    } else {
      Scatter(value, args.dst);
      for (int row = 0; row < args.n; ++row) RunRow(args, row, value.data() + row * layer_.shape.per_image());
      Scatter(value, args.dst);
    }
    if (scratch_ != 0) std::memset(args.scratch, 0xFF, scratch_);
    state->busy = false;
    if (layer_.name == "fails") return DeviceError("layer fails: it was asked to");
    return {};
  }

 private:
  // Sources that lie in their place already are left alone; the others are copied, into NaN.
  void Concatenate(const RunArgs& args) const {
    auto* dst = static_cast<float*>(args.dst);
    const int pixels = layer_.shape.h * layer_.shape.w;
    int at = 0;
    for (size_t s = 0; s < src_.size(); at += src_[s++].c) {
      if (args.src[s] == dst + at) continue;
      for (int p = 0; p < max_batch_ * pixels; ++p)
        for (int c = 0; c < src_[s].c; ++c)
          dst[p * layer_.shape.c + at + c] =
              p < args.n * pixels ? static_cast<const float*>(args.src[s])[p * src_[s].c + c] : NAN;
    }
  }
  void Scatter(const std::vector<float>& value, void* dst) const {
    const size_t channels = static_cast<size_t>(layer_.shape.c);
    for (size_t i = 0; i < value.size(); ++i)
      static_cast<float*>(dst)[i / channels * static_cast<size_t>(stride_) + i % channels] = value[i];
  }
  void RunRow(const RunArgs& args, int row, float* dst) const {
    const int64_t size = layer_.shape.per_image();
    if (std::holds_alternative<PreprocessAttrs>(layer_.attrs)) {
      const ImageEntry& entry = args.images->images[static_cast<size_t>(row)];
      for (int64_t i = 0; i < size; ++i) dst[i] = static_cast<float>(args.images->bytes[entry.offset] + i);
    } else {
      const auto& affine = std::get<AffineAttrs>(layer_.attrs);
      const float* src = static_cast<const float*>(args.src[0]) + row * size;
      for (int64_t i = 0; i < size; ++i)
        dst[i] = src[i] * affine.scale[static_cast<size_t>(i % layer_.shape.c)] +
                 affine.offset[static_cast<size_t>(i % layer_.shape.c)];
    }
  }
  Layer layer_;
  std::vector<Shape> src_;
  int max_batch_, stride_;
  size_t scratch_;
};

// Ops as one. Poisons what it writes to before it reads.
class FakeJoined : public PreparedOp {
 public:
  // between: how many numbers each op but the last gives
  FakeJoined(std::vector<std::unique_ptr<PreparedOp>> ops, std::vector<int64_t> between) : ops_(std::move(ops)), between_(std::move(between)) {}
  int64_t elements() const { return dynamic_cast<const FakeOp&>(*ops_.back()).elements(); }
  size_t scratch_bytes() const override {
    size_t most = 0;
    for (const auto& op : ops_) most = std::max(most, op->scratch_bytes());
    return most;
  }
  std::unique_ptr<OpState> make_state() const override {
    auto state = std::make_unique<State>();
    for (const auto& op : ops_) state->of.push_back(op->make_state());
    for (const int64_t count : between_) state->memory.emplace_back(static_cast<size_t>(count) + 2 * kArenaAlignment / sizeof(float), NAN);
    return state;
  }
  Status run(const RunArgs& args) const override {
    auto* state = static_cast<State*>(args.state);
    std::vector<void*> between;
    for (size_t k = 0; k < between_.size(); ++k) {
      void* at = state->memory[k].data();
      size_t space = state->memory[k].size() * sizeof(float);
      between.push_back(std::align(kArenaAlignment, static_cast<size_t>(between_[k]) * sizeof(float), at, space));
    }
    const auto run_one = [&](size_t k) {
      RunArgs one = args;
      one.state = state->of[k].get();
      const void* const source = k > 0 ? between[k - 1] : nullptr;
      if (k > 0) one.src = std::span(&source, 1), one.images = nullptr;
      if (k + 1 < ops_.size()) one.dst = between[k];
      return ops_[k]->run(one);
    };
    COUPLET_RETURN_IF_ERROR(run_one(ops_.size() - 1));
    for (size_t k = 0; k < ops_.size(); ++k) COUPLET_RETURN_IF_ERROR(run_one(k));
    return {};
  }

 private:
  struct State : OpState {
    std::vector<std::unique_ptr<OpState>> of;
    std::vector<std::vector<float>> memory;
  };
  std::vector<std::unique_ptr<PreparedOp>> ops_;
  std::vector<int64_t> between_;
};

class FakeRecording : public Recording {
 public:
  FakeRecording(std::function<Status()> work, int* replays) : work_(std::move(work)), replays_(replays) {}
  Status replay() override { return ++*replays_, work_(); }

 private:
  std::function<Status()> work_;
  int* replays_;
};

class FakeBackend : public Backend {
 public:
  std::string_view kind() const override { return "fake"; }
  std::string description() const override { return "for tests"; }
  Result<std::unique_ptr<PreparedOp>> prepare(const Layer& layer, std::span<const Shape> src,
                                              const PrepareOptions& options) override {
    if (layer.name == "unsupported") return BadInput("layer unsupported: not by this one");
    for (const Shape& shape : src) CHECK(shape.n == options.max_batch);
    ++prepared;
    const size_t scratch = layer.name.size() % 3 * 100;
    return std::unique_ptr<PreparedOp>(
        std::make_unique<FakeOp>(layer, std::vector<Shape>(src.begin(), src.end()), options, scratch));
  }
  // In RandomGraph the photos with the first layer, and of the others odd ones with even ones.
  Result<std::unique_ptr<PreparedOp>> prepare_pair(const Layer& first, const Layer& second, std::span<const Shape> src,
                                                   const PrepareOptions& first_options,
                                                   const PrepareOptions& options) override {
    const bool start = std::holds_alternative<PreprocessAttrs>(first.attrs);
    const bool odd = first.name.size() % 2 == 1 && first.name.size() > 1 && second.name.size() % 2 == 0;
    if (!pairs || !(start || odd) || !std::holds_alternative<AffineAttrs>(second.attrs) ||
        std::holds_alternative<ConcatAttrs>(first.attrs))
      return std::unique_ptr<PreparedOp>();
    Shape between = first.shape;
    between.n = options.max_batch;
    auto one = prepare(first, src, first_options), two = prepare(second, std::span(&between, 1), options);
    ++paired;
    std::vector<std::unique_ptr<PreparedOp>> both;
    both.push_back(std::move(*one)), both.push_back(std::move(*two));
    return std::unique_ptr<PreparedOp>(std::make_unique<FakeJoined>(std::move(both), std::vector{between.elements()}));
  }
  // All but concatenations, `joins` of them at most.
  Joined join(std::span<std::unique_ptr<PreparedOp>> ops) const override {
    std::vector<std::unique_ptr<PreparedOp>> taken;
    std::vector<int64_t> between;
    for (auto& op : ops) {
      const auto* const one = dynamic_cast<FakeOp*>(op.get());
      const auto* const pair = dynamic_cast<FakeJoined*>(op.get());
      if ((pair == nullptr && !one->joins()) || taken.size() == joins) break;
      between.push_back(pair != nullptr ? pair->elements() : one->elements());
      taken.push_back(std::move(op));
    }
    if (taken.size() < 2) {
      if (!taken.empty()) ops[0] = std::move(taken[0]);
      return {};
    }
    between.pop_back();
    ++joined;
    for (const auto& op : taken) paired_joined += dynamic_cast<FakeJoined*>(op.get()) != nullptr ? 1 : 0;
    const size_t count = taken.size();
    return {.count = count, .op = std::make_unique<FakeJoined>(std::move(taken), std::move(between))};
  }
  bool writes_slice(const Layer& layer, int, int) const override {
    return slices && std::holds_alternative<AffineAttrs>(layer.attrs);
  }
  int round_batch(int wanted) const override { return (wanted + batch_step - 1) / batch_step * batch_step; }
  Result<std::unique_ptr<Recording>> record(WorkerContext&, const std::function<Status()>& work) override {
    if (!records) return std::unique_ptr<Recording>();
    ++recordings;
    return std::unique_ptr<Recording>(std::make_unique<FakeRecording>(work, &replays));
  }
  Result<std::unique_ptr<WorkerContext>> make_worker(int) override {
    return std::unique_ptr<WorkerContext>(std::make_unique<FakeWorker>());
  }
  Result<Buffer> allocate(size_t bytes) override {
    if (refuse_memory) return DeviceError("no memory");
    const size_t total = (bytes + 2 * kCanary + 127) / 128 * 128;
    auto* memory = static_cast<unsigned char*>(std::aligned_alloc(128, total));
    std::memset(memory, 0xC5, total);
    std::memset(memory + kCanary, 0xFF, bytes);  // all bits set is a NaN
    return Buffer(memory + kCanary, bytes, FreeWithCanaries);
  }
  Result<Buffer> allocate_pinned(size_t bytes) override { return allocate(bytes); }
  Status copy_in(void* dst, const float* src, size_t count, WorkerContext&) override {
    std::memcpy(dst, src, count * sizeof(float));
    return {};
  }
  Status copy_out(float* dst, const void* src, size_t count, WorkerContext&) override {
    std::memcpy(dst, src, count * sizeof(float));
    return {};
  }
  Result<std::unique_ptr<Timer>> make_timer(WorkerContext&) override { return MakeHostTimer(); }
  Status wait(WorkerContext&) override {
    return waits++ == fail_wait ? DeviceError("illegal address") : Status();
  }
  Result<std::unique_ptr<HeadTrainer>> make_head_trainer(const HeadShape&) override {
    return Internal("none");
  }

  std::atomic<int> prepared{0}, waits{0}, paired{0};
  mutable int joined = 0, paired_joined = 0;
  size_t joins = 0;  // 0: none
  int fail_wait = -1;  // the wait that does, counted from 0
  int batch_step = 1, recordings = 0, replays = 0;
  bool refuse_memory = false, slices = false, records = false, pairs = false;
};

inline AffineAttrs RandomAffine(int channels, uint32_t seed) {
  AffineAttrs attrs;
  for (int c = 0; c < channels; ++c) {
    const Philox4 r = Philox(7, static_cast<uint32_t>(c), seed, 9);
    attrs.scale.push_back(0.5f + static_cast<float>(r.v[0] % 64) / 128.0f);
    attrs.offset.push_back(static_cast<float>(r.v[1] % 64) / 16.0f - 2.0f);
  }
  return attrs;
}

// A random network of Affine, Concat and Identity whose layers read anything earlier.
inline Graph RandomGraph(uint32_t seed, LayerAttrs first) {
  Graph graph;
  graph.layers.push_back({"in", {}, {1, 2, 3, 2}, std::move(first)});
  const uint32_t count = 2 + Philox(seed, 0, 0, 9).v[0] % 20;
  for (uint32_t i = 1; i <= count; ++i) {
    const Philox4 r = Philox(seed, i, 0, 9);
    const int a = static_cast<int>(r.v[0] % i), b = static_cast<int>(r.v[1] % i);
    const Shape sa = graph.layers[a].shape, sb = graph.layers[b].shape;
    const std::string name(i, 'x');
    if (r.v[2] % 4 == 0)
      graph.layers.push_back({name, {a}, sa, IdentityAttrs{}});
    else if (r.v[2] % 4 == 1 && sa.c + sb.c <= 40)
      graph.layers.push_back({name, {a, b}, {1, 2, 3, sa.c + sb.c}, ConcatAttrs{}});
    else
      graph.layers.push_back({name, {a}, sa, RandomAffine(sa.c, seed * 100 + i)});
  }
  graph.output = static_cast<int>(Philox(seed, 0, 1, 9).v[0] % (count + 1));
  return graph;
}

// The same network with a vector of its own for every layer, one photo.
inline std::vector<std::vector<float>> Evaluate(const Graph& graph, std::vector<float> input) {
  std::vector<std::vector<float>> values = {std::move(input)};
  for (size_t i = 1; i < graph.layers.size(); ++i) {
    const Layer& layer = graph.layers[i];
    const auto& src = values[static_cast<size_t>(layer.inputs[0])];
    std::vector<float> dst;
    if (std::holds_alternative<IdentityAttrs>(layer.attrs)) {
      dst = src;
    } else if (const auto* affine = std::get_if<AffineAttrs>(&layer.attrs)) {
      for (size_t k = 0; k < src.size(); ++k)
        dst.push_back(src[k] * affine->scale[k % affine->scale.size()] +
                      affine->offset[k % affine->scale.size()]);
    } else {
      for (int p = 0; p < layer.shape.h * layer.shape.w; ++p)
        for (const int source : layer.inputs) {
          const int c = graph.layers[source].shape.c;
          const float* from = values[static_cast<size_t>(source)].data() + p * c;
          dst.insert(dst.end(), from, from + c);
        }
    }
    values.push_back(std::move(dst));
  }
  return values;
}

inline std::vector<float> Pixels(const Graph& graph, int n, uint32_t seed) {
  std::vector<float> pixels(static_cast<size_t>(n * graph.layers[0].shape.per_image()));
  for (size_t i = 0; i < pixels.size(); ++i)
    pixels[i] = static_cast<float>(Philox(seed, static_cast<uint32_t>(i), 2, 9).v[0] % 256) / 16.0f - 8.0f;
  return pixels;
}

inline std::vector<float> RunOnce(const Session& session, const std::vector<float>& pixels) {
  auto worker = session.NewWorker();
  REQUIRE(worker.ok());
  const size_t n = pixels.size() / static_cast<size_t>(session.input_shape().per_image());
  std::vector<float> out(n * static_cast<size_t>(session.output_size()), -1.0f);
  REQUIRE(session.RunPixels(**worker, pixels, out).ok());
  return out;
}

inline std::unique_ptr<Session> MustCreate(Graph graph, Backend& backend, const SessionOptions& options) {
  auto session = Session::Create(std::move(graph), backend, options);
  REQUIRE(session.ok());
  return std::move(session).value();
}

}  // namespace couplet::test
