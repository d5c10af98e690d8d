// SPDX-License-Identifier: Apache-2.0
#include "runtime/session.h"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>

#include "runtime/layer_cost.h"
#include "runtime/session_plan.h"

namespace couplet {

namespace {

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
  // Null: Input and Identity, which do no work, and of layers that are done as one all but the last.
  std::vector<std::unique_ptr<PreparedOp>> ops;
  std::vector<int> starts;  // as in session_plan.h
  size_t lead = 1;              // how many layers run straight from the photos: 2 where those two are a pair
  std::unique_ptr<PreparedOp> second_alone;  // the second of that pair, for RunPixels
  std::vector<Place> places;
  std::vector<bool> leaves_clip;
  std::vector<size_t> offsets;  // of a layer's value in the arena
  std::vector<std::pair<size_t, size_t>> pixel_readers;  // {layer, which source}: read the caller's pixels; none: they are copied in
  size_t arena_bytes = 0, scratch_bytes = 0;

  const Layer& output() const { return graph.layers[graph.output]; }
  std::string NameOf(size_t i) const {
    if (starts[i] == static_cast<int>(i)) return graph.layers[i].name;
    const bool is_pair = graph.layers[i].inputs[0] == starts[i];
    return graph.layers[starts[i]].name + (is_pair ? " + " : " .. ") + graph.layers[i].name;
  }
  const std::vector<int>& SourcesOf(size_t i) const { return graph.layers[starts[i]].inputs; }
  LayerCost CostOfOp(size_t i) const;
  std::vector<Shape> SourceShapes(size_t i) const;
  PrepareOptions OptionsFor(size_t i) const;
  Status PrepareLayer(size_t i);
  Status PreparePair(size_t i, int first);
  void JoinLayers(const std::vector<int>& only_sources);
  void FindPixelReaders();
  Status ForEachLayer(const std::function<Status(size_t)>& work) const;
  Status PrepareLayers();
  Status PlanMemory();
  Status RunLayer(const Worker::Impl& worker, size_t index, int n, const ImageBatch* images) const;
  Status RunBatch(Worker::Impl& worker, int n, const ImageBatch* images, std::span<float> dst, const KeptRows& kept) const;
  Status VectorsOut(const Worker::Impl& worker, std::span<float> dst, const KeptRows& kept) const;
  Status RunSecondAlone(const Worker::Impl& worker, int n) const;
  Status RunBackbone(Worker::Impl& worker, int n) const;
  Status WaitFor(const Worker::Impl& worker, size_t i) const;
  Status RunWatched(const Worker::Impl& worker, int n) const;
};

struct Session::Worker::Impl {
  std::unique_ptr<WorkerContext> context;
  Buffer arena, scratch;
  std::vector<std::unique_ptr<OpState>> states;
  std::unique_ptr<OpState> state_alone;  // of Session::Impl::second_alone
  std::vector<void*> values;                      // one a layer, in the arena
  std::vector<std::vector<const void*>> sources;  // one a layer
  bool ran_before = false, asked_to_record = false;
  std::unique_ptr<Recording> full_batch;

  // From now on `readers` find the first layer's value there.
  void ReadFirst(const std::vector<std::pair<size_t, size_t>>& readers, const void* value) {
    for (const auto& [layer, k] : readers) sources[layer][k] = value;
  }
};

Session::Worker::Worker() : impl_(std::make_unique<Impl>()) {}
Session::Worker::~Worker() = default;
Session::Session() : impl_(std::make_unique<Impl>()) {}
Session::~Session() = default;

std::vector<Shape> Session::Impl::SourceShapes(size_t i) const {
  std::vector<Shape> src;
  for (const int source : graph.layers[i].inputs) {
    src.push_back(graph.layers[source].shape);
    src.back().n = options.max_batch;
  }
  return src;
}

PrepareOptions Session::Impl::OptionsFor(size_t i) const {
  PrepareOptions prepare;
  prepare.max_batch = options.max_batch;
  prepare.threads = options.threads;
  prepare.dst_stride = places[i].stride;
  prepare.leave_clip = leaves_clip[i];
  for (const int source : graph.layers[i].inputs) prepare.clip_src = prepare.clip_src || leaves_clip[source];
  return prepare;
}

Status Session::Impl::PrepareLayer(size_t i) {
  const Layer& layer = graph.layers[i];
  if (IsIdentity(layer) || IsInput(layer) || ops[i] != nullptr) return {};
  COUPLET_ASSIGN_OR_RETURN(ops[i], backend->prepare(layer, SourceShapes(i), OptionsFor(i)));
  return {};
}

Status Session::Impl::PreparePair(size_t i, int first) {
  if (first < 0 || options.keep_all) return {};
  const auto f = static_cast<size_t>(first);
  COUPLET_ASSIGN_OR_RETURN(ops[i], backend->prepare_pair(graph.layers[f], graph.layers[i], SourceShapes(f),
                                                         OptionsFor(f), OptionsFor(i)));
  if (ops[i] != nullptr) starts[i] = first;
  return {};
}

// The first failure by the layers' order, whatever the threads'.
Status Session::Impl::ForEachLayer(const std::function<Status(size_t)>& work_on) const {
  std::vector<Status> failures(graph.layers.size());
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i; (i = next++) < failures.size();) failures[i] = work_on(i);
  };
  std::vector<std::jthread> helpers;
  try {
    for (int i = 1; i < options.prepare_threads; ++i) helpers.emplace_back(work);
  } catch (const std::system_error&) {
    // Those that were started do.
  }
  work();
  helpers.clear();
  for (const Status& failure : failures) COUPLET_RETURN_IF_ERROR(failure);
  return {};
}

