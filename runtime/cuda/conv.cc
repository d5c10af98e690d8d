// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/conv.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "runtime/cuda/gemm.h"
#include "runtime/cuda/stopwatch.h"

namespace couplet::cuda {
namespace {

// 0: not even the windows of one photo fit.
int GatheredPhotos(const Device& device, const ConvLayer& spec) {
  const size_t limit = device.options().workspace_bytes;
  const size_t pixels = static_cast<size_t>(spec.dst.h) * static_cast<size_t>(spec.dst.w);
  const size_t window = spec.weights.size() / static_cast<size_t>(spec.dst.c);
  const auto fit = [&](int photos) {
    return GatheredRoom(static_cast<size_t>(photos) * pixels * window * device.element_bytes()) <= limit;
  };
  int photos = fit(1) ? 1 : 0;
  while (photos != 0 && 2 * photos <= GroupOf(spec.max_batch) && fit(2 * photos)) photos *= 2;
  return photos;
}

OpResult MakeGathered(const Device& device, const ConvLayer& spec, int photos) {
  GemmLayer gemm;
  gemm.layer = spec.layer;
  gemm.rows = int64_t{spec.dst.h} * spec.dst.w;
  gemm.ic = spec.kh * spec.kw * spec.src.c;
  gemm.oc = spec.dst.c;
  gemm.dst_stride = spec.dst_stride;
  gemm.group = photos;
  gemm.window = {photos,   spec.src.h, spec.src.w, spec.src.c, spec.dst.h, spec.dst.w,    spec.kh,
                 spec.kw,  spec.sh,    spec.sw,    spec.dh,    spec.dw,    spec.pads.top, spec.pads.left};
  gemm.weights = spec.weights;
  gemm.bias = spec.bias;
  gemm.activation = spec.activation;
  return MakeGemm(device, gemm);
}

std::string Key(const ConvLayer& s) {
  return fmt::format("window {}x{}x{}x{} to {}x{}x{} k {}x{} s {}x{} d {}x{} p {}x{}x{}x{} dst {} bias {} act {}",
                     GroupOf(s.max_batch), s.src.h, s.src.w, s.src.c, s.dst.h, s.dst.w, s.dst.c, s.kh, s.kw, s.sh,
                     s.sw, s.dh, s.dw, s.pads.top, s.pads.left, s.pads.bottom, s.pads.right, s.dst_stride,
                     !s.bias.empty(), static_cast<int>(s.activation));
}

// Both ways as they were prepared, on a group of photos.
Result<bool> GatheredWins(const Device& device, const ConvLayer& spec, const PreparedOp& gathered,
                          const PreparedOp& cudnn, const std::string& key) {
  const int n = GroupOf(spec.max_batch);
  const int64_t written = int64_t{n} * spec.dst.h * spec.dst.w * spec.Stride();
  COUPLET_ASSIGN_OR_RETURN(const DeviceBuffer src, device.UploadNoise(static_cast<size_t>(n * spec.src.per_image())));
  COUPLET_ASSIGN_OR_RETURN(const DeviceBuffer dst, device.Allocate(static_cast<size_t>(written) * device.element_bytes()));
  const size_t room = std::max({gathered.scratch_bytes(), cudnn.scratch_bytes(), size_t{1}});
  COUPLET_ASSIGN_OR_RETURN(const DeviceBuffer scratch, device.Allocate(room));
  COUPLET_ASSIGN_OR_RETURN(Stream stream, MakeStream());
  Worker worker(std::move(stream), DeviceBuffer());
  const void* const from = src.data();
  const Device::Bench bench = device.TakeBench();  // nobody else is timed, or times, meanwhile
  const auto time = [&](const PreparedOp& op) {
    return TimeOnDevice(worker.stream(), [&] {
      RunArgs args;
      args.n = n;
      args.src = std::span(&from, 1);
      args.dst = dst.data();
      args.scratch = scratch.data();
      args.worker = &worker;
      return op.run(args);
    });
  };
  const Result<double> gathered_ms = time(gathered);  // what cublasLt refuses has lost
  COUPLET_ASSIGN_OR_RETURN(const double cudnn_ms, time(cudnn));
  const bool wins = gathered_ms.ok() && *gathered_ms < cudnn_ms;
  device.tuning().Keep(key, fmt::format("{} ms: gathered {:.4f} cudnn {:.4f}", wins ? "gathered" : "cudnn",
                                        gathered_ms.ok() ? *gathered_ms : -1.0, cudnn_ms));
  return wins;
}

}  // namespace

OpResult MakeConv(const Device& device, const ConvLayer& spec) {
  const int photos = device.precision() == Precision::kFp32 ? GatheredPhotos(device, spec) : 0;
  if (photos == 0) return MakeDnnConv(device, spec);
  const std::string key = Key(spec);
  const auto kept = device.tuning().Find(key);
  if (kept ? !kept->starts_with("gathered") : !device.options().tune) return MakeDnnConv(device, spec);
  COUPLET_ASSIGN_OR_RETURN(auto gathered, MakeGathered(device, spec, photos));
  if (kept) return gathered;
  COUPLET_ASSIGN_OR_RETURN(auto cudnn, MakeDnnConv(device, spec));
  COUPLET_ASSIGN_OR_RETURN(const bool wins, GatheredWins(device, spec, *gathered, *cudnn, key));
  return wins ? std::move(gathered) : std::move(cudnn);
}

}  // namespace couplet::cuda
