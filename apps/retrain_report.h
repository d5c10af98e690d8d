// Every figure of a run: printed as the codelab's readers expect, and written as JSON for --json.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/retrain_options.h"
#include "loaders/device_sampler.h"
#include "models/calibration.h"
#include "models/near_duplicates.h"
#include "models/photo_scores.h"
#include "models/photo_set.h"
#include "models/training.h"
#include "models/wrong_labels.h"

namespace couplet {

struct Stage {
  std::string name;
  double seconds = 0;
  size_t peak_bytes = 0;  // the most memory this process had resident, from its start to the stage's end
};

struct RetrainReport {
  std::string architecture, graph_sha256;
  std::string device;  // that made the bottlenecks: "cpu", "cuda"
  std::map<std::string, int> ignored;                         // files that are no photos by their names: extension, how many
  std::vector<std::pair<std::string, std::string>> left_out;  // path, reason
  size_t computed = 0, cached = 0, mismatched = 0, damaged = 0;  // bottlenecks
  int jpeg_warnings = 0;
  std::unique_ptr<DeviceSampler> watch;   // null without --watch
  std::optional<double> photo_joules;     // that `computed` bottlenecks took
  TrainResult training;
  HeadBatch test_batch;
  Evaluation test;
  Calibration calibration;  // on the validation photos
  std::vector<Stage> stages;  // in order
  // For the page.
  std::vector<Sha256Digest> photo_sha256;  // as ExtractResult's
  std::shared_ptr<BottleneckStore> store;  // of thumbnails; null: there are none
  std::vector<PhotoScore> scores;
  WrongLabels wrong_labels;
  std::optional<std::vector<PhotoPair>> near_duplicates;  // none: a signal ended the search
  std::string output_graph_sha256;
  std::chrono::steady_clock::time_point last_lap = std::chrono::steady_clock::now();

  // Ends a stage: notes the time since the last one. A stage that is done anew counts once.
  void Lap(const std::string& stage);
  double total_seconds() const;  // of all stages
};

// Notes what extraction did and prints its warnings, on stderr. `result` is of `set` before LeaveOut.
void NoteExtraction(const PhotoSet& set, const ExtractResult& result, RetrainReport* report);

// "Final test accuracy = 91.4% (N=362)" on stdout and in the log; then, when there are test photos, the confusion
// matrix and a table of precision and recall; then, if wanted, the photos that were got wrong.
void PrintTest(const PhotoSet& set, const RetrainReport& report, bool print_misclassified);

// What was left out once more, and one line with the time of each stage, on stderr.
void PrintSummary(const RetrainReport& report);

// Keys: README "--json".
std::string ReportJson(const RetrainOptions& options, const PhotoSet& set, const RetrainReport& report);

}  // namespace couplet
