// The flags of retrain: the codelab's 23 with their names and defaults, and ours.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/device.h"
#include "loaders/image_list.h"
#include "models/backbone.h"
#include "models/distorted_batches.h"
#include "models/feature_extractor.h"
#include "models/training.h"
#include "runtime/status.h"

namespace couplet {

class CommandLine;

// The default of --report, as the help shows it.
inline constexpr const char* kReportBesideGraph = "OUTPUT_GRAPH_report.html";

struct RetrainOptions {
  // The codelab's retrain.py.
  std::string image_dir;
  std::string output_graph = "/tmp/output_graph.pb";
  std::string intermediate_output_graphs_dir = "/tmp/intermediate_graph/";
  int intermediate_store_frequency = 0;
  std::string output_labels = "/tmp/output_labels.txt";
  std::string summaries_dir = "/tmp/retrain_logs";
  int how_many_training_steps = 4000;
  double learning_rate = 0.01;
  double testing_percentage = 10, validation_percentage = 10;
  int eval_step_interval = 10;
  int train_batch_size = 100, test_batch_size = -1, validation_batch_size = 100;
  bool print_misclassified_test_images = false;
  std::string bottleneck_dir = "/tmp/bottleneck";
  std::string final_tensor_name = "final_result";
  bool flip_left_right = false;
  int random_crop = 0, random_scale = 0, random_brightness = 0;  // per cent
  BackboneOptions backbone;

  // Further.
  DeviceOptions device;
  int threads = 0;
  uint64_t seed = 0;
  std::string bottleneck_format = "sqlite", alpha = "drop", label_names = "strict", verify_cache = "no";
  std::string image_extensions;
  int64_t max_pixels = 100'000'000;
  bool exif = false, strict = false, quiet = false, resume = false;
  int checkpoint_interval = 1000;
  std::string json;
  std::string report = kReportBesideGraph;  // "" none; a path once parsed
  // For the report: the command as a shell reads it, and every flag with its value.
  std::string command;
  std::vector<std::pair<std::string, std::string>> settings;
  bool watch = false, projector = false;

  bool distorted() const {
    return flip_left_right || random_crop != 0 || random_scale != 0 || random_brightness != 0;
  }
};

void DeclareRetrainFlags(CommandLine& flags, RetrainOptions& options);
// The command line of `program`; prints help or version and exits when asked to. Resolves the report's default and notes
// command and settings.
Status ParseRetrainFlags(const std::string& program, int argc, char** argv, RetrainOptions* options);
// What single flags cannot check. kBadInput names the flag.
Status CheckRetrainOptions(const RetrainOptions& options);
ImageListOptions MakeImageListOptions(const RetrainOptions& options);
DecodeOptions MakeDecodeOptions(const RetrainOptions& options, int input_size);
// Without decode, architecture and key, which the backbone has a say in.
ExtractOptions MakeExtractOptions(const RetrainOptions& options);
TrainOptions MakeTrainOptions(const RetrainOptions& options);
DistortedBatchesOptions MakeDistortedOptions(const RetrainOptions& options);

}  // namespace couplet
