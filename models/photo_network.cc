// SPDX-License-Identifier: Apache-2.0
#include "models/photo_network.h"

#include "models/batch_line.h"
#include "runtime/graph_passes.h"

namespace couplet {

Result<PhotoNetwork> MakePhotoNetwork(const Graph& graph, Backend& backend) {
  auto optimized = std::make_shared<const Graph>(Optimize(graph));
  COUPLET_ASSIGN_OR_RETURN(const size_t bytes_per_photo, Session::BytesPerPhoto(*optimized, backend));
  PhotoNetwork network;
  network.backend = &backend;
  network.in_batches = backend.kind() != "cpu";
  network.max_batch = backend.max_batch(bytes_per_photo, BatchLineOptions().drivers);
  network.make_session = [optimized,
                          &backend](const SessionOptions& options) -> Result<std::shared_ptr<const Session>> {
    COUPLET_ASSIGN_OR_RETURN(std::unique_ptr<Session> session, Session::Create(*optimized, backend, options));
    return std::shared_ptr<const Session>(std::move(session));
  };
  return network;
}

}  // namespace couplet
