// SPDX-License-Identifier: Apache-2.0
#include "runtime/session.h"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>

#include "runtime/layer_cost.h"

namespace couplet {

namespace {

bool IsIdentity(const Layer& layer) {
  return std::holds_alternative<IdentityAttrs>(layer.attrs);
}
bool IsInput(const Layer& layer) {
  return std::holds_alternative<InputAttrs>(layer.attrs);
}
bool IsPreprocess(const Layer& layer) {
  return std::holds_alternative<PreprocessAttrs>(layer.attrs);
}

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

// Where a layer's value lies: in the memory of layer `home`, from channel `at`, with `stride` channels a
// pixel (0 = all of home's value, dense).
struct Place {
  int home = 0;
  int at = 0, stride = 0;
};

// Memory of its own for each layer but Identities, which share their source's, and for those sources of a
// concatenation that nothing else reads: the backend may compute them in their place.
std::vector<Place> PlaceLayers(const Graph& graph, const Backend& backend) {
  const size_t count = graph.layers.size();
  std::vector<int> root(count);
  std::vector<int> readers(count, 0);
  for (size_t i = 0; i < count; ++i) {
    const Layer& layer = graph.layers[i];
    root[i] = IsIdentity(layer) ? root[layer.inputs[0]] : static_cast<int>(i);
    if (!IsIdentity(layer))
      for (const int source : layer.inputs) ++readers[root[source]];
  }
  ++readers[root[graph.output]];

  std::vector<Place> places(count);
  for (size_t i = 0; i < count; ++i) places[i].home = root[i];
  for (size_t i = 0; i < count; ++i) {
    const Layer& concat = graph.layers[i];
    if (!std::holds_alternative<ConcatAttrs>(concat.attrs)) continue;
    int at = 0;
    for (const int source : concat.inputs) {
      const int from = root[source];
      const Layer& branch = graph.layers[from];
      if (readers[from] == 1 && branch.shape == graph.layers[source].shape &&
          backend.writes_slice(branch, at, concat.shape.c))
        places[from] = {static_cast<int>(i), at, concat.shape.c};
      at += graph.layers[source].shape.c;
    }
  }
  for (size_t i = 0; i < count; ++i) places[i] = places[root[i]];
  return places;
}

// Which layers leave the upper half of their ReLU6 to their readers: where all of these can take it on.
std::vector<bool> LeaveClips(const Graph& graph, const Backend& backend) {
  const size_t count = graph.layers.size();
  std::vector<int> root(count);
  std::vector<bool> leaves(count);
  for (size_t i = 0; i < count; ++i) {
    const Layer& layer = graph.layers[i];
    root[i] = IsIdentity(layer) ? root[layer.inputs[0]] : static_cast<int>(i);
    if (IsIdentity(layer)) continue;
    leaves[i] = backend.leaves_clip(layer);
    for (const int source : layer.inputs)
      if (!backend.takes_clip(layer, graph.layers[source].shape)) leaves[root[source]] = false;
  }
  leaves[root[graph.output]] = false;
  for (size_t i = 0; i < count; ++i) leaves[i] = leaves[root[i]];
  return leaves;
}

// Lifetimes of the layers' values for a batch; those that lie in another's memory have none of their own.
Result<std::vector<Lifetime>> PlanLifetimes(const Graph& graph, const std::vector<Place>& places,
                                            size_t element_bytes, int max_batch, bool keep_all) {
  const int steps = static_cast<int>(graph.layers.size());
  std::vector<Lifetime> lifetimes(graph.layers.size());
  for (int i = 0; i < steps; ++i) lifetimes[i].first = lifetimes[i].last = i;
  for (int i = 0; i < steps; ++i) {
    const Layer& layer = graph.layers[i];
    const int home = places[i].home;
    lifetimes[home].first = std::min(lifetimes[home].first, i);
    if (home == i) {
      const auto elements = CheckedMul(layer.shape.per_image(), max_batch);
      if (!elements || *elements > kMaxElements)
        return BadInput("layer " + layer.name + ": " + std::to_string(max_batch) + " x " +
                        ToString(layer.shape) + " floats are too many; use a smaller batch or image");
      lifetimes[i].bytes = static_cast<size_t>(*elements) * element_bytes;
    }
    for (const int source : layer.inputs) {
      Lifetime& read = lifetimes[places[source].home];
      read.last = std::max(read.last, i);
    }
  }
  lifetimes[places[graph.output].home].last = steps;  // it is read after the last step
  if (keep_all)
    for (Lifetime& lifetime : lifetimes) lifetime.last = steps;
  return lifetimes;
}

// A stage, for a profiler that watches.
class Range {
 public:
  Range(Backend& backend, const char* name) : backend_(backend) { backend_.begin_range(name); }
  ~Range() { backend_.end_range(); }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;

