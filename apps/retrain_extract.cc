// SPDX-License-Identifier: Apache-2.0
#include "apps/retrain_extract.h"

#include <fmt/format.h>

#include <set>

#include "apps/console.h"
#include "apps/progress.h"
#include "apps/watch.h"
#include "loaders/files.h"

namespace couplet {
namespace {

ExtractOptions MakeOptions(const RetrainOptions& o, const Backbone& backbone, const Backend& backend) {
  ExtractOptions options = MakeExtractOptions(o);
  options.decode = MakeDecodeOptions(o, backbone.input_size());
  options.architecture = backbone.architecture();
  options.key = backbone.Key(options.decode, backend);
  return options;
}

}  // namespace

Result<HeadData> ExtractVectors(const RetrainOptions& o, const Backbone& backbone, Backend& backend,
                                PhotoSet* set, RetrainReport* report) {
  ExtractOptions options = MakeOptions(o, backbone, backend);
  options.keep_on_device = true;
  if (options.format == ExtractOptions::Format::kText) {
    std::set<std::string> folders;
    for (const Photo& photo : set->photos) folders.insert(photo.folder);
    for (const std::string& folder : folders) RemoveAbandonedFiles(JoinPath(o.bottleneck_dir, folder));
  }
  Profile profile;
  options.profile = WantedProfile(o.device, backend, &profile);
  Progress progress("Creating bottlenecks", o.quiet);
  const DeviceSampler* const watch = report->watch.get();
  const std::optional<double> joules_before = watch != nullptr ? watch->joules() : std::nullopt;
  COUPLET_ASSIGN_OR_RETURN(const PhotoNetwork network, backbone.Network(backend, set->photos.size()));
  LogMemoryPlan(network.memory);
  COUPLET_ASSIGN_OR_RETURN(ExtractResult result,
                           ExtractFeatures(
                               set->photos, backbone.features(), network, options,
                               [&](const ExtractProgress& p) {
                                 progress.Show(p.done, p.total, p.seconds, watch != nullptr ? WatchText(watch->latest()) : "");
                               },
                               Interrupted));
  report->device = backend.kind();
  if (watch != nullptr)
    if (const auto joules = watch->joules()) report->photo_joules = *joules - joules_before.value_or(0);
  NoteExtraction(*set, result, report);
  if (options.profile != nullptr) COUPLET_RETURN_IF_ERROR(WriteProfile(o.device, profile));
  if (o.strict && !result.failed.empty())
    return BadInput(
        fmt::format("--strict: {} of {} photos cannot be read", result.failed.size(), set->photos.size()));
  COUPLET_RETURN_IF_ERROR(LeaveOut(result.failed, set));
  HeadData data = MakeHeadData(*set, backbone.features(), std::move(result.vectors));
  data.resident = std::move(result.resident);
  return data;
}

Result<bool> WorthAGpu(const RetrainOptions& o, const Backbone& backbone, const PhotoSet& set) {
  const size_t training = set.Count(Split::kTraining);
  const size_t batch = o.train_batch_size < 0 ? training : static_cast<size_t>(o.train_batch_size);
  size_t vectors = o.distorted() ? static_cast<size_t>(o.how_many_training_steps) * batch : 0;
  // Opening a cache to count takes a moment, too.
  if (vectors > kVectorsWorthGpu) return true;
  if (vectors + set.photos.size() <= kVectorsWorthGpu) return false;
  const std::unique_ptr<Backend> cpu = MakeCpuBackend();
  COUPLET_ASSIGN_OR_RETURN(const size_t missing,
                           CountMissing(set.photos, backbone.features(), MakeOptions(o, backbone, *cpu)));
  return vectors + missing > kVectorsWorthGpu;
}

}  // namespace couplet
