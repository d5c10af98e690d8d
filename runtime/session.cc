// SPDX-License-Identifier: Apache-2.0
#include "runtime/session.h"

#include <algorithm>

namespace couplet {

namespace {

bool IsIdentity(const Layer& layer) { return std::holds_alternative<IdentityAttrs>(layer.attrs); }
bool IsInput(const Layer& layer) { return std::holds_alternative<InputAttrs>(layer.attrs); }
bool IsPreprocess(const Layer& layer) { return std::holds_alternative<PreprocessAttrs>(layer.attrs); }

// A graph comes from an importer that has judged the file; what is wrong here is a bug.
void CheckGraph(const Graph& graph) {
  COUPLET_CHECK(!graph.layers.empty());
  COUPLET_CHECK(IsInput(graph.layers[0]) || IsPreprocess(graph.layers[0]));
  COUPLET_CHECK(graph.output >= 0 && graph.output < static_cast<int>(graph.layers.size()));
  for (size_t i = 0; i < graph.layers.size(); ++i) {
    const Layer& layer = graph.layers[i];
    COUPLET_CHECK((i == 0) == (IsInput(layer) || IsPreprocess(layer)));
    COUPLET_CHECK((i == 0) == layer.inputs.empty());
    for (const int source : layer.inputs) COUPLET_CHECK(source >= 0 && source < static_cast<int>(i));
    if (IsIdentity(layer))
      COUPLET_CHECK(layer.inputs.size() == 1 &&
                    layer.shape.per_image() == graph.layers[layer.inputs[0]].shape.per_image());
  }
}

}  // namespace

struct Session::Impl {
  Graph graph;
  Backend* backend = nullptr;
  SessionOptions options;
  std::vector<std::unique_ptr<PreparedOp>> ops;  // null: Input and Identity, which do no work
  std::vector<int> home;                         // layer whose memory holds this layer's value: itself, or an
                                                 // Identity's source
  std::vector<size_t> offsets;                   // of a layer's value in the arena
  size_t arena_bytes = 0, scratch_bytes = 0;

