// label_image: what is on these photos, by a retrained (or any supported) graph. Flags and output of the codelab's
// scripts.label_image; further ones in --help.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>

#include "apps/cli.h"
#include "apps/console.h"
#include "apps/guarded_main.h"
#include "apps/device.h"
#include "apps/label_file.h"
#include "apps/label_image_output.h"
#include "loaders/files.h"
#include "loaders/image_extension.h"
#include "loaders/image_list.h"
#include "loaders/threads.h"
#include "models/calibration.h"
#include "models/photo_classifier.h"

namespace couplet {
namespace {

constexpr const char* kProgram = "label_image";

constexpr const char* kDefaultImage = "tf_files/flower_photos/daisy/3475870145_685a19116d.jpg";

struct Options {
  Options() { classifier.graph = "tf_files/retrained_graph.pb"; }
  ClassifierOptions classifier;
  std::string labels;
  std::optional<std::string> image;
  std::vector<std::string> paths;
  std::optional<int> input_size;
  int top_k = 5, threads = 0;
  std::optional<double> threshold;
  std::string format = "text", alpha = "drop";
  DeviceOptions device;
};

void DeclareFlags(CommandLine& flags, Options& o) {
  ClassifierOptions& c = o.classifier;
  flags.Add("photos", &o.paths, "photos and folders of photos");
  flags.Group("The codelab's");
  flags.Add("--image", &o.image, "photo to label").ShowDefault(kDefaultImage);
  flags.Add("--graph", &c.graph, "frozen graph");
  flags.Add("--labels", &o.labels, "labels, one a line [x_labels.txt for x_graph.pb, retrained_labels.txt or output_labels.txt beside the graph; ImageNet's for a MobileNet not retrained]");
  flags.Add("--input_height", &c.input_height, "pixels [read off the graph]");
  flags.Add("--input_width", &c.input_width, "pixels [read off the graph]");
  flags.Add("--input_mean", &c.input_mean, "subtracted from each pixel [by the graph's family]").Between(-1e6, 1e6);
  flags.Add("--input_std", &c.input_std, "divides each pixel [by the graph's family]").Between(-1e6, 1e6);
  flags.Add("--input_layer", &c.input_layer, "node that is fed [read off the graph]");
  flags.Add("--output_layer", &c.output_layer, "node with the scores [read off the graph]");
  flags.Group("Further");
  flags.Add("--input_size", &o.input_size, "height and width in one");
  flags.Add("--top_k", &o.top_k, "labels a photo").AtLeast(1);
  flags.Add("--threshold", &o.threshold, "print calibrated scores, and \"unknown\" before labels of which the best is "
                 "below this (0 to 1); retrain leaves the calibration beside the graph").Between(0, 1);
  flags.Add("--format", &o.format, "text, tsv or json").OneOf({"text", "tsv", "json"});
  flags.Add("--threads", &o.threads, "worker threads, 0 = all the process may use").AtLeast(0);
  flags.Add("--alpha", &o.alpha, "transparent pixels: drop (TensorFlow's), white or black").OneOf({"drop", "white", "black"});
  flags.Add("--exif", &c.decode.apply_exif, "turn photos as their EXIF orientation says");
  flags.Add("--max_pixels", &c.decode.max_pixels, "largest photo").AtLeast(1);
  DeclareDeviceFlags(flags, o.device);
}

// Folders become the photos in them, in byte order.
Result<std::vector<std::string>> ExpandPaths(const Options& o) {
  std::vector<std::string> photos;
  if (o.image || o.paths.empty()) photos.push_back(o.image.value_or(kDefaultImage));
  for (const std::string& path : o.paths) {
    if (!IsDirectory(path)) {
      photos.push_back(path);
      continue;
    }
    COUPLET_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(path));
    const size_t before = photos.size();
    for (const std::string& name : names)
      if (HasImageExtension(name)) photos.push_back(JoinPath(path, name));
    if (photos.size() == before) return BadInput(fmt::format("{}: no photos in this folder", path));
  }
  return photos;
}

class Labelling {
 public:
  explicit Labelling(Options& o) : o_(o) {}
  Status Run();
  bool printed() const { return done_ > 0; }

 private:
  // Labels the photos that are left.
  Status RunOn(Backend& backend, int threads);
  void Print(PhotoPrediction photo);
  // With --threshold: calibrated, cut to --top_k, "unknown" in front where it applies.
  void Judge(PhotoPrediction* photo) const;

