// retrain: the codelab's scripts.retrain. Photos -> bottlenecks -> a trained last layer -> a frozen graph and labels.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <chrono>
#include <future>
#include <memory>

#include "apps/console.h"
#include "apps/device.h"
#include "apps/guarded_main.h"
#include "apps/progress.h"
#include "apps/report_page.h"
#include "apps/retrain_checkpoint.h"
#include "apps/retrain_extract.h"
#include "apps/retrain_options.h"
#include "apps/retrain_report.h"
#include "apps/watch.h"
#include "loaders/event_file.h"
#include "loaders/files.h"
#include "loaders/labels.h"
#include "loaders/projector.h"
#include "loaders/threads.h"
#include "models/calibration.h"
#include "kernels/philox.h"
#include "models/distorted_batches.h"
#include "models/training_advice.h"

namespace couplet {
namespace {

constexpr const char* kProgram = "retrain";
constexpr double kWatchLineSeconds = 5;

Result<PhotoSet> ListPhotos(const RetrainOptions& o, RetrainReport* report) {
  const ImageListOptions options = MakeImageListOptions(o);
  COUPLET_ASSIGN_OR_RETURN(const ImageLists lists, CreateImageLists(options, ThreadsAskedFor(o.threads)));
  constexpr std::string_view kWarning = "WARNING:";
  for (const std::string& line : lists.log)
    line.starts_with(kWarning) ? LogWarning(line.substr(kWarning.size())) : LogInfo(line);
  for (const std::string& line : lists.advice) LogWarning(line);
  for (const auto& [extension, count] : lists.ignored)
    LogInfo(fmt::format("{} {} left alone: '{}' is not among the photos' extensions", count,
                        count == 1 ? "file" : "files", extension));
  report->ignored = lists.ignored;
  return MakePhotoSet(options, lists);
}

RetrainedGraphOptions GraphOptions(const RetrainOptions& o, const Backbone& backbone) {
  return {backbone.bottleneck_tensor(), o.final_tensor_name, static_cast<float>(o.learning_rate)};
}

// The head on top of the backbone, as bytes of a frozen graph.
Result<std::string> Freeze(const RetrainOptions& o, const Backbone& backbone, int classes, const HeadParams& params) {
  return SerializeRetrainedGraph(backbone.def(), {backbone.features(), classes}, params, GraphOptions(o, backbone));
}

Status StoreIntermediate(const RetrainOptions& o, const Backbone& backbone, int classes, int step,
                         const HeadParams& params) {
  // The original joins folder and name without a slash of its own.
  const std::string path = fmt::format("{}intermediate_{}.pb", o.intermediate_output_graphs_dir, step);
  LogInfo("Save intermediate result to : " + path);
  COUPLET_ASSIGN_OR_RETURN(const std::string graph, Freeze(o, backbone, classes, params));
  COUPLET_RETURN_IF_ERROR(MakeDirectories(o.intermediate_output_graphs_dir));
  return WriteFileAtomically(path, graph);
}

// Logs, and every few seconds adds how the machine is.
std::function<void(const std::string&)> LogAndWatch(const DeviceSampler& watch) {
  return [&watch, last = 0.0](const std::string& line) mutable {
    LogInfo(line);
    const DeviceSample now = watch.latest();
    if (now.seconds - last < kWatchLineSeconds) return;
    last = now.seconds;
    LogInfo("Training: " + WatchText(now));
  };
}

// Where TensorBoard finds it: beside the events of the training.
std::string ProjectorFolder(const RetrainOptions& o) { return JoinPath(o.summaries_dir, "train"); }

Status WritePhotosProjector(const RetrainOptions& o, const PhotoSet& set, const HeadData& data, RetrainReport* report) {
  ProjectorData points{"bottlenecks", data.features, data.vectors, {"label", "split", "photo"}, {}, {}};
  for (size_t split = 0; split < data.rows.size(); ++split)
    for (size_t c = 0; c < data.rows[split].size(); ++c)
      for (const uint32_t row : data.rows[split][c]) points.photos.push_back({row, {set.labels[c], kSplitNames[split], set.photos[row].path}});
  std::shared_ptr<void> reading;
  if (report->store != nullptr) {
    reading = report->store->ReadTogether();
    points.thumbnail = [&](uint32_t row) { return report->store->Thumbnail(report->photo_sha256[row]); };
  }
  COUPLET_ASSIGN_OR_RETURN(const size_t kept, WriteProjector(ProjectorFolder(o), points));
  LogInfo(fmt::format("TensorBoard's projector has {} of {} photos", kept, points.photos.size()));
  report->Lap("projector");
  return {};
}

// What the page tells of the photos themselves.
Status CheckPhotos(const RetrainOptions& o, HeadTrainer& trainer, const HeadData& data, std::future<Result<WrongLabels>> wrong_labels,
                   RetrainReport* report) {
  // The head is trained: what a signal ends is a search alone.
  const auto keep = [](auto found, auto* to) -> Status {
    if (found.ok()) *to = *std::move(found);
    else if (found.status().code() != Code::kInterrupted) return found.status();
    else LogWarning(found.status().message() + "; graph, labels and report are written without it");
    return {};
  };
  COUPLET_ASSIGN_OR_RETURN(report->scores, ScorePhotos(trainer, data));
  COUPLET_RETURN_IF_ERROR(keep(wrong_labels.get(), &report->wrong_labels));
  const auto start = std::chrono::steady_clock::now();
  Progress progress("Looking for copies", o.quiet);
  NearDuplicateHooks hooks;
  hooks.progress = [&](size_t done, size_t total) {
    progress.Show(done, total, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  };
  hooks.interrupted = Interrupted;
  COUPLET_RETURN_IF_ERROR(keep(FindNearDuplicates(data, kNearDuplicate, ThreadsAskedFor(o.threads), hooks), &report->near_duplicates));
  report->Lap("checks");
  return {};
}

// Training, the final test and what is learnt from the other photos.
Status TrainHead(const RetrainOptions& o, const Backbone& backbone, Backend& backend, const PhotoSet& set,
                 HeadData& data, RetrainReport* report) {
  const HeadShape shape{.features = data.features, .classes = data.classes, .threads = ThreadsAskedFor(o.threads)};
  COUPLET_ASSIGN_OR_RETURN(const std::unique_ptr<HeadTrainer> trainer, backend.make_head_trainer(shape));
  if (data.resident == nullptr) {  // from the cache: one upload for training, test and report
    COUPLET_ASSIGN_OR_RETURN(data.resident, backend.make_resident(set.photos.size(), data.features, data.vectors));
  }
  TrainOptions options = MakeTrainOptions(o);
  Checkpoints checkpoints(o, backbone, backend, data);
  COUPLET_ASSIGN_OR_RETURN(const std::optional<TrainState> from, checkpoints.Load());
  if (!options.summaries_dir.empty()) {
    if (!from) COUPLET_RETURN_IF_ERROR(RemoveOldEvents(options.summaries_dir));
    COUPLET_RETURN_IF_ERROR(RemoveProjector(ProjectorFolder(o)));
    COUPLET_ASSIGN_OR_RETURN(options.graph, SerializeTrainingGraph(backbone.def(), shape, GraphOptions(o, backbone)));
  }
  TrainHooks hooks;
  hooks.log = LogInfo;
  if (report->watch != nullptr) hooks.log = LogAndWatch(*report->watch);
  hooks.interrupted = Interrupted;
  hooks.store_intermediate = [&](int step, const HeadParams& params) {
    return StoreIntermediate(o, backbone, data.classes, step, params);
  };
  hooks.store_checkpoint = [&](const TrainState& state) { checkpoints.Keep(state); };
  std::unique_ptr<DistortedBatches> distorted;
  if (o.distorted()) {
    COUPLET_ASSIGN_OR_RETURN(distorted, DistortedBatches::Create(set.photos, backbone, backend, MakeDistortedOptions(o)));
    LogMemoryPlan(distorted->memory());
    hooks.make_vectors = [&](int step, const HeadBatch& batch, std::span<float> vectors) {
      return distorted->Make(step, batch, vectors);
    };
  }
  // Asks for the vectors alone: beside the steps, which leave half of a second core idle (with distortions they leave none), where
  // there may be a second thread.
  std::future<Result<WrongLabels>> wrong_labels;
  if (!o.report.empty())
    wrong_labels = std::async(ThreadsAskedFor(o.threads) > 1 && !o.distorted() ? std::launch::async | std::launch::deferred : std::launch::deferred,
                              [&] { return FindWrongLabels(data, o.seed, hooks.interrupted); });
  COUPLET_ASSIGN_OR_RETURN(report->training, Train(*trainer, data, options, hooks, from ? &*from : nullptr));
  if (!report->training.events_warning.empty()) LogWarning(report->training.events_warning);
  if (report->training.stopped.code() == Code::kDiverged) LogWarning(report->training.stopped.message());
  report->Lap("training");
  // A graph that diverged is still written, with its last finite weights; one that was cut short is not.
  const Status& stopped = report->training.stopped;
  if (stopped.code() == Code::kInterrupted) return checkpoints.Explain(stopped);
  if (!stopped.ok() && stopped.code() != Code::kDiverged) return stopped;
  if (o.projector) COUPLET_RETURN_IF_ERROR(WritePhotosProjector(o, set, data, report));
  report->test_batch = DrawBatch(data.rows[static_cast<size_t>(Split::kTesting)], o.test_batch_size, o.seed, 0, kStreamTest);
  COUPLET_ASSIGN_OR_RETURN(report->test, EvaluateBatch(*trainer, data, report->test_batch));
  COUPLET_ASSIGN_OR_RETURN(report->calibration, Calibrate(*trainer, data));
  report->Lap("test");
  return o.report.empty() ? Status() : CheckPhotos(o, *trainer, data, std::move(wrong_labels), report);
}

// The outputs' folders, made and tried before anything is computed.
Status PrepareOutputFolders(const RetrainOptions& o) {
  for (const std::string& path : {o.output_graph, o.output_labels, o.json, o.report}) {
    if (path.empty()) continue;
    const std::string folder = ParentDirectory(path);
    COUPLET_RETURN_IF_ERROR(MakeDirectories(folder));
    COUPLET_RETURN_IF_ERROR(CheckWritableDirectory(folder));
    RemoveAbandonedFiles(folder);
  }
  if (o.intermediate_store_frequency > 0) RemoveAbandonedFiles(ParentDirectory(o.intermediate_output_graphs_dir + "x"));
  return {};
}

Status WriteOutputs(const RetrainOptions& o, const Backbone& backbone, const PhotoSet& set,
                    RetrainReport* report) {
  COUPLET_ASSIGN_OR_RETURN(const std::string graph,
                           Freeze(o, backbone, static_cast<int>(set.labels.size()), report->training.params));
  const bool calibrated = report->calibration.photos > 0;
  // A tenth of a second for Inception's 87 MB: once, and only where it is told.
  const Sha256Digest sha256 = calibrated || !o.report.empty() ? Sha256(std::as_bytes(std::span(graph))) : Sha256Digest{};
  report->output_graph_sha256 = ToHex(sha256);
  const std::string labels = FormatLabels(set.labels), calibration = FormatCalibration(report->calibration, sha256);
  std::vector<FileToWrite> files = {{o.output_labels, labels}};
  // For label_image --threshold. Before the graph: it is held to the graph it was made for.
  const std::string calibration_path = CalibrationPath(o.output_graph);
  if (calibrated) files.push_back({calibration_path, calibration});
  files.push_back({o.output_graph, graph});
  COUPLET_RETURN_IF_ERROR(WriteFilesAtomically(files));
  RemoveCheckpoint(o);
  return {};
}

// Bottlenecks, training and test; on the CPU if the GPU that `auto` chose does not manage.
Status Compute(const RetrainOptions& o, const Backbone& backbone, std::unique_ptr<Backend> backend, PhotoSet* set,
               RetrainReport* report) {
  auto data = ExtractVectors(o, backbone, *backend, set, report);
  if (FallsBack(o.device, *backend, data.status())) {
    backend = MakeCpuBackend();
    data = ExtractVectors(o, backbone, *backend, set, report);
  }
  COUPLET_RETURN_IF_ERROR(data.status());
  report->Lap("bottlenecks");
  Status status = TrainHead(o, backbone, *backend, *set, *data, report);
  if (FallsBack(o.device, *backend, status)) {
    data->resident.reset();
    backend = MakeCpuBackend();
    status = TrainHead(o, backbone, *backend, *set, *data, report);
  }
  return status;
}

Status Run(const RetrainOptions& o) {
  COUPLET_RETURN_IF_ERROR(CheckRetrainOptions(o));
  std::unique_ptr<Backend> backend;
  // Asked for by name, it is missed before anything is downloaded.
  if (o.device.device == "cuda") {
    COUPLET_ASSIGN_OR_RETURN(backend, OpenDevice(o.device, {}));
  }
  COUPLET_RETURN_IF_ERROR(PrepareOutputFolders(o));
  RetrainReport report;
  if (o.watch) report.watch = std::make_unique<DeviceSampler>();
  COUPLET_ASSIGN_OR_RETURN(PhotoSet set, ListPhotos(o, &report));
  report.Lap("list");
  Progress downloads("", o.quiet);
  COUPLET_ASSIGN_OR_RETURN(const Backbone backbone, Backbone::Open(o.backbone, [&](const std::string& line, bool transient) {
                             downloads.Line(line, transient);
                           }));
  // A name that the graph cannot have is refused before the photos are looked at.
  const HeadShape head{backbone.features(), static_cast<int>(set.labels.size())};
  COUPLET_RETURN_IF_ERROR(CheckRetrainedGraph(backbone.def(), head, GraphOptions(o, backbone)));
  report.architecture = backbone.architecture();
  report.graph_sha256 = backbone.graph_sha256();
  report.Lap("model");
  if (backend == nullptr) {
    COUPLET_ASSIGN_OR_RETURN(backend, OpenDevice(o.device, [&] { return WorthAGpu(o, backbone, set); }));
  }
  COUPLET_RETURN_IF_ERROR(Compute(o, backbone, std::move(backend), &set, &report));
  PrintTest(set, report, o.print_misclassified_test_images);
  for (const std::string& line : TrainingAdvice(report.training, report.test, set.labels, o.learning_rate)) LogWarning(line);
  COUPLET_RETURN_IF_ERROR(WriteOutputs(o, backbone, set, &report));
  report.Lap("write");
  if (!o.report.empty()) {
    COUPLET_RETURN_IF_ERROR(WriteFileAtomically(o.report, ReportHtml(o, backbone, set, report), Durability::kMayBeOld));
    report.Lap("report");
  }
  PrintSummary(report);
  if (!o.json.empty()) COUPLET_RETURN_IF_ERROR(WriteFileAtomically(o.json, ReportJson(o, set, report)));
  LogInfo(fmt::format("Wrote {} and {}{}", o.output_graph, o.output_labels,
                      o.report.empty() ? "" : "; " + o.report + " opens in a browser"));
  return report.training.stopped;
}

int Main(int argc, char** argv) {
  InstallSignalHandlers();
  RetrainOptions options;
  Status status = ParseRetrainFlags(kProgram, argc, argv, &options);
  SetQuiet(options.quiet);
  options.backbone.interrupted = Interrupted;
  options.backbone.threads = ThreadsAskedFor(options.threads);
  if (status.ok() && options.device.list_devices) {
    Out("{}", DescribeDevices());
    return FinishOutput(kProgram, 0);
  }
  if (status.ok()) status = Run(options);
  RunAgainWatched(options.device, status, false, argv);
  return Finish(kProgram, status);
}

}  // namespace
}  // namespace couplet

int main(int argc, char** argv) {
  return couplet::GuardedMain(couplet::kProgram, couplet::Main, argc, argv);
}
