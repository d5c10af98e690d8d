// SPDX-License-Identifier: Apache-2.0
#include "models/photo_network.h"

#include "models/batch_line.h"
#include "runtime/graph_passes.h"
#include "runtime/layer_cost.h"

namespace couplet {

Result<PhotoNetwork> MakePhotoNetwork(const Graph& graph, Backend& backend, size_t vector_bytes,
                                      size_t photos) {
  auto optimized = std::make_shared<const Graph>(Optimize(graph));
  const BatchLineOptions line;
  MemoryNeeds needs{.photos = photos, .workers = line.drivers, .slots = line.slot_bytes * static_cast<size_t>(line.slots),
                    .vectors = vector_bytes};
  COUPLET_ASSIGN_OR_RETURN(needs.photo, Session::BytesPerPhoto(*optimized, backend));
  for (size_t i = 0; i < optimized->layers.size(); ++i)
    needs.weights += static_cast<size_t>(
        CostOf(*optimized, static_cast<int>(i), static_cast<double>(backend.element_bytes())).weight_bytes);
  PhotoNetwork network;
  network.backend = &backend;
  network.in_batches = backend.kind() != "cpu";
  network.memory = backend.plan_memory(needs);
  network.max_batch = network.memory.batch;
  network.make_session = [optimized,
                          &backend](const SessionOptions& options) -> Result<std::shared_ptr<const Session>> {
    COUPLET_ASSIGN_OR_RETURN(std::unique_ptr<Session> session, Session::Create(*optimized, backend, options));
    return std::shared_ptr<const Session>(std::move(session));
  };
  network.make_split = [optimized, &backend](const SessionOptions& options, bool whole) {
    return SplitSession::Create(*optimized, backend, options, whole);
  };
  return network;
}

}  // namespace couplet