  Options& o_;
  double temperature_ = 1;
  std::vector<std::string> photos_, labels_;
  size_t done_ = 0, failed_ = 0, answered_ = 0;
  Status last_error_;
};

void Labelling::Judge(PhotoPrediction* photo) const {
  if (!o_.threshold || photo->top.empty()) return;
  ApplyTemperature(temperature_, &photo->top);
  photo->top.resize(std::min(photo->top.size(), static_cast<size_t>(o_.top_k)));
  const float best = photo->top[0].score;
  if (best < *o_.threshold) photo->top.insert(photo->top.begin(), {kUnknownIndex, best});
}

void Labelling::Print(PhotoPrediction photo) {
  Judge(&photo);
  ++done_;
  const bool several = photos_.size() > 1;
  if (!photo.status.ok()) {
    ++failed_;
    last_error_ = photo.status;
    if (o_.format == "json") PrintJson(photo, labels_);
    else if (several) Fail(kProgram, photo.status);
    return;
  }
  if (o_.format == "json") PrintJson(photo, labels_);
  else if (o_.format == "tsv") PrintTsv(photo, labels_);
  else PrintText(photo, labels_, several, answered_ == 0);
  ++answered_;
}

Status Labelling::RunOn(Backend& backend, int threads) {
  COUPLET_ASSIGN_OR_RETURN(const auto classifier,
                           PhotoClassifier::Open(o_.classifier, backend, threads, photos_.size() - done_));
  if (labels_.empty() && !classifier->note().empty()) LogWarning(classifier->note());
  if (labels_.empty()) {
    COUPLET_ASSIGN_OR_RETURN(labels_, ReadLabelsFor(o_.labels, o_.classifier.graph, classifier->classes(),
                                                    classifier->knows_imagenet()));
  }
  LogMemoryPlan(classifier->memory());
  std::string warning;
  Status status = classifier->Classify(
      std::span(photos_).subspan(done_), o_.threshold ? classifier->classes() : o_.top_k, [this](const PhotoPrediction& photo) { Print(photo); },
      [] { return Interrupted() || std::ferror(stdout) != 0; }, &warning);
  if (!warning.empty()) LogWarning(warning);
  return status;
}

Status Labelling::Run() {
  COUPLET_RETURN_IF_ERROR(CheckDeviceOptions(o_.device));
  COUPLET_RETURN_IF_ERROR(CheckInputStd(o_.classifier.input_std));
  if (o_.input_size) o_.classifier.input_height = o_.classifier.input_width = o_.input_size;
  o_.classifier.decode.alpha = ParseAlpha(o_.alpha);
  COUPLET_ASSIGN_OR_RETURN(photos_, ExpandPaths(o_));
  if (o_.threshold) {
    COUPLET_ASSIGN_OR_RETURN(const Calibration calibration, ReadCalibration(o_.classifier.graph));
    temperature_ = calibration.temperature;
  }
  // For a few photos nothing of NVIDIA's is even looked for: a driver takes longer to open than they take.
  DeviceOptions device = o_.device;
  if (device.device == "auto" && photos_.size() < kPhotosWorthGpu) device.device = "cpu";
  COUPLET_ASSIGN_OR_RETURN(std::unique_ptr<Backend> backend, OpenDevice(device, [] { return true; }));
  Profile profile;
  o_.classifier.profile = WantedProfile(o_.device, *backend, &profile);
  const int threads = ThreadsAskedFor(o_.threads);
  Status status = RunOn(*backend, threads);
  if (FallsBack(o_.device, *backend, status)) {
    backend = MakeCpuBackend();
    status = RunOn(*backend, threads);
  }
  COUPLET_RETURN_IF_ERROR(status);
  if (o_.classifier.profile != nullptr) COUPLET_RETURN_IF_ERROR(WriteProfile(o_.device, profile));
  if (failed_ == 0) return {};
  // A photo that cannot be labelled is bad input, one or several, whatever is wrong with it.
  return BadInput(photos_.size() == 1 ? last_error_.message()
                                      : fmt::format("{} of {} photos could not be labelled", failed_, photos_.size()));
}

int Main(int argc, char** argv) {
  InstallSignalHandlers();
  CommandLine flags(kProgram, "Labels photos with a retrained graph, as TensorFlow for Poets' label_image does.");
  Options options;
  DeclareFlags(flags, options);
  Status status = flags.Parse(argc, argv);
  if (status.ok() && options.device.list_devices) {
    Out("{}", DescribeDevices());
    return FinishOutput(kProgram, 0);
  }
  if (status.ok()) {
    Labelling labelling(options);
    status = AfterWatch(labelling.Run());
    if (!Interrupted()) RunAgainWatched(options.device, status, labelling.printed(), argv);
  }
  if (Interrupted())
    status = {Code::kInterrupted, "interrupted; what is printed is complete, photo by photo"};
  else if (std::ferror(stdout) != 0)
    status = Status();  // Finish says it
  return Finish(kProgram, status);
}

}  // namespace
}  // namespace couplet

int main(int argc, char** argv) {
  return couplet::GuardedMain(couplet::kProgram, couplet::Main, argc, argv);
}
