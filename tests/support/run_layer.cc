// SPDX-License-Identifier: Apache-2.0
#include "tests/support/run_layer.h"

#include "tests/support/guarded_buffer.h"
#include "tests/support/test.h"

namespace couplet::test {

std::vector<float> RunOp(const PreparedOp& op, int64_t per_photo, const std::vector<std::vector<float>>& srcs, int n, int threads,
                         Backend& backend, const ImageBatch* images) {
  auto worker = backend.make_worker(threads);
  REQUIRE(worker.ok());
  const auto state = op.make_state();
  GuardedBuffer dst(static_cast<size_t>(n * per_photo));
  GuardedBuffer scratch((op.scratch_bytes() + 3) / 4);
  std::vector<const void*> sources;
  for (const auto& src : srcs) sources.push_back(src.data());
  const RunArgs args = {.n = n,
                        .src = sources,
                        .images = images,
                        .dst = dst.data(),
                        .scratch = scratch.data(),
                        .state = state.get(),
                        .worker = worker->get()};
  const Status status = op.run(args);
  REQUIRE_MESSAGE(status.ok(), status.message());
  CHECK(dst.intact());
  CHECK(scratch.intact());
  return {dst.data(), dst.data() + n * per_photo};
}

std::vector<float> RunLayer(const Layer& layer, const std::vector<Shape>& shapes,
                            const std::vector<std::vector<float>>& srcs, int n, int threads,
                            const ImageBatch* images, Backend* backend) {
  const auto own = backend == nullptr ? MakeCpuBackend() : nullptr;
  if (backend == nullptr) backend = own.get();
  std::vector<Shape> batched = shapes;
  for (Shape& shape : batched) shape.n = n;
  auto op = backend->prepare(layer, batched, {.max_batch = n, .threads = threads});
  REQUIRE_MESSAGE(op.ok(), op.status().message());
  return RunOp(**op, layer.shape.per_image(), srcs, n, threads, *backend, images);
}

std::string Refusal(const Layer& layer, const std::vector<Shape>& shapes) {
  return MakeCpuBackend()->prepare(layer, shapes, {}).status().message();
}

}  // namespace couplet::test