 private:
  Backend& backend_;
};

}  // namespace

struct Session::Impl {
  Graph graph;
  Backend* backend = nullptr;
  SessionOptions options;
  std::vector<std::unique_ptr<PreparedOp>> ops;  // null: Input and Identity, which do no work
  std::vector<Place> places;
  std::vector<bool> leaves_clip;
  std::vector<size_t> offsets;  // of a layer's value in the arena
  size_t arena_bytes = 0, scratch_bytes = 0;

  const Layer& output() const { return graph.layers[graph.output]; }
  Status PrepareLayer(size_t i);
  Status PrepareLayers();
  Status PlanMemory();
  Status RunLayer(const Worker::Impl& worker, size_t index, int n, const ImageBatch* images) const;
  Status RunBatch(Worker::Impl& worker, int n, const ImageBatch* images, std::span<float> dst) const;
  Status RunBackbone(Worker::Impl& worker, int n) const;
  Status RunWatched(const Worker::Impl& worker, int n) const;
};

struct Session::Worker::Impl {
  std::unique_ptr<WorkerContext> context;
  Buffer arena, scratch;
  std::vector<std::unique_ptr<OpState>> states;
  std::vector<void*> values;                      // one a layer, in the arena
  std::vector<std::vector<const void*>> sources;  // one a layer
  bool ran_before = false, asked_to_record = false;
  std::unique_ptr<Recording> full_batch;
};

Session::Worker::Worker() : impl_(std::make_unique<Impl>()) {}
Session::Worker::~Worker() = default;
Session::Session() : impl_(std::make_unique<Impl>()) {}
Session::~Session() = default;

Status Session::Impl::PrepareLayer(size_t i) {
  const Layer& layer = graph.layers[i];
  if (IsIdentity(layer) || IsInput(layer)) return {};
  std::vector<Shape> src;
  for (const int source : layer.inputs) {
    src.push_back(graph.layers[source].shape);
    src.back().n = options.max_batch;
  }
  PrepareOptions prepare;
  prepare.max_batch = options.max_batch;
  prepare.threads = options.threads;
  prepare.dst_stride = places[i].stride;
  prepare.leave_clip = leaves_clip[i];
  for (const int source : layer.inputs) prepare.clip_src = prepare.clip_src || leaves_clip[source];
  COUPLET_ASSIGN_OR_RETURN(ops[i], backend->prepare(layer, src, prepare));
  return {};
}

Status Session::Impl::PrepareLayers() {
  ops.resize(graph.layers.size());
  std::vector<Status> failures(graph.layers.size());
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i; (i = next++) < ops.size();) failures[i] = PrepareLayer(i);
  };
  std::vector<std::jthread> helpers;
  try {
    for (int i = 1; i < options.prepare_threads; ++i) helpers.emplace_back(work);
  } catch (const std::system_error&) {
    // Those that were started do.
  }
  work();
  helpers.clear();
  for (size_t i = 0; i < ops.size(); ++i) {
    COUPLET_RETURN_IF_ERROR(failures[i]);
    if (ops[i] != nullptr) scratch_bytes = std::max(scratch_bytes, ops[i]->scratch_bytes());
  }
  return {};
}

Status Session::Impl::PlanMemory() {
  COUPLET_ASSIGN_OR_RETURN(
      const std::vector<Lifetime> lifetimes,
      PlanLifetimes(graph, places, backend->element_bytes(), options.max_batch, options.keep_all));
  const Plan plan = PlanArena(lifetimes);
  arena_bytes = plan.arena_bytes;
  for (const Place& place : places)
    offsets.push_back(plan.offsets[place.home] + static_cast<size_t>(place.at) * backend->element_bytes());
  return {};
}

