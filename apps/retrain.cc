// retrain: the codelab's scripts.retrain. Photos -> bottlenecks -> a trained last layer -> a frozen graph and labels.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>

#include "apps/cli.h"
#include "apps/progress.h"
#include "apps/retrain_options.h"
#include "apps/retrain_report.h"
#include "loaders/event_file.h"
#include "loaders/files.h"
#include "loaders/labels.h"
#include "loaders/threads.h"
#include "models/distorted_batches.h"
#include "kernels/philox.h"

namespace couplet {
namespace {

constexpr const char* kProgram = "retrain";

bool Interrupted() { return CaughtSignal() != 0; }

Result<PhotoSet> ListPhotos(const RetrainOptions& o) {
  const ImageListOptions options = MakeImageListOptions(o);
  COUPLET_ASSIGN_OR_RETURN(const ImageLists lists, CreateImageLists(options));
  constexpr std::string_view kWarning = "WARNING:";
  for (const std::string& line : lists.log)
    line.starts_with(kWarning) ? LogWarning(line.substr(kWarning.size())) : LogInfo(line);
  for (const auto& [extension, count] : lists.ignored)
    LogInfo(fmt::format("{} {} left alone: '{}' is not among the photos' extensions", count,
                        count == 1 ? "file" : "files", extension));
  return MakePhotoSet(options, lists);
}

// Vectors of every photo; those that cannot be read leave `set`.
Result<HeadData> Extract(const RetrainOptions& o, const Backbone& backbone, Backend& backend, PhotoSet* set,
                         RetrainReport* report) {
  ExtractOptions options = MakeExtractOptions(o);
  options.decode = MakeDecodeOptions(o, backbone.input_size());
  options.architecture = backbone.architecture();
  options.key = backbone.Key(options.decode, backend);
  Progress progress("Creating bottlenecks", o.quiet);
  COUPLET_ASSIGN_OR_RETURN(const PhotoNetwork network, backbone.Network(backend));
  COUPLET_ASSIGN_OR_RETURN(
      ExtractResult result,
      ExtractFeatures(set->photos, backbone.features(), network, options,
                      [&](const ExtractProgress& p) { progress.Show(p.done, p.total, p.seconds); }, Interrupted));
  NoteExtraction(*set, result, report);
  if (o.strict && !result.failed.empty())
    return BadInput(fmt::format("--strict: {} of {} photos cannot be read", result.failed.size(), set->photos.size()));
  COUPLET_RETURN_IF_ERROR(LeaveOut(result.failed, set));
  HeadData data;
  data.features = backbone.features();
  data.classes = static_cast<int>(set->labels.size());
  data.vectors = std::move(result.vectors);
  data.rows = set->rows;
  return data;
}

// The head on top of the backbone, as bytes of a frozen graph.
Result<std::string> Freeze(const RetrainOptions& o, const Backbone& backbone, int classes, const HeadParams& params) {
  return SerializeRetrainedGraph(backbone.def(), {backbone.features(), classes}, params,
                                 {backbone.bottleneck_tensor(), o.final_tensor_name});
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

Status TrainHead(const RetrainOptions& o, const Backbone& backbone, Backend& backend, const PhotoSet& set,
                 const HeadData& data, HeadTrainer& trainer, RetrainReport* report) {
  TrainOptions options = MakeTrainOptions(o);
  const HeadShape shape{data.features, data.classes};
  if (!options.summaries_dir.empty()) {
    COUPLET_RETURN_IF_ERROR(RemoveOldEvents(options.summaries_dir));
    const RetrainedGraphOptions names{backbone.bottleneck_tensor(), o.final_tensor_name, static_cast<float>(o.learning_rate)};
    COUPLET_ASSIGN_OR_RETURN(options.graph, SerializeTrainingGraph(backbone.def(), shape, names));
  }
  TrainHooks hooks;
  hooks.log = LogInfo;
  hooks.interrupted = Interrupted;
  hooks.store_intermediate = [&](int step, const HeadParams& params) {
    return StoreIntermediate(o, backbone, data.classes, step, params);
  };
  std::unique_ptr<DistortedBatches> distorted;
  if (o.distorted()) {
    COUPLET_ASSIGN_OR_RETURN(distorted, DistortedBatches::Create(set.photos, backbone, backend, MakeDistortedOptions(o)));
    hooks.make_vectors = [&](int step, const HeadBatch& batch, std::span<float> vectors) {
      return distorted->Make(step, batch, vectors);
    };
  }
  COUPLET_ASSIGN_OR_RETURN(report->training, Train(trainer, data, options, hooks));
  if (!report->training.events_warning.empty()) LogWarning(report->training.events_warning);
  if (report->training.stopped.code() == Code::kDiverged) LogWarning(report->training.stopped.message());
  // A graph that diverged is still written, with its last finite weights; one that was cut short is not.
  return report->training.stopped.code() == Code::kDiverged ? Status() : report->training.stopped;
}

// The outputs' folders, made and tried before anything is computed.
Status PrepareOutputFolders(const RetrainOptions& o) {
  for (const std::string& path : {o.output_graph, o.output_labels, o.json}) {
    if (path.empty()) continue;
    const std::string folder = ParentDirectory(path);
    COUPLET_RETURN_IF_ERROR(MakeDirectories(folder));
    COUPLET_RETURN_IF_ERROR(CheckWritableDirectory(folder));
  }
  return {};
}

Status WriteOutputs(const RetrainOptions& o, const Backbone& backbone, const PhotoSet& set,
                    const RetrainReport& report) {
  COUPLET_ASSIGN_OR_RETURN(const std::string graph,
                           Freeze(o, backbone, static_cast<int>(set.labels.size()), report.training.params));
  const std::string labels = FormatLabels(set.labels);
  return WriteFilesAtomically(std::vector<FileToWrite>{{o.output_labels, labels}, {o.output_graph, graph}});
}

Status Run(const RetrainOptions& o) {
  COUPLET_RETURN_IF_ERROR(CheckRetrainOptions(o));
  COUPLET_RETURN_IF_ERROR(PrepareOutputFolders(o));
  RetrainReport report;
  auto last = std::chrono::steady_clock::now();
  const auto lap = [&](const char* stage) {
    const auto now = std::chrono::steady_clock::now();
    report.seconds.emplace_back(stage, std::chrono::duration<double>(now - std::exchange(last, now)).count());
  };
  COUPLET_ASSIGN_OR_RETURN(PhotoSet set, ListPhotos(o));
  lap("list");
  Progress downloads("", o.quiet);
  COUPLET_ASSIGN_OR_RETURN(const Backbone backbone, Backbone::Open(o.backbone, [&](const std::string& line, bool transient) {
                             downloads.Line(line, transient);
                           }));
  report.architecture = backbone.architecture();
  report.graph_sha256 = backbone.graph_sha256();
  lap("model");
  const std::unique_ptr<Backend> backend = MakeCpuBackend();
  COUPLET_ASSIGN_OR_RETURN(const HeadData data, Extract(o, backbone, *backend, &set, &report));
  lap("bottlenecks");
  COUPLET_ASSIGN_OR_RETURN(const auto trainer, backend->make_head_trainer({data.features, data.classes}));
  COUPLET_RETURN_IF_ERROR(TrainHead(o, backbone, *backend, set, data, *trainer, &report));
  lap("training");
  report.test_batch = DrawBatch(data.rows[static_cast<size_t>(Split::kTesting)], o.test_batch_size, o.seed, 0, kStreamTest);
  COUPLET_ASSIGN_OR_RETURN(report.test, EvaluateBatch(*trainer, data, report.test_batch));
  PrintTest(set, report, o.print_misclassified_test_images);
  lap("test");
  COUPLET_RETURN_IF_ERROR(WriteOutputs(o, backbone, set, report));
  lap("write");
  PrintSummary(report);
  if (!o.json.empty()) COUPLET_RETURN_IF_ERROR(WriteFileAtomically(o.json, ReportJson(o, set, report)));
  LogInfo(fmt::format("Wrote {} and {}", o.output_graph, o.output_labels));
  return report.training.stopped;
}

}  // namespace
}  // namespace couplet

int main(int argc, char** argv) {
  using namespace couplet;
  InstallSignalHandlers();
  CLI::App app("Retrains an image classifier on your photos, as TensorFlow for Poets' retrain.py does.", kProgram);
  RetrainOptions options;
  DeclareRetrainFlags(app, options);
  Status status = ParseCommandLine(app, argc, argv);
  SetQuiet(options.quiet);
  options.backbone.interrupted = Interrupted;
  if (status.ok()) status = Run(options);
  if (status.code() == Code::kInterrupted) {
    Fail(kProgram, status);
    return 128 + CaughtSignal();
  }
  return FinishOutput(kProgram, status.ok() ? 0 : Fail(kProgram, status));
}
