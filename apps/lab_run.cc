// SPDX-License-Identifier: Apache-2.0
#include "apps/lab_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <system_error>

#include "apps/console.h"
#include "apps/device.h"
#include "apps/html.h"
#include "apps/progress.h"
#include "apps/watch.h"
#include "loaders/files.h"
#include "loaders/machine_files.h"
#include "loaders/threads.h"
#include "models/graph_census.h"
#include "models/sweep.h"

namespace couplet {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFewSteps = 1000;
constexpr int kFewCounts[] = {5, 10, 20, 50, 100};  // training photos a class
constexpr size_t kCurvePoints = 80;
constexpr int kSideBySideOnAGpu = 4;

// From the node that photos enter at back to the graph's own beginning: where a size, a mean or a name comes from.
Json InputPath(const GraphDef& def, std::string_view name) {
  Json path = Json::array();
  for (const NodeView* node = def.Find(name); node != nullptr && path.size() < 12;) {
    Json constants = Json::array();
    const NodeView* from = nullptr;
    for (const std::string_view input : node->inputs) {
      const NodeView* source = def.Find(NodeNameOf(input));
      if (source == nullptr || input.starts_with('^')) continue;
      if (source->op != "Const") {
        from = source;
        continue;
      }
      const auto value = def.ConstValue(*source);
      if (!value.ok() || value->count > 4) continue;
      std::string text;
      for (size_t i = 0; i < value->count; ++i) {
        double number = 0;
        if (value->content.empty())
          number = value->values.size() > i ? value->values[i] : value->values.empty() ? 0 : value->values[0];
        else if (value->dtype == DataType::kInt32)
          number = reinterpret_cast<const int32_t*>(value->content.data())[i];
        else if (value->dtype == DataType::kFloat)
          number = reinterpret_cast<const float*>(value->content.data())[i];
        text += fmt::format("{}{:g}", i == 0 ? "" : ", ", number);
      }
      constants.push_back(fmt::format("{} = {}", source->name, text));
    }
    Json one = {{"name", node->name}, {"op", node->op}, {"constants", constants}};
    if (const auto shape = GraphDef::AttrShape(*node, "shape"))
      one["shape"] = *shape;
    path.push_back(std::move(one));
    node = from;
  }
  return path;
}

Json GraphJson(const Backbone& backbone, const std::string& input) {
  const GraphCensus census = CountGraph(backbone.graph());
  return {{"nodes", backbone.def().nodes().size()},
          {"bytes", backbone.def().bytes().size()},
          {"weight_layers", census.weight_layers},
          {"parameters", census.parameters},
          {"multiply_adds", census.multiply_adds},
          {"kinds", census.kinds},
          {"input_path", InputPath(backbone.def(), input)}};
}

// One of the user's own photos, as the network sees it in the end.
Json ExampleJson(const PhotoSet& set, const ExtractResult& result, int features) {
  const uint32_t row = set.rows[0][0][0];
  Json example = {{"path", set.photos[row].path}, {"label", set.labels[0]}};
  const auto begin = result.vectors.begin() + static_cast<std::ptrdiff_t>(row) * features;
  Json values = Json::array();
  for (auto value = begin; value != begin + features; ++value) values.push_back(ShortestDouble(*value));
  example["vector"] = std::move(values);
  const auto jpeg = result.store != nullptr ? result.store->Thumbnail(result.photo_sha256[row]) : std::nullopt;
  example["thumbnail"] = jpeg ? Base64(*jpeg) : "";
  return example;
}

Json CurveJson(const std::vector<EvalPoint>& history) {
  Json curve = Json::array();
  const size_t step = std::max<size_t>(1, (history.size() + kCurvePoints - 1) / kCurvePoints);
  for (size_t i = 0; i < history.size(); i += step) {
    const EvalPoint& point = history[i];
    curve.push_back({point.step, ShortestDouble(point.train_accuracy / 100),
                     point.validation_n > 0 ? Json(ShortestDouble(point.validation_accuracy / 100)) : Json(nullptr),
                     ShortestDouble(static_cast<float>(point.cross_entropy))});
  }
  return curve;
}

std::vector<SweepJob> MakeJobs(const LabOptions& o, const PhotoSet& set) {
  std::vector<SweepJob> jobs;
  const auto add = [&](double rate, int seed, int steps, int per_class) {
    SweepJob job;
    job.options.learning_rate = rate;
    job.options.seed = static_cast<uint64_t>(seed);
    job.options.how_many_training_steps = steps;
    job.per_class = per_class;
    jobs.push_back(job);
  };
  for (const double rate : o.learning_rates)
    for (int seed = 0; seed < o.seeds; ++seed) add(rate, seed, o.steps, 0);
  size_t largest = 0;
  for (const auto& rows : set.rows[0]) largest = std::max(largest, rows.size());
  for (const int count : kFewCounts)
    for (int seed = 0; seed < o.seeds && static_cast<size_t>(count) <= largest; ++seed)
      add(TrainOptions().learning_rate, seed, std::min(o.steps, kFewSteps), count);
  return jobs;
}

Json ResultJson(const SweepJob& job, const SweepResult& result) {
  Json json = {{"learning_rate", job.options.learning_rate}, {"seed", job.options.seed}};
  if (job.per_class > 0) json["per_class"] = job.per_class;
  json["steps"] = result.steps;
  json["diverged"] = !result.stopped.ok();
  json["right"] = result.right;
  json["count"] = result.n;
  json["accuracy"] = result.n > 0 ? Json(static_cast<double>(result.right) / result.n) : Json(nullptr);
  json["seconds"] = result.seconds;
  if (result.together > 1) json["together"] = result.together;
  if (job.per_class == 0) json["curve"] = CurveJson(result.history);
  return json;
}

void PrintResult(const std::string& system, const SweepJob& job, const SweepResult& result) {
  const std::string accuracy = result.n > 0 ? fmt::format("{:.1f} %", 100.0 * result.right / result.n) : "-";
  Out("{:<28} {:>8} {:>5} {:>10} {:>9} {:>8.3f} s{}\n", system, job.options.learning_rate, job.options.seed,
      job.per_class > 0 ? fmt::format("{} a class", job.per_class) : "all", accuracy, result.seconds,
      result.stopped.ok() ? "" : "  diverged");
  std::fflush(stdout);
}

Result<ExtractResult> ExtractCold(const LabOptions& o, const std::string& dir, const Backbone& backbone, Backend& backend,
                                  const DeviceSampler& watch, const PhotoSet& set) {
  std::error_code error;
  std::filesystem::remove_all(dir, error);
  if (error) return IoError(fmt::format("cannot empty {}: {}; name another --output_dir", dir, error.message()));
  ExtractOptions options;
  options.threads = o.threads;
  options.decode.resize_rows = backbone.input_size();
  options.bottleneck_dir = dir;
  options.key = backbone.Key(options.decode, backend);
  Progress progress("Creating bottlenecks", false);
  COUPLET_ASSIGN_OR_RETURN(const PhotoNetwork network, backbone.Network(backend, set.photos.size()));
  LogMemoryPlan(network.memory);
  return ExtractFeatures(set.photos, backbone.features(), network, options,
                         [&](const ExtractProgress& p) { progress.Show(p.done, p.total, p.seconds, WatchText(watch.latest())); },
                         Interrupted);
}

Status Sweep(const LabOptions& o, const std::string& name, Backend& backend, const PhotoSet& set, const HeadData& data, Json* json) {
  const std::vector<SweepJob> jobs = MakeJobs(o, set);
  // On the CPU each head has a core. A GPU steps many heads at once, and has some such groups side by side, each with its stream.
  const int threads = backend.kind() == "cpu" ? ThreadsAskedFor(o.threads) : kSideBySideOnAGpu;
  const auto begun = std::chrono::steady_clock::now();
  COUPLET_ASSIGN_OR_RETURN(const std::vector<SweepResult> results,
                           RunSweep(backend, data, jobs, threads,
                                    [&](size_t job, const SweepResult& result) { PrintResult(name, jobs[job], result); },
                                    Interrupted));
  (*json)["training_seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  (*json)["training_threads"] = threads;
  (*json)["runs"] = Json::array();
  (*json)["few"] = Json::array();
  for (size_t i = 0; i < jobs.size(); ++i)
    (*json)[jobs[i].per_class > 0 ? "few" : "runs"].push_back(ResultJson(jobs[i], results[i]));
  return {};
}

// A file's name says little where every network's is frozen_graph.pb: its folder's goes with it.
std::string NetworkName(const std::string& asked_for) {
  const size_t slash = asked_for.rfind('/');
  if (slash == std::string::npos || slash == 0) return asked_for;
  const size_t before = asked_for.rfind('/', slash - 1);
  return before == std::string::npos ? asked_for : asked_for.substr(before + 1);
}

}  // namespace

Result<Json> RunLabSystem(const LabOptions& o, const std::string& architecture, const Backbone& backbone, Backend& backend,
                          PhotoSet set) {
  const std::string network = NetworkName(architecture), name = fmt::format("{} {}", network, backend.kind());
  Json json = {{"architecture", network}, {"asked_for", architecture}, {"device", backend.kind()},
               {"device_description", backend.description()}, {"graph_sha256", backbone.graph_sha256()},
               {"input", backbone.input_layer()}, {"input_size", backbone.input_size()},
               {"mean", backbone.normalization().mean}, {"std", backbone.normalization().std},
               {"bottleneck", backbone.bottleneck_tensor()}, {"features", backbone.features()},
               {"graph", GraphJson(backbone, backbone.input_layer())}};
  const std::string dir = JoinPath(JoinPath(o.output_dir, "bottlenecks"), fmt::format("{}_{}_{}", backbone.architecture(), backbone.graph_sha256().substr(0, 8), backend.kind()));
  const DeviceSampler watch;
  const double cpu_before = ProcessorSeconds();
  const auto begun = std::chrono::steady_clock::now();
  COUPLET_ASSIGN_OR_RETURN(ExtractResult result, ExtractCold(o, dir, backbone, backend, watch, set));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  json["extraction"] = {{"seconds", seconds},
                        {"photos", result.computed},
                        {"photos_per_second", static_cast<double>(result.computed) / seconds},
                        {"unreadable", result.failed.size()},
                        {"cores_busy", (ProcessorSeconds() - cpu_before) / seconds},
                        {"peak_mb", static_cast<double>(PeakResidentBytes()) / (1 << 20)}};
  const std::optional<double> photo_joules = watch.joules();
  Out("{:<28} {} photos in {:.2f} s, {:.1f} a second, cold\n", name, result.computed, seconds,
      static_cast<double>(result.computed) / seconds);
  COUPLET_RETURN_IF_ERROR(LeaveOut(result.failed, &set));
  json["example"] = ExampleJson(set, result, backbone.features());
  HeadData data = MakeHeadData(set, backbone.features(), std::move(result.vectors));
  COUPLET_ASSIGN_OR_RETURN(data.resident, backend.make_resident(set.photos.size(), data.features, data.vectors));
  COUPLET_RETURN_IF_ERROR(Sweep(o, name, backend, set, data, &json));
  json["watch"] = WatchJson(watch, static_cast<size_t>(json["extraction"]["photos"]), photo_joules);
  return json;
}

}  // namespace couplet
