// SPDX-License-Identifier: Apache-2.0
#include "models/split_session.h"

#include <utility>

#include "runtime/session_plan.h"

namespace couplet {
namespace {

// As many rows as a tile of the CPU's kernels has (runtime/cpu/register_tiles-inl.h).
constexpr size_t kTogether = 6;
// Fewer weights stay in a core's cache from photo to photo.
constexpr size_t kLeastWeights = 32 << 10;

bool OfOnePixel(const Layer& layer, const Shape& src) {
  if (src.h != 1 || src.w != 1) return false;
  if (const auto* conv = std::get_if<ConvAttrs>(&layer.attrs)) return conv->weights.count() >= kLeastWeights;
  const auto* connected = std::get_if<FullyConnectedAttrs>(&layer.attrs);
  return connected != nullptr && connected->weights.count() >= kLeastWeights;
}

// The layer that is done for several photos, or -1.
int LastLayer(const Graph& graph) {
  int last = graph.output;
  while (IsIdentity(graph.layers[last])) last = graph.layers[last].inputs[0];
  const Layer& layer = graph.layers[last];
  return layer.inputs.size() == 1 && OfOnePixel(layer, graph.layers[layer.inputs[0]].shape) ? last : -1;
}

}  // namespace

Result<std::shared_ptr<const SplitSession>> SplitSession::Create(const Graph& graph, Backend& backend, const SessionOptions& options,
                                                                 bool whole) {
  auto split = std::make_shared<SplitSession>();
  const int last = whole ? -1 : LastLayer(graph);
  Graph first = graph;
  if (last >= 0) {
    first.output = graph.layers[last].inputs[0];
    first.layers.resize(static_cast<size_t>(first.output) + 1);
    Graph rest;
    rest.layers = {{.name = first.layers.back().name, .inputs = {}, .shape = first.layers.back().shape, .attrs = InputAttrs{}}, graph.layers[last]};
    rest.layers[1].inputs = {0};
    rest.output = 1;
    SessionOptions together = options;
    together.max_batch = static_cast<int>(kTogether);
    COUPLET_ASSIGN_OR_RETURN(split->last_, Session::Create(std::move(rest), backend, together));
  }
  COUPLET_ASSIGN_OR_RETURN(split->first_, Session::Create(std::move(first), backend, options));
  return std::shared_ptr<const SplitSession>(std::move(split));
}

Result<std::unique_ptr<SplitSession::Worker>> SplitSession::NewWorker() const {
  auto worker = std::make_unique<Worker>();
  COUPLET_ASSIGN_OR_RETURN(worker->first_, first_->NewWorker());
  worker->between_.resize(photos_together() * static_cast<size_t>(first_->output_size()));
  if (last_ == nullptr) return worker;
  COUPLET_ASSIGN_OR_RETURN(worker->last_, last_->NewWorker());
  worker->rows_.resize(photos_together() * static_cast<size_t>(last_->output_size()));
  return worker;
}

size_t SplitSession::photos_together() const { return last_ != nullptr ? kTogether : 1; }
int64_t SplitSession::output_size() const { return last_ != nullptr ? last_->output_size() : first_->output_size(); }

std::span<float> SplitSession::Slot(Worker& worker) const {
  COUPLET_CHECK(worker.waiting_ < photos_together());
  const auto size = static_cast<size_t>(first_->output_size());
  return std::span(worker.between_).subspan(worker.waiting_ * size, size);
}

Status SplitSession::Add(Worker& worker, const ImageBatch& photo, Profile* profile) const {
  COUPLET_RETURN_IF_ERROR(RunProfiled(*first_, *worker.first_, photo, Slot(worker), profile));
  ++worker.waiting_;
  return {};
}

Status SplitSession::AddPixels(Worker& worker, std::span<const float> pixels) const {
  COUPLET_RETURN_IF_ERROR(first_->RunPixels(*worker.first_, pixels, Slot(worker)));
  ++worker.waiting_;
  return {};
}

Result<std::span<const float>> SplitSession::Finish(Worker& worker) const {
  const size_t count = std::exchange(worker.waiting_, 0);
  const auto between = std::span<const float>(worker.between_).first(count * static_cast<size_t>(first_->output_size()));
  if (last_ == nullptr || count == 0) return between;
  const auto rows = std::span(worker.rows_).first(count * static_cast<size_t>(last_->output_size()));
  COUPLET_RETURN_IF_ERROR(last_->RunPixels(*worker.last_, between, rows));
  return std::span<const float>(rows);
}

}  // namespace couplet
