// SPDX-License-Identifier: Apache-2.0
#include "apps/retrain_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <span>
#include <system_error>

#include "apps/cli.h"
#include "apps/html.h"
#include "apps/retrain_checkpoint.h"
#include "loaders/bottleneck_store.h"
#include "loaders/files.h"
#include "loaders/image_extension.h"
#include "loaders/threads.h"
#include "models/calibration.h"

namespace couplet {
namespace {

void DeclareCodelabFlags(CommandLine& flags, RetrainOptions& o) {
  flags.Group("The codelab's");
  flags.Add("--image_dir", &o.image_dir, "folder with one sub-folder of photos a label");
  flags.Add("--output_graph", &o.output_graph, "where to save the trained graph");
  flags.Add("--intermediate_output_graphs_dir", &o.intermediate_output_graphs_dir, "where to save the intermediate graphs");
  flags.Add("--intermediate_store_frequency", &o.intermediate_store_frequency,
      "steps between intermediate graphs, 0 = none").AtLeast(0);
  flags.Add("--output_labels", &o.output_labels, "where to save the labels");
  flags.Add("--summaries_dir", &o.summaries_dir, "where to save the event files for TensorBoard");
  flags.Add("--how_many_training_steps", &o.how_many_training_steps, "training steps").AtLeast(0);
  flags.Add("--learning_rate", &o.learning_rate, "how large a learning rate to use").Between(0, 1e38);
  flags.Add("--testing_percentage", &o.testing_percentage, "per cent of the photos for the final test").Between(0.0, 100.0);
  flags.Add("--validation_percentage", &o.validation_percentage, "per cent of the photos for validation").Between(0.0, 100.0);
  flags.Add("--eval_step_interval", &o.eval_step_interval, "steps between evaluations").AtLeast(1);
  flags.Add("--train_batch_size", &o.train_batch_size, "photos a training step, -1 = all");
  flags.Add("--test_batch_size", &o.test_batch_size, "photos of the final test, -1 = all");
  flags.Add("--validation_batch_size", &o.validation_batch_size, "photos of an evaluation, -1 = all");
  flags.Add("--print_misclassified_test_images", &o.print_misclassified_test_images,
               "print the test photos that the trained graph gets wrong");
  flags.Add("--model_dir", &o.backbone.model_dir, "where the models lie or are downloaded to");
  flags.Add("--bottleneck_dir", &o.bottleneck_dir, "where bottlenecks are cached");
  flags.Add("--final_tensor_name", &o.final_tensor_name, "name of the output node in the trained graph");
  flags.Add("--flip_left_right", &o.flip_left_right, "mirror half of the training photos at random");
  flags.Add("--random_crop", &o.random_crop, "margin to crop off training photos at random, per cent").Between(0, 10000);
  flags.Add("--random_scale", &o.random_scale, "how much to enlarge training photos at random, per cent").Between(0, 10000);
  flags.Add("--random_brightness", &o.random_brightness, "how much to brighten or darken training photos at random, per cent").Between(0, 100);
  flags.Add("--architecture", &o.backbone.architecture,
      "inception_v3, mobilenet_<1.0|0.75|0.50|0.25>_<224|192|160|128>[_quantized], or couplet_0.25_128, which needs no download");
}

void DeclareFurtherFlags(CommandLine& flags, RetrainOptions& o) {
  flags.Group("Further");
  flags.Add("--threads", &o.threads, "worker threads, 0 = all the process may use; results do not depend on it").AtLeast(0);
  flags.Add("--seed", &o.seed, "of batches, initial weights and distortions; the same seed gives the same graph").AtLeast(0);
  flags.Add("--model_file", &o.backbone.model_file, "a frozen graph to retrain instead of --architecture");
  flags.Add("--input_layer", &o.backbone.input_layer, "of --model_file [read off the graph]");
  flags.Add("--bottleneck_layer", &o.backbone.bottleneck_layer, "of --model_file [read off the graph]");
  flags.Add("--input_size", &o.backbone.input_size, "of --model_file, pixels [read off the graph]").Between(1, 4096);
  flags.Add("--input_mean", &o.backbone.input_mean, "of --model_file [by the graph's family]").Between(-1e6, 1e6);
  flags.Add("--input_std", &o.backbone.input_std, "of --model_file [by the graph's family]").Between(-1e6, 1e6);
  flags.Add("--offline", &o.backbone.offline, "never download");
  flags.Add("--bottleneck_format", &o.bottleneck_format, "sqlite, or text: TensorFlow's <photo>_<architecture>.txt files").OneOf({"sqlite", "text"});
  flags.Add("--alpha", &o.alpha, "transparent pixels: drop (TensorFlow's), white or black").OneOf({"drop", "white", "black"});
  flags.Add("--exif", &o.exif, "turn photos as their EXIF orientation says");
  flags.Add("--label_names", &o.label_names, "strict: as the original, but two folders with one label are an error; folder: "
      "the folders' own names; tensorflow: as the original").OneOf({"strict", "folder", "tensorflow"});
  flags.Add("--image_extensions", &o.image_extensions, "comma-separated; [jpg,jpeg,JPG,JPEG and png, bmp, gif in any case]");
  flags.Add("--max_pixels", &o.max_pixels, "largest photo; 40 million at most where a decoder must hold it whole").AtLeast(1);
  flags.Add("--verify_cache", &o.verify_cache, "check the store, read every photo, compare its content and recompute a sample of the bottlenecks; --verify_cache=all: recompute every one").OneOf({"no", "yes", "all"});
  flags.Add("--resume", &o.resume, "go on from the checkpoint beside --output_graph, where there is one: the same graph as undisturbed");
  flags.Add("--checkpoint_interval", &o.checkpoint_interval,
      "steps between checkpoints of the training (or half a minute), 0 = only when interrupted").AtLeast(0);
  flags.Add("--strict", &o.strict, "a photo that cannot be read is an error");
  flags.Add("--json", &o.json, "file for every figure printed");
  flags.Add("--report", &o.report, "page with all answers: which photos, which classes, how sure; --report= for none");
  flags.Add("--watch", &o.watch, "show the load of GPU and processors, memory and power beside the progress, and keep their "
      "curves (--json)");
  flags.Add("--projector", &o.projector, "bottlenecks, labels and pictures of all photos for TensorBoard's projector page, into --summaries_dir");
  flags.Add("--quiet", &o.quiet, "only warnings, errors and the answer");
}

// Resolves the report's default; command and settings for the report.
void NoteForReport(const CommandLine& flags, std::span<char* const> argv, RetrainOptions& o) {
  if (o.report == kReportBesideGraph) {
    const std::string& graph = o.output_graph;
    const bool pb = graph.ends_with(".pb");
    // A device or pipe has nothing beside it.
    std::error_code ignored;
    const bool device = FileExists(graph) && !std::filesystem::is_regular_file(graph, ignored);
    o.report = device ? "" : (pb ? graph.substr(0, graph.size() - 3) : graph) + "_report.html";
  }
  bool seed_given = false;
  for (const char* argument : argv) {
    o.command += (o.command.empty() ? "" : " ") + ShellQuote(argument);
    seed_given = seed_given || std::string_view(argument).starts_with("--seed");
  }
  if (!seed_given) o.command += fmt::format(" --seed={}", o.seed);
  for (const CommandLine::Setting& setting : flags.Settings()) o.settings.emplace_back(setting.name, setting.value);
}

// Whether `path`, links followed, lies below the folder `dir`.
bool LiesIn(const std::string& dir, const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::path root = std::filesystem::canonical(dir, error);
  return !error && std::mismatch(root.begin(), root.end(), path.begin(), path.end()).first == root.end();
}

// One file for two outputs would lose the first of them without a word, and one of the photos that photo.
Status CheckOutputs(const RetrainOptions& o) {
  const std::pair<const char*, std::string> outputs[] = {
      {"--output_graph", o.output_graph}, {"--output_labels", o.output_labels},
      {"--json", o.json}, {"--report", o.report}, {"--profile", o.device.profile},
      {"the calibration beside --output_graph", CalibrationPath(o.output_graph)},
      {"the checkpoint beside --output_graph", CheckpointPath(o)},
      {"the store in --bottleneck_dir", o.bottleneck_format == "sqlite" && !o.bottleneck_dir.empty() ? BottleneckStore::PathIn(o.bottleneck_dir) : ""}};
  std::map<std::string, const char*> named;
  for (const auto& [name, path] : outputs) {
    // Devices, /dev/null say, hold nothing that could be lost.
    if (path.empty() || (FileExists(path) && !IsRegularFile(path))) continue;
    std::error_code error;
    const std::filesystem::path absolute = std::filesystem::absolute(path, error), real = std::filesystem::weakly_canonical(absolute, error);
    const auto [other, fresh] = named.emplace(error ? path : real.string(), name);
    if (!fresh) return BadInput(fmt::format("{} and {} are one file, {}; give each its own", other->second, name, path));
    if (!error && FileExists(real.string()) && HasImageExtension(real.string()) && LiesIn(o.image_dir, real))
      return BadInput(fmt::format("{} would replace the photo {}; give another name", name, path));
  }
  return {};
}

}  // namespace

void DeclareRetrainFlags(CommandLine& flags, RetrainOptions& options) {
  DeclareCodelabFlags(flags, options);
  DeclareFurtherFlags(flags, options);
  DeclareDeviceFlags(flags, options.device);
}

Status ParseRetrainFlags(const std::string& program, int argc, char** argv, RetrainOptions* options) {
  CommandLine flags(program, "Retrains an image classifier on your photos, as TensorFlow for Poets' retrain.py does.");
  DeclareRetrainFlags(flags, *options);
  COUPLET_RETURN_IF_ERROR(flags.Parse(argc, argv));
  NoteForReport(flags, {argv, static_cast<size_t>(argc)}, *options);
  return {};
}

Status CheckRetrainOptions(const RetrainOptions& o) {
  COUPLET_RETURN_IF_ERROR(CheckDeviceOptions(o.device));
  if (o.image_dir.empty()) return BadInput("--image_dir is needed: a folder with one sub-folder of photos a label");
  for (const auto& [name, path] : {std::pair{"--output_graph", &o.output_graph}, std::pair{"--output_labels", &o.output_labels}})
    if (path->empty()) return BadInput(fmt::format("{} is needed: a file to write", name));
  COUPLET_RETURN_IF_ERROR(CheckOutputs(o));
  if (o.testing_percentage + o.validation_percentage >= 100)
    return BadInput(fmt::format("--testing_percentage={} and --validation_percentage={} leave nothing to train on",
                                o.testing_percentage, o.validation_percentage));
  for (const auto& [name, size] : {std::pair{"train", o.train_batch_size}, std::pair{"test", o.test_batch_size},
                                   std::pair{"validation", o.validation_batch_size}})
    if (size == 0 || size < -1) return BadInput(fmt::format("--{}_batch_size={}: a positive number, or -1 for all", name, size));
  if (!std::isfinite(o.learning_rate)) return BadInput("--learning_rate: not a finite number");
  if (o.projector && o.summaries_dir.empty()) return BadInput("--projector needs --summaries_dir: its files go there");
  COUPLET_RETURN_IF_ERROR(CheckInputStd(o.backbone.input_std));
  if (o.backbone.model_file.empty() && (o.backbone.input_layer || o.backbone.bottleneck_layer || o.backbone.input_size ||
                                        o.backbone.input_mean || o.backbone.input_std))
    return BadInput("--input_layer, --bottleneck_layer, --input_size, --input_mean and --input_std describe --model_file; "
                    "an --architecture has its own");
  return {};
}

ImageListOptions MakeImageListOptions(const RetrainOptions& o) {
  using LabelNames = ImageListOptions::LabelNames;
  ImageListOptions options;
  options.image_dir = o.image_dir;
  options.testing_percentage = o.testing_percentage;
  options.validation_percentage = o.validation_percentage;
  options.extensions = SplitNames(o.image_extensions);
  options.label_names = o.label_names == "folder"       ? LabelNames::kFolder
                        : o.label_names == "tensorflow" ? LabelNames::kTensorFlow
                                                        : LabelNames::kStrict;
  return options;
}

DecodeOptions MakeDecodeOptions(const RetrainOptions& o, int input_size) {
  DecodeOptions decode;
  decode.max_pixels = o.max_pixels;
  decode.max_pixels_buffered = std::min(decode.max_pixels_buffered, o.max_pixels);
  decode.apply_exif = o.exif;
  decode.alpha = ParseAlpha(o.alpha);
  decode.resize_rows = input_size;
  return decode;
}

ExtractOptions MakeExtractOptions(const RetrainOptions& o) {
  using Verify = ExtractOptions::Verify;
  ExtractOptions options;
  options.threads = o.threads;
  options.format = o.bottleneck_format == "text" ? ExtractOptions::Format::kText : ExtractOptions::Format::kSqlite;
  options.bottleneck_dir = o.bottleneck_dir;
  options.verify = o.verify_cache == "all" ? Verify::kAll : o.verify_cache == "yes" ? Verify::kHashes : Verify::kNo;
  return options;
}

TrainOptions MakeTrainOptions(const RetrainOptions& o) {
  TrainOptions options;
  options.how_many_training_steps = o.how_many_training_steps;
  options.learning_rate = o.learning_rate;
  options.train_batch_size = o.train_batch_size;
  options.validation_batch_size = o.validation_batch_size;
  options.eval_step_interval = o.eval_step_interval;
  options.intermediate_store_frequency = o.intermediate_store_frequency;
  options.checkpoint_interval = o.checkpoint_interval;
  options.seed = o.seed;
  options.summaries_dir = o.summaries_dir;
  return options;
}

DistortedBatchesOptions MakeDistortedOptions(const RetrainOptions& o) {
  DistortedBatchesOptions options;
  options.distortion.flip_left_right = o.flip_left_right;
  options.distortion.random_crop = o.random_crop;
  options.distortion.random_scale = o.random_scale;
  options.distortion.random_brightness = o.random_brightness;
  options.decode = MakeDecodeOptions(o, 0);
  options.threads = ThreadsAskedFor(o.threads);
  options.seed = o.seed;
  return options;
}

}  // namespace couplet