Status Session::Impl::PrepareLayers() {
  ops.resize(graph.layers.size());
  starts = EachByItself(graph);
  const std::vector<int> only_sources = OnlySources(graph);
  COUPLET_RETURN_IF_ERROR(ForEachLayer([&](size_t i) { return PreparePair(i, only_sources[i]); }));
  std::vector<bool> absorbed(ops.size(), false);
  for (size_t i = 0; i < ops.size(); ++i)
    if (const auto first = static_cast<size_t>(starts[i]); first != i) {
      COUPLET_CHECK(starts[first] == starts[i]);
      absorbed[first] = true;
    }
  COUPLET_RETURN_IF_ERROR(
      ForEachLayer([&](size_t i) { return absorbed[i] ? Status() : PrepareLayer(i); }));
  if (absorbed[0]) {
    lead = 2;  // what reads the first layer and has no other source is the second
    COUPLET_ASSIGN_OR_RETURN(second_alone, backend->prepare(graph.layers[1], SourceShapes(1), OptionsFor(1)));
    scratch_bytes = second_alone->scratch_bytes();
  }
  if (!options.keep_all && !options.each_by_itself && options.threads == 1) JoinLayers(only_sources);
  for (const auto& op : ops)
    if (op != nullptr) scratch_bytes = std::max(scratch_bytes, op->scratch_bytes());
  return {};
}

// Offers the backend every run of ops of which each reads the one before it alone.
void Session::Impl::JoinLayers(const std::vector<int>& only_sources) {
  const auto lies_apart = [this](size_t i) { return places[i].home == static_cast<int>(i) && places[i].stride == 0; };
  for (size_t first = lead; first < ops.size(); ++first) {
    if (ops[first] == nullptr || !lies_apart(first)) continue;
    std::vector<size_t> at;
    std::vector<std::unique_ptr<PreparedOp>> run;
    for (size_t i = first; i < ops.size(); ++i) {
      if (ops[i] == nullptr) continue;
      if (!at.empty() && (!lies_apart(i) || only_sources[static_cast<size_t>(starts[i])] != static_cast<int>(at.back()))) break;
      at.push_back(i);
      run.push_back(std::move(ops[i]));
    }
    for (size_t k = 0; k < at.size();) {
      Joined joined = backend->join(std::span(run).subspan(k));
      if (joined.op != nullptr) {
        const int start = starts[at[k]];
        for (const size_t end = k + joined.count - 1; k < end; ++k) starts[at[k]] = static_cast<int>(at[k]);
        run[k] = std::move(joined.op);
        starts[at[k]] = start;
      }
      ops[at[k]] = std::move(run[k]);
      ++k;
    }
    first = at.back();
  }
}

// What is done as one moves nothing that lies between its layers.
LayerCost Session::Impl::CostOfOp(size_t i) const {
  const auto element_bytes = static_cast<double>(backend->element_bytes());
  LayerCost cost = CostOf(graph, static_cast<int>(i), element_bytes);
  for (int at = static_cast<int>(i); at != starts[i];) {
    at = graph.layers[at].inputs[0];
    const LayerCost before = CostOf(graph, at, element_bytes);
    const double between = static_cast<double>(graph.layers[at].shape.per_image()) * element_bytes;
    cost.weight_bytes += before.weight_bytes;
    cost.photo_bytes += before.photo_bytes - 2 * between;
    cost.multiply_adds += before.multiply_adds;
  }
  return cost;
}

