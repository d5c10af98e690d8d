// SPDX-License-Identifier: Apache-2.0
#include "runtime/session_plan.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <variant>

namespace couplet {

// Elements of a layer's output over a batch: kernels count them with an int.
constexpr int64_t kMaxBatchElements = INT32_MAX;

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

std::vector<int> OnlySources(const Graph& graph) {
  std::vector<int> readers(graph.layers.size(), 0), firsts(graph.layers.size(), -1);
  for (const Layer& layer : graph.layers)
    for (const int source : layer.inputs) ++readers[source];
  ++readers[graph.output];
  for (size_t i = 0; i < graph.layers.size(); ++i) {
    const Layer& layer = graph.layers[i];
    if (layer.inputs.size() != 1 || IsIdentity(layer)) continue;
    const Layer& first = graph.layers[layer.inputs[0]];
    if (readers[layer.inputs[0]] == 1 && !IsIdentity(first) && !IsInput(first)) firsts[i] = layer.inputs[0];
  }
  return firsts;
}

std::vector<int> EachByItself(const Graph& graph) {
  std::vector<int> starts(graph.layers.size());
  std::iota(starts.begin(), starts.end(), 0);
  return starts;
}

Result<std::vector<Lifetime>> PlanLifetimes(const Graph& graph, const std::vector<Place>& places,
                                            const std::vector<int>& starts, size_t element_bytes, int max_batch,
                                            bool keep_all) {
  const int steps = static_cast<int>(graph.layers.size());
  std::vector<Lifetime> lifetimes(graph.layers.size());
  for (int i = 0; i < steps; ++i) lifetimes[i].first = lifetimes[i].last = i;
  for (int i = 0; i < steps; ++i) {
    const Layer& layer = graph.layers[i];
    const int home = places[i].home;
    lifetimes[home].first = std::min(lifetimes[home].first, i);
    int first = i;  // of those done as one that reads what has a value
    while (first != starts[i] && graph.layers[first].inputs[0] != 0) {
      first = graph.layers[first].inputs[0];
      lifetimes[places[first].home].bytes = 0;
    }
    if (home == i) {
      const auto elements = CheckedMul(layer.shape.per_image(), max_batch);
      if (!elements || *elements > kMaxBatchElements)
        return BadInput("layer " + layer.name + ": " + std::to_string(max_batch) + " x " +
                        ToString(layer.shape) + " floats are too many; use a smaller batch or image");
      lifetimes[i].bytes = static_cast<size_t>(*elements) * element_bytes;
    }
    for (const int source : graph.layers[first].inputs) {
      Lifetime& read = lifetimes[places[source].home];
      read.last = std::max(read.last, i);
    }
  }
  lifetimes[places[graph.output].home].last = steps;  // it is read after the last step
  if (keep_all)
    for (Lifetime& lifetime : lifetimes) lifetime.last = steps;
  return lifetimes;
}

}  // namespace couplet