  const Layer& output() const { return graph.layers[graph.output]; }
  Status PrepareLayers();
  Status PlanMemory();
  Status RunLayers(const Worker::Impl& worker, int first, int n, const ImageBatch* images,
                   std::span<float> dst) const;
};

struct Session::Worker::Impl {
  std::unique_ptr<WorkerContext> context;
  Buffer arena, scratch;
  std::vector<std::unique_ptr<OpState>> states;
  std::vector<void*> values;                      // one a layer, in the arena
  std::vector<std::vector<const void*>> sources;  // one a layer
};

Session::Worker::Worker() : impl_(std::make_unique<Impl>()) {}
Session::Worker::~Worker() = default;
Session::Session() : impl_(std::make_unique<Impl>()) {}
Session::~Session() = default;

Status Session::Impl::PrepareLayers() {
  const PrepareOptions prepare{options.max_batch, options.threads};
  ops.resize(graph.layers.size());
  home.resize(graph.layers.size());
  for (size_t i = 0; i < graph.layers.size(); ++i) {
    const Layer& layer = graph.layers[i];
    home[i] = IsIdentity(layer) ? home[layer.inputs[0]] : static_cast<int>(i);
    if (IsIdentity(layer) || IsInput(layer)) continue;
    std::vector<Shape> src;
    for (const int source : layer.inputs) {
      src.push_back(graph.layers[source].shape);
      src.back().n = options.max_batch;
    }
    COUPLET_ASSIGN_OR_RETURN(ops[i], backend->prepare(layer, src, prepare));
    scratch_bytes = std::max(scratch_bytes, ops[i]->scratch_bytes());
  }
  return {};
}

Status Session::Impl::PlanMemory() {
  const int steps = static_cast<int>(graph.layers.size());
  std::vector<Lifetime> lifetimes(graph.layers.size());
  for (int i = 0; i < steps; ++i) {
    const Layer& layer = graph.layers[i];
    Lifetime& own = lifetimes[i];
    own.first = own.last = i;
    if (home[i] == i) {
      const auto elements = CheckedMul(layer.shape.per_image(), options.max_batch);
      if (!elements || *elements > kMaxElements)
        return BadInput("layer " + layer.name + ": " + std::to_string(options.max_batch) + " x " +
                        ToString(layer.shape) + " floats are too many; use a smaller batch or image");
      own.bytes = static_cast<size_t>(*elements) * sizeof(float);
    }
    for (const int source : layer.inputs) lifetimes[home[source]].last = i;
  }
  lifetimes[home[graph.output]].last = steps;  // it is read after the last step
  if (options.keep_all)
    for (Lifetime& lifetime : lifetimes) lifetime.last = steps;

  const Plan plan = PlanArena(lifetimes);
  arena_bytes = plan.arena_bytes;
  offsets.resize(graph.layers.size());
  for (int i = 0; i < steps; ++i) offsets[i] = plan.offsets[home[i]];
  return {};
}

Result<std::unique_ptr<Session>> Session::Create(Graph graph, Backend& backend,
                                                 const SessionOptions& options) {
  COUPLET_CHECK(options.max_batch >= 1 && options.threads >= 1);
  CheckGraph(graph);
  std::unique_ptr<Session> session(new Session);
  Impl& impl = *session->impl_;
  impl.graph = std::move(graph);
  impl.backend = &backend;
  impl.options = options;
  COUPLET_RETURN_IF_ERROR(impl.PrepareLayers());
  COUPLET_RETURN_IF_ERROR(impl.PlanMemory());
  return session;
}

Result<std::unique_ptr<Session::Worker>> Session::NewWorker() const {
  std::unique_ptr<Worker> worker(new Worker);
  Worker::Impl& mine = *worker->impl_;
  COUPLET_ASSIGN_OR_RETURN(mine.context, impl_->backend->make_worker(impl_->options.threads));
  COUPLET_ASSIGN_OR_RETURN(mine.arena, impl_->backend->allocate(impl_->arena_bytes));
  if (impl_->scratch_bytes != 0) {
    COUPLET_ASSIGN_OR_RETURN(mine.scratch, impl_->backend->allocate(impl_->scratch_bytes));
  }
  for (size_t i = 0; i < impl_->graph.layers.size(); ++i) {
    mine.values.push_back(mine.arena.data() + impl_->offsets[i]);
    mine.states.push_back(impl_->ops[i] != nullptr ? impl_->ops[i]->make_state() : nullptr);
    std::vector<const void*>& sources = mine.sources.emplace_back();
    for (const int source : impl_->graph.layers[i].inputs) sources.push_back(mine.values[source]);
  }
  return worker;
}

Status Session::Impl::RunLayers(const Worker::Impl& worker, int first, int n, const ImageBatch* images,
                                std::span<float> dst) const {
  COUPLET_CHECK(dst.size() == static_cast<size_t>(n * output().shape.per_image()));
  for (size_t i = static_cast<size_t>(first); i < ops.size(); ++i) {
    if (ops[i] == nullptr) continue;
    RunArgs args;
    args.n = n;
    args.src = worker.sources[i];
    if (i == 0) args.images = images;
    args.dst = worker.values[i];
    args.scratch = worker.scratch.data();
    args.state = worker.states[i].get();
    args.worker = worker.context.get();
    COUPLET_RETURN_IF_ERROR(ops[i]->run(args));
  }
  COUPLET_RETURN_IF_ERROR(
      backend->copy_out(dst.data(), worker.values[graph.output], dst.size_bytes(), *worker.context));
  return backend->wait(*worker.context);
}

Status Session::Run(Worker& worker, const ImageBatch& images, std::span<float> dst) const {
  COUPLET_CHECK(IsPreprocess(impl_->graph.layers[0]));
  const size_t n = images.images.size();
  COUPLET_CHECK(n >= 1 && n <= static_cast<size_t>(impl_->options.max_batch));
  return impl_->RunLayers(*worker.impl_, 0, static_cast<int>(n), &images, dst);
}

Status Session::RunPixels(Worker& worker, std::span<const float> pixels, std::span<float> dst) const {
  const size_t per_image = static_cast<size_t>(input_shape().per_image());
  const size_t n = pixels.size() / per_image;
  COUPLET_CHECK(n >= 1 && n <= static_cast<size_t>(impl_->options.max_batch) &&
                n * per_image == pixels.size());
  const Worker::Impl& mine = *worker.impl_;
  COUPLET_RETURN_IF_ERROR(
      impl_->backend->copy_in(mine.values[0], pixels.data(), pixels.size_bytes(), *mine.context));
  return impl_->RunLayers(mine, 1, static_cast<int>(n), nullptr, dst);
}

Result<std::vector<float>> Session::Output(Worker& worker, int index, int n) const {
  COUPLET_CHECK(impl_->options.keep_all);
  COUPLET_CHECK(index >= 0 && index < static_cast<int>(impl_->graph.layers.size()));
  COUPLET_CHECK(n >= 1 && n <= impl_->options.max_batch);
  const Worker::Impl& mine = *worker.impl_;
  std::vector<float> rows(static_cast<size_t>(n * impl_->graph.layers[index].shape.per_image()));
  COUPLET_RETURN_IF_ERROR(
      impl_->backend->copy_out(rows.data(), mine.values[index], rows.size() * sizeof(float), *mine.context));
  COUPLET_RETURN_IF_ERROR(impl_->backend->wait(*mine.context));
  return rows;
}

const Graph& Session::graph() const { return impl_->graph; }
Shape Session::input_shape() const { return impl_->graph.layers[0].shape; }
int64_t Session::output_size() const { return impl_->output().shape.per_image(); }
size_t Session::worker_bytes() const { return impl_->arena_bytes + impl_->scratch_bytes; }

}  // namespace couplet
