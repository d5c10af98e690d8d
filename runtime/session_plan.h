// What a session decides before it prepares anything: where each layer's value lies, how long it is needed, who clips,
// which layers might be done in pairs. Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "runtime/backend.h"
#include "runtime/graph.h"
#include "runtime/planner.h"

namespace couplet {

inline bool IsIdentity(const Layer& layer) {
  return std::holds_alternative<IdentityAttrs>(layer.attrs);
}
inline bool IsInput(const Layer& layer) {
  return std::holds_alternative<InputAttrs>(layer.attrs);
}
inline bool IsPreprocess(const Layer& layer) {
  return std::holds_alternative<PreprocessAttrs>(layer.attrs);
}

// Where a layer's value lies: in the memory of layer `home`, from channel `at`, with `stride` channels a
// pixel (0 = all of home's value, dense).
struct Place {
  int home = 0;
  int at = 0, stride = 0;
};

// Memory of its own for each layer but Identities, which share their source's, and for those sources of a
// concatenation that nothing else reads: the backend may compute them in their place.
std::vector<Place> PlaceLayers(const Graph& graph, const Backend& backend);

// Which layers leave the upper half of their ReLU6 to their readers: where all of these can take it on.
std::vector<bool> LeaveClips(const Graph& graph, const Backend& backend);

// For each layer the one that it may be done together with: its only source, which nothing else reads; or -1.
std::vector<int> OnlySources(const Graph& graph);

// What is done as one, as `starts`: for the last of layers that are, the first one's index, from which each is the only source of the
// next; for all others their own.
std::vector<int> EachByItself(const Graph& graph);

// Lifetimes of the layers' values for a batch; those that lie in another's memory have none of their own, and neither
// have those between layers that are done as one. (Photos' layer has one: Session::RunPixels writes it.)
Result<std::vector<Lifetime>> PlanLifetimes(const Graph& graph, const std::vector<Place>& places,
                                            const std::vector<int>& starts, size_t element_bytes, int max_batch,
                                            bool keep_all);

}  // namespace couplet