Status Session::Impl::PlanMemory() {
  COUPLET_ASSIGN_OR_RETURN(
      const std::vector<Lifetime> lifetimes,
      PlanLifetimes(graph, places, starts, backend->element_bytes(), options.max_batch, options.keep_all));
  const Plan plan = PlanArena(lifetimes);
  arena_bytes = plan.arena_bytes;
  for (const Place& place : places)
    offsets.push_back(plan.offsets[place.home] + static_cast<size_t>(place.at) * backend->element_bytes());
  return {};
}

void Session::Impl::FindPixelReaders() {
  const auto is_first = [this](int layer) { return places[layer].home == 0; };
  // Who looks at the first layer's value after the run, or where it is a slice of another's, finds it in the arena.
  if (!backend->reads_callers_memory() || options.keep_all || !is_first(0) || is_first(graph.output)) return;
  for (size_t i = lead; i < graph.layers.size(); ++i) {
    const std::vector<int>& sources = SourcesOf(i);
    for (size_t k = 0; ops[i] != nullptr && k < sources.size(); ++k)
      if (is_first(sources[k])) pixel_readers.emplace_back(i, k);
  }
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
  impl.FindPixelReaders();
  return session;
}

Result<size_t> Session::BytesPerPhoto(const Graph& graph, const Backend& backend) {
  CheckGraph(graph);
  COUPLET_ASSIGN_OR_RETURN(
      const std::vector<Lifetime> lifetimes,
      PlanLifetimes(graph, PlaceLayers(graph, backend), EachByItself(graph),
                    backend.element_bytes(), 1, false));
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
    for (const int source : impl_->SourcesOf(i)) sources.push_back(mine.values[source]);
  }
  if (impl_->second_alone != nullptr) mine.state_alone = impl_->second_alone->make_state();
  return worker;
}

Status Session::Impl::RunLayer(const Worker::Impl& worker, size_t index, int n,
                               const ImageBatch* images) const {
  if (ops[index] == nullptr) return {};
  return ops[index]->run({.n = n, .src = worker.sources[index], .images = images, .dst = worker.values[index],
                          .scratch = worker.scratch.data(), .state = worker.states[index].get(),
                          .worker = worker.context.get()});
}

// What comes after pixels that no photo was made into, where else both would be one op.
Status Session::Impl::RunSecondAlone(const Worker::Impl& worker, int n) const {
  if (second_alone == nullptr) return {};
  const void* const pixels = worker.values[0];
  return second_alone->run({.n = n, .src = std::span(&pixels, 1), .dst = worker.values[1],
                            .scratch = worker.scratch.data(), .state = worker.state_alone.get(),
                            .worker = worker.context.get()});
}

// Every layer after those that take photos, each waited for.
Status Session::Impl::RunWatched(const Worker::Impl& worker, int n) const {
  for (size_t i = lead; i < ops.size(); ++i) {
    COUPLET_RETURN_IF_ERROR(RunLayer(worker, i, n, nullptr));
    COUPLET_RETURN_IF_ERROR(WaitFor(worker, i));
  }
  return {};
}

Status Session::Impl::WaitFor(const Worker::Impl& worker, size_t i) const {
  const Status done = backend->wait(*worker.context);
  return done.ok() ? done : Status(done.code(), "layer '" + NameOf(i) + "': " + done.message());
}

// Every layer after those that take photos: watched, recorded, replayed or simply run.
Status Session::Impl::RunBackbone(Worker::Impl& worker, int n) const {
  if (!worker.ran_before) {
    worker.ran_before = true;
    return RunWatched(worker, n);
  }
  const auto run = [this, &worker] {
    const int rows = options.max_batch;
    for (size_t i = lead; i < ops.size(); ++i) COUPLET_RETURN_IF_ERROR(RunLayer(worker, i, rows, nullptr));
    return Status();
  };
  if (n == options.max_batch) {
    if (!worker.asked_to_record) {
      worker.asked_to_record = true;
      COUPLET_ASSIGN_OR_RETURN(worker.full_batch, backend->record(*worker.context, run));
    }
    return worker.full_batch != nullptr ? worker.full_batch->replay() : run();
  }
  for (size_t i = lead; i < ops.size(); ++i) COUPLET_RETURN_IF_ERROR(RunLayer(worker, i, n, nullptr));
  return {};
}