Result<std::unique_ptr<Session>> Session::Create(Graph graph, Backend& backend,
                                                 const SessionOptions& options) {
  COUPLET_CHECK(options.max_batch >= 1 && options.threads >= 1 && options.prepare_threads >= 1);
  CheckGraph(graph);
  std::unique_ptr<Session> session(new Session);
  Impl& impl = *session->impl_;
  impl.graph = std::move(graph);
  impl.backend = &backend;
  impl.options = options;
  impl.options.max_batch = backend.round_batch(options.max_batch);
  impl.places = PlaceLayers(impl.graph, backend);
  impl.leaves_clip = LeaveClips(impl.graph, backend);
  COUPLET_RETURN_IF_ERROR(impl.PrepareLayers());
  COUPLET_RETURN_IF_ERROR(impl.PlanMemory());
  return session;
}

Result<size_t> Session::BytesPerPhoto(const Graph& graph, const Backend& backend) {
  CheckGraph(graph);
  COUPLET_ASSIGN_OR_RETURN(
      const std::vector<Lifetime> lifetimes,
      PlanLifetimes(graph, PlaceLayers(graph, backend), backend.element_bytes(), 1, false));
  return PlanArena(lifetimes).arena_bytes;
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

Status Session::Impl::RunLayer(const Worker::Impl& worker, size_t index, int n,
                               const ImageBatch* images) const {
  if (ops[index] == nullptr) return {};
  RunArgs args;
  args.n = n;
  args.src = worker.sources[index];
  args.images = images;
  args.dst = worker.values[index];
  args.scratch = worker.scratch.data();
  args.state = worker.states[index].get();
  args.worker = worker.context.get();
  return ops[index]->run(args);
}

// Every layer after the first, each waited for.
Status Session::Impl::RunWatched(const Worker::Impl& worker, int n) const {
  for (size_t i = 1; i < ops.size(); ++i) {
    COUPLET_RETURN_IF_ERROR(RunLayer(worker, i, n, nullptr));
    if (const Status done = backend->wait(*worker.context); !done.ok())
      return {done.code(), "layer '" + graph.layers[i].name + "': " + done.message()};
  }
  return {};
}

// Every layer after the first: watched, recorded, replayed or simply run.
Status Session::Impl::RunBackbone(Worker::Impl& worker, int n) const {
  if (!worker.ran_before) {
    worker.ran_before = true;
    return RunWatched(worker, n);
  }
  const auto run = [this, &worker] {
    const int rows = options.max_batch;
    for (size_t i = 1; i < ops.size(); ++i) COUPLET_RETURN_IF_ERROR(RunLayer(worker, i, rows, nullptr));
    return Status();
  };
  if (n == options.max_batch) {
    if (!worker.asked_to_record) {
      worker.asked_to_record = true;
      COUPLET_ASSIGN_OR_RETURN(worker.full_batch, backend->record(*worker.context, run));
    }
    return worker.full_batch != nullptr ? worker.full_batch->replay() : run();
  }
  for (size_t i = 1; i < ops.size(); ++i) COUPLET_RETURN_IF_ERROR(RunLayer(worker, i, n, nullptr));
  return {};
}

// `images` null: the first layer's value is there already.
Status Session::Impl::RunBatch(Worker::Impl& worker, int n, const ImageBatch* images,
                               std::span<float> dst) const {
  COUPLET_CHECK(dst.size() == static_cast<size_t>(n * output().shape.per_image()));
  if (images != nullptr) {
    const Range range(*backend, "photos in");
    COUPLET_RETURN_IF_ERROR(RunLayer(worker, 0, n, images));
  }
  {
    const Range range(*backend, "layers");
    COUPLET_RETURN_IF_ERROR(RunBackbone(worker, n));
  }
  const Range range(*backend, "vectors out");
  COUPLET_RETURN_IF_ERROR(
      backend->copy_out(dst.data(), worker.values[graph.output], dst.size(), *worker.context));
  return backend->wait(*worker.context);
}

Status Session::Run(Worker& worker, const ImageBatch& images, std::span<float> dst) const {
  COUPLET_CHECK(IsPreprocess(impl_->graph.layers[0]));
  const size_t n = images.images.size();
  COUPLET_CHECK(n >= 1 && n <= static_cast<size_t>(impl_->options.max_batch));
  return impl_->RunBatch(*worker.impl_, static_cast<int>(n), &images, dst);
}

Status Session::RunPixels(Worker& worker, std::span<const float> pixels, std::span<float> dst) const {
  const size_t per_image = static_cast<size_t>(input_shape().per_image());
  const size_t n = pixels.size() / per_image;
  COUPLET_CHECK(n >= 1 && n <= static_cast<size_t>(impl_->options.max_batch) &&
                n * per_image == pixels.size());
  Worker::Impl& mine = *worker.impl_;
  COUPLET_RETURN_IF_ERROR(
      impl_->backend->copy_in(mine.values[0], pixels.data(), pixels.size(), *mine.context));
  return impl_->RunBatch(mine, static_cast<int>(n), nullptr, dst);
}

Status Session::RunAgain(Worker& worker, int n, int times) const {
  COUPLET_CHECK(n >= 1 && n <= impl_->options.max_batch);
  for (int i = 0; i < times; ++i) COUPLET_RETURN_IF_ERROR(impl_->RunBackbone(*worker.impl_, n));
  return impl_->backend->wait(*worker.impl_->context);
}

Status Session::RunTimed(Worker& worker, const ImageBatch& images, std::span<float> dst,
                         std::vector<LayerTime>* times) const {
  const Impl& impl = *impl_;
  Worker::Impl& mine = *worker.impl_;
  const int n = static_cast<int>(images.images.size());
  COUPLET_CHECK(IsPreprocess(impl.graph.layers[0]) && n >= 1 && n <= impl.options.max_batch);
  COUPLET_CHECK(dst.size() == static_cast<size_t>(n * output_size()));
  COUPLET_ASSIGN_OR_RETURN(const std::unique_ptr<Timer> timer, impl.backend->make_timer(*mine.context));
  COUPLET_RETURN_IF_ERROR(timer->mark());
  for (size_t i = 0; i < impl.ops.size(); ++i) {
    COUPLET_RETURN_IF_ERROR(impl.RunLayer(mine, i, n, &images));
    COUPLET_RETURN_IF_ERROR(timer->mark());
  }
  COUPLET_ASSIGN_OR_RETURN(const std::vector<double> intervals, timer->intervals_ms());
  times->clear();
  for (size_t i = 0; i < impl.ops.size(); ++i) {
    LayerTime& time = times->emplace_back();
    time.layer = impl.graph.layers[i].name;
    if (impl.ops[i] == nullptr) continue;
    time.ms = intervals[i];
    const LayerCost cost =
        CostOf(impl.graph, static_cast<int>(i), static_cast<double>(impl.backend->element_bytes()));
    time.floor_ms = impl.backend->floor_ms(cost.weight_bytes + n * cost.photo_bytes, n * cost.multiply_adds);
  }
  COUPLET_RETURN_IF_ERROR(
      impl.backend->copy_out(dst.data(), mine.values[impl.graph.output], dst.size(), *mine.context));
  return impl.backend->wait(*mine.context);
}

Result<std::vector<float>> Session::Output(Worker& worker, int index, int n) const {
  const Impl& impl = *impl_;
  COUPLET_CHECK(impl.options.keep_all);
  COUPLET_CHECK(index >= 0 && index < static_cast<int>(impl.graph.layers.size()));
  COUPLET_CHECK(n >= 1 && n <= impl.options.max_batch);
  const Worker::Impl& mine = *worker.impl_;
  const Place& place = impl.places[index];
  std::vector<float> rows(static_cast<size_t>(n * impl.graph.layers[place.home].shape.per_image()));
  COUPLET_RETURN_IF_ERROR(
      impl.backend->copy_out(rows.data(), mine.values[place.home], rows.size(), *mine.context));
  COUPLET_RETURN_IF_ERROR(impl.backend->wait(*mine.context));
  if (impl.leaves_clip[index])
    for (float& value : rows) value = value > 6.0f ? 6.0f : value;
  if (place.stride == 0) return rows;
  const int channels = impl.graph.layers[index].shape.c;
  std::vector<float> slice;
  for (size_t pixel = 0; pixel < rows.size(); pixel += static_cast<size_t>(place.stride)) {
    const auto first = rows.begin() + static_cast<std::ptrdiff_t>(pixel) + place.at;
    slice.insert(slice.end(), first, first + channels);
  }
  return slice;
}

const Graph& Session::graph() const {
  return impl_->graph;
}
Shape Session::input_shape() const {
  return impl_->graph.layers[0].shape;
}
int64_t Session::output_size() const {
  return impl_->output().shape.per_image();
}
int Session::max_batch() const {
  return impl_->options.max_batch;
}
size_t Session::worker_bytes() const {
  return impl_->arena_bytes + impl_->scratch_bytes;
}

}  // namespace couplet
