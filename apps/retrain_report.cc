// SPDX-License-Identifier: Apache-2.0
#include "apps/retrain_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/console.h"
#include "apps/watch.h"
#include "loaders/machine_files.h"

namespace couplet {
namespace {

using Json = nlohmann::ordered_json;

std::string Percent(const std::optional<double>& fraction) {
  return fraction ? fmt::format("{:.1f}%", *fraction * 100) : "-";
}

// As many columns as a wide terminal has room for.
constexpr int kMatrixClasses = 20;
constexpr size_t kMistakes = 10;

// Rows are true labels, columns what they were taken for; columns are numbered so that long labels fit.
void PrintConfusion(const std::vector<std::string>& labels, size_t width, const Evaluation& test) {
  Out("\nConfusion matrix (rows: the true label, columns: what it was taken for)\n{:>{}}", "", width + 5);
  for (int c = 0; c < test.classes; ++c) Out("{:>6}", c);
  Out("\n");
  for (int row = 0; row < test.classes; ++row) {
    Out("{:>4} {:<{}}", row, labels[static_cast<size_t>(row)], width);
    for (int column = 0; column < test.classes; ++column)
      Out("{:>6}", test.confusion[static_cast<size_t>(int64_t{row} * test.classes + column)]);
    Out("\n");
  }
}

void PrintMistakes(const std::vector<std::string>& labels, const Evaluation& test) {
  struct Mistake {
    int count;
    size_t label, taken_for;
  };
  std::vector<Mistake> mistakes;
  for (size_t row = 0; row < labels.size(); ++row)
    for (size_t column = 0; column < labels.size(); ++column)
      if (const int count = test.confusion[row * labels.size() + column]; row != column && count > 0)
        mistakes.push_back({count, row, column});
  std::stable_sort(mistakes.begin(), mistakes.end(), [](const Mistake& a, const Mistake& b) { return a.count > b.count; });
  mistakes.resize(std::min(mistakes.size(), kMistakes));
  Out("\nMost frequent mistakes of {} classes (the confusion matrix stands in the report page and in --json)\n", labels.size());
  for (const Mistake& m : mistakes) Out("{:>6}  {} taken for {}\n", m.count, labels[m.label], labels[m.taken_for]);
  if (mistakes.empty()) Out("  none\n");
}

void PrintClasses(const std::vector<std::string>& names, const Evaluation& test) {
  size_t width = 5;
  std::vector<std::string> labels;
  labels.reserve(names.size());
  for (const std::string& name : names) labels.push_back(OneLine(name));
  for (const std::string& label : labels) width = std::max(width, label.size());
  if (test.classes <= kMatrixClasses) PrintConfusion(labels, width, test);
  else PrintMistakes(labels, test);
  Out("\n{:<{}} {:>6} {:>10} {:>8}\n", "label", width, "N", "precision", "recall");
  for (int c = 0; c < test.classes; ++c)
    Out("{:<{}} {:>6} {:>10} {:>8}\n", labels[static_cast<size_t>(c)], width, test.actual(c),
               Percent(test.precision(c)), Percent(test.recall(c)));
}

Json TestJson(const PhotoSet& set, const RetrainReport& report) {
  const Evaluation& test = report.test;
  Json json = {{"count", test.n}};
  json["accuracy"] = test.n > 0 ? Json(static_cast<double>(test.correct) / test.n) : Json(nullptr);
  json["cross_entropy"] = test.n > 0 ? Json(ShortestDouble(static_cast<float>(test.mean_loss))) : Json(nullptr);
  json["confusion"] = Json::array();
  json["classes"] = Json::array();
  for (int c = 0; c < test.classes; ++c) {
    const auto row = test.confusion.begin() + int64_t{c} * test.classes;
    json["confusion"].push_back(std::vector<int>(row, row + test.classes));
    const auto precision = test.precision(c), recall = test.recall(c);
    json["classes"].push_back({{"label", set.labels[static_cast<size_t>(c)]},
                               {"count", test.actual(c)},
                               {"precision", precision ? Json(*precision) : Json(nullptr)},
                               {"recall", recall ? Json(*recall) : Json(nullptr)}});
  }
  json["misclassified"] = Json::array();
  for (size_t i : test.misclassified)
    json["misclassified"].push_back(
        {{"path", set.photos[report.test_batch.rows[i]].path},
         {"label", set.labels[static_cast<size_t>(report.test_batch.labels[i])]},
         {"predicted", set.labels[static_cast<size_t>(test.predicted[i])]},
         {"probability", ShortestDouble(test.top_probability[i])}});
  return json;
}

double SecondsOf(const RetrainReport& report, const std::string& stage) {
  for (const Stage& one : report.stages)
    if (one.name == stage) return one.seconds;
  return 0;
}

}  // namespace

void RetrainReport::Lap(const std::string& stage) {
  const auto now = std::chrono::steady_clock::now();
  const double took = std::chrono::duration<double>(now - std::exchange(last_lap, now)).count();
  const size_t peak_bytes = PeakResidentBytes();
  for (Stage& one : stages)
    if (one.name == stage) {
      one.seconds += took;
      one.peak_bytes = peak_bytes;
      return;
    }
  stages.push_back({stage, took, peak_bytes});
}

double RetrainReport::total_seconds() const {
  double total = 0;
  for (const Stage& stage : stages) total += stage.seconds;
  return total;
}

void NoteExtraction(const PhotoSet& set, const ExtractResult& result, RetrainReport* report) {
  report->computed = result.computed;
  report->cached = result.cached;
  report->mismatched = result.mismatched;
  report->damaged = result.damaged;
  report->jpeg_warnings = result.jpeg_warnings;
  report->photo_sha256 = result.photo_sha256;
  report->store = result.store;
  for (const std::string& note : result.notes) LogInfo(note);
  for (const FailedPhoto& failed : result.failed) {
    report->left_out.emplace_back(set.photos[failed.index].path, failed.reason);
    LogWarning(fmt::format("left out: {}: {}", set.photos[failed.index].path, failed.reason));
  }
  if (!result.batch_warning.empty()) LogWarning(result.batch_warning);
  if (!result.store_warning.empty()) LogWarning(result.store_warning);
  if (result.damaged > 0)
    LogWarning(fmt::format("{} damaged bottlenecks in the cache were made again", result.damaged));
  if (result.mismatched > 0)
    LogWarning(fmt::format("{} cached bottlenecks were not what the photos give; they were computed anew", result.mismatched));
  LogInfo(fmt::format("{} bottlenecks computed, {} from the cache{}", result.computed, result.cached,
                      result.jpeg_warnings > 0 ? fmt::format(", {} warnings of the JPEG decoder", result.jpeg_warnings) : ""));
}

void PrintTest(const PhotoSet& set, const RetrainReport& report, bool print_misclassified) {
  const Evaluation& test = report.test;
  if (test.n == 0) {
    Out("Final test accuracy: not known, there are no test photos (N=0)\n");
    return;
  }
  const std::string line = fmt::format("Final test accuracy = {:.1f}% (N={})", AccuracyPercent(test.correct, test.n), test.n);
  LogInfo(line);
  Out("{}\n", line);
  PrintClasses(set.labels, test);
  if (!print_misclassified) return;
  LogInfo("=== MISCLASSIFIED TEST IMAGES ===");
  for (size_t i : test.misclassified)
    LogInfo(fmt::format("{:>70}  {}", set.photos[report.test_batch.rows[i]].path,
                        set.labels[static_cast<size_t>(test.predicted[i])]));
}

void PrintSummary(const RetrainReport& report) {
  if (!report.left_out.empty()) {
    LogWarning(fmt::format("{} {} could not be read and {} left out:", report.left_out.size(),
                           report.left_out.size() == 1 ? "photo" : "photos", report.left_out.size() == 1 ? "was" : "were"));
    for (const auto& [path, reason] : report.left_out) LogWarning(fmt::format("  {}: {}", path, reason));
  }
  std::string line = "Time:";
  for (const Stage& stage : report.stages) line += fmt::format(" {} {:.2f} s,", stage.name, stage.seconds);
  LogInfo(fmt::format("{} in all {:.2f} s", line, report.total_seconds()));
  if (report.watch != nullptr) LogInfo(WatchSummary(*report.watch, report.computed, report.photo_joules));
}

std::string ReportJson(const RetrainOptions& options, const PhotoSet& set, const RetrainReport& report) {
  Json json = {{"architecture", report.architecture}, {"graph_sha256", report.graph_sha256}, {"device", report.device},
               {"image_dir", options.image_dir},      {"seed", options.seed},
               {"steps", report.training.steps},      {"learning_rate", options.learning_rate},
               {"labels", set.labels}};
  for (size_t split = 0; split < kSplitNames.size(); ++split)
    json["photos"][kSplitNames[split]] = set.Count(static_cast<Split>(split));
  json["ignored"] = report.ignored;
  json["left_out"] = Json::array();
  for (const auto& [path, reason] : report.left_out) json["left_out"].push_back({{"path", path}, {"reason", reason}});
  const double seconds = SecondsOf(report, "bottlenecks");
  json["bottlenecks"] = {{"computed", report.computed}, {"cached", report.cached}, {"mismatched", report.mismatched},
                         {"damaged", report.damaged}, {"jpeg_warnings", report.jpeg_warnings},
                         {"photos_per_second", seconds > 0 ? static_cast<double>(report.computed) / seconds : 0.0}};
  json["history"] = Json::array();
  for (const EvalPoint& point : report.training.history) {
    Json entry = {{"step", point.step}, {"train_accuracy", ShortestDouble(point.train_accuracy / 100)},
                  {"cross_entropy", ShortestDouble(static_cast<float>(point.cross_entropy))}};
    entry["validation_accuracy"] = point.validation_n > 0 ? Json(ShortestDouble(point.validation_accuracy / 100)) : Json(nullptr);
    entry["validation_cross_entropy"] =
        point.validation_n > 0 ? Json(ShortestDouble(static_cast<float>(point.validation_cross_entropy))) : Json(nullptr);
    entry["validation_count"] = point.validation_n;
    json["history"].push_back(std::move(entry));
  }
  json["test"] = TestJson(set, report);
  json["calibration"] = {{"photos", report.calibration.photos}};
  json["calibration"]["temperature"] =
      report.calibration.photos > 0 ? Json(ShortestDouble(static_cast<float>(report.calibration.temperature))) : Json(nullptr);
  for (const Stage& stage : report.stages) json["seconds"][stage.name] = stage.seconds;
  json["seconds"]["total"] = report.total_seconds();
  if (report.watch != nullptr) json["watch"] = WatchJson(*report.watch, report.computed, report.photo_joules);
  json["output_graph"] = options.output_graph;
  json["output_labels"] = options.output_labels;
  json["report"] = options.report;
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace couplet