// `images` null: the first layer's value is there already.
Status Session::Impl::RunBatch(Worker::Impl& worker, int n, const ImageBatch* images, std::span<float> dst,
                               const KeptRows& kept) const {
  COUPLET_CHECK(dst.size() == static_cast<size_t>(n * output().shape.per_image()));
  if (images != nullptr) {
    const Range range(*backend, "photos in");
    worker.ReadFirst(pixel_readers, worker.values[0]);
    for (size_t i = 0; i < lead; ++i) {
      COUPLET_RETURN_IF_ERROR(RunLayer(worker, i, n, images));
      if (!worker.ran_before) COUPLET_RETURN_IF_ERROR(WaitFor(worker, i));
    }
  }
  {
    const Range range(*backend, "layers");
    if (images == nullptr) COUPLET_RETURN_IF_ERROR(RunSecondAlone(worker, n));
    COUPLET_RETURN_IF_ERROR(RunBackbone(worker, n));
  }
  return VectorsOut(worker, dst, kept);
}

Status Session::Impl::VectorsOut(const Worker::Impl& worker, std::span<float> dst, const KeptRows& kept) const {
  const Range range(*backend, "vectors out");
  const void* const vectors = worker.values[graph.output];
  if (kept.vectors != nullptr)
    COUPLET_RETURN_IF_ERROR(backend->keep_rows(*kept.vectors, kept.rows, vectors, *worker.context));
  COUPLET_RETURN_IF_ERROR(backend->copy_out(dst.data(), vectors, dst.size(), *worker.context));
  return backend->wait(*worker.context);
}

Status Session::Run(Worker& worker, const ImageBatch& images, std::span<float> dst, const KeptRows& kept) const {
  COUPLET_CHECK(IsPreprocess(impl_->graph.layers[0]));
  const size_t n = images.images.size();
  COUPLET_CHECK(n >= 1 && n <= static_cast<size_t>(impl_->options.max_batch));
  return impl_->RunBatch(*worker.impl_, static_cast<int>(n), &images, dst, kept);
}

Status Session::RunPixels(Worker& worker, std::span<const float> pixels, std::span<float> dst) const {
  const size_t per_image = static_cast<size_t>(input_shape().per_image());
  const size_t n = pixels.size() / per_image;
  COUPLET_CHECK(n >= 1 && n <= static_cast<size_t>(impl_->options.max_batch) &&
                n * per_image == pixels.size());
  Worker::Impl& mine = *worker.impl_;
  mine.ReadFirst(impl_->pixel_readers, pixels.data());
  if (impl_->pixel_readers.empty())
    COUPLET_RETURN_IF_ERROR(impl_->backend->copy_in(mine.values[0], pixels.data(), pixels.size(), *mine.context));
  return impl_->RunBatch(mine, static_cast<int>(n), nullptr, dst, {});
}

Status Session::RunAgain(Worker& worker, int n, int times) const {
  COUPLET_CHECK(n >= 1 && n <= impl_->options.max_batch);
  for (int i = 0; i < times; ++i) {
    COUPLET_RETURN_IF_ERROR(impl_->RunSecondAlone(*worker.impl_, n));
    COUPLET_RETURN_IF_ERROR(impl_->RunBackbone(*worker.impl_, n));
  }
  return impl_->backend->wait(*worker.impl_->context);
}

Status Session::RunTimed(Worker& worker, const ImageBatch& images, std::span<float> dst,
                         std::vector<LayerTime>* times, const KeptRows& kept) const {
  const Impl& impl = *impl_;
  Worker::Impl& mine = *worker.impl_;
  const int n = static_cast<int>(images.images.size());
  COUPLET_CHECK(IsPreprocess(impl.graph.layers[0]) && n >= 1 && n <= impl.options.max_batch);
  COUPLET_CHECK(dst.size() == static_cast<size_t>(n * output_size()));
  mine.ReadFirst(impl.pixel_readers, mine.values[0]);
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
    time.layer = impl.NameOf(i);
    if (impl.ops[i] == nullptr) continue;
    time.ms = intervals[i];
    const LayerCost cost = impl.CostOfOp(i);
    time.floor_ms = impl.backend->floor_ms(cost.weight_bytes + n * cost.photo_bytes, n * cost.multiply_adds);
  }
  return impl.VectorsOut(mine, dst, kept);
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
