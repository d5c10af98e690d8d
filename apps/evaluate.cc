// evaluate: how well a retrained graph does on its test photos; the codelab's scripts.evaluate, for any labels and model.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "apps/device.h"
#include "apps/label_file.h"
#include "apps/cli.h"
#include "apps/guarded_main.h"
#include "loaders/graphdef.h"
#include "loaders/image_list.h"
#include "loaders/threads.h"
#include "models/evaluation.h"

namespace {

using namespace couplet;

struct Options {
  ClassifierOptions classifier;
  ImageListOptions images;
  std::string labels, category = "testing", output_layer;
  int threads = 0;
  DeviceOptions device;
};

struct Photos {
  std::vector<std::string> paths, labels;
};

Result<Photos> ListPhotos(const Options& o) {
  const auto category = std::find(kSplitNames.begin(), kSplitNames.end(), o.category);
  if (category == kSplitNames.end())
    return BadInput(fmt::format("--category={}: it is one of {}", o.category, fmt::join(kSplitNames, ", ")));
  COUPLET_ASSIGN_OR_RETURN(const ImageLists lists, CreateImageLists(o.images, ThreadsAskedFor(o.threads)));
  Photos photos;
  for (const LabelledImages& images : lists.classes)
    for (const std::string& file : images.files[static_cast<size_t>(category - kSplitNames.begin())]) {
      photos.paths.push_back(ImagePath(o.images, images, file));
      photos.labels.push_back(images.label);
    }
  if (!photos.paths.empty()) return photos;
  return BadInput(fmt::format("{}: has no {} photos; give another --category, or a larger --{}_percentage",
                              o.images.image_dir, o.category, o.category == "training" ? "testing" : o.category));
}

// Where each photo's label stands in the graph's labels.
Result<std::vector<int>> ClassesOf(const Options& o, const Photos& photos, const std::vector<std::string>& labels) {
  std::vector<int> classes;
  for (const std::string& label : photos.labels) {
    const auto found = std::find(labels.begin(), labels.end(), label);
    if (found == labels.end())
      return BadInput(fmt::format("{}: '{}' is not among the graph's labels ({}); give the photos, or the labels, that "
                                  "belong to the graph", o.images.image_dir, label, fmt::join(labels, ", ")));
    classes.push_back(static_cast<int>(found - labels.begin()));
  }
  return classes;
}

Status EvaluateOn(const Options& o, const Photos& photos, Backend& backend, GraphEvaluation* result) {
  ClassifierOptions options = o.classifier;
  COUPLET_ASSIGN_OR_RETURN(const GraphDef def, GraphDef::Open(options.graph));
  COUPLET_ASSIGN_OR_RETURN(options.output_layer, LogitsLayer(def, o.output_layer));
  const int threads = ThreadsAskedFor(o.threads);
  COUPLET_ASSIGN_OR_RETURN(const auto classifier, PhotoClassifier::Open(options, backend, threads, photos.paths.size()));
  COUPLET_ASSIGN_OR_RETURN(const auto labels, ReadLabelsFor(o.labels, options.graph, classifier->classes(),
                                                            classifier->knows_imagenet()));
  COUPLET_ASSIGN_OR_RETURN(const std::vector<int> classes, ClassesOf(o, photos, labels));
  if (!classifier->note().empty()) LogWarning(classifier->note());
  LogMemoryPlan(classifier->memory());
  std::string warning;
  COUPLET_ASSIGN_OR_RETURN(*result, EvaluateGraph(*classifier, photos.paths, classes,
                                                  Interrupted, &warning));
  if (!warning.empty()) LogWarning(warning);
  return {};
}

Status Evaluate(Options& o) {
  if (o.device.list_devices) {
    Out("{}", DescribeDevices());
    return {};
  }
  COUPLET_RETURN_IF_ERROR(CheckDeviceOptions(o.device));
  COUPLET_RETURN_IF_ERROR(CheckInputStd(o.classifier.input_std));
  // The original's arithmetic, whatever the network was trained with.
  if (o.classifier.resize_like_pillow) {
    if (!o.classifier.input_mean) o.classifier.input_mean = 128;
    if (!o.classifier.input_std) o.classifier.input_std = 128;
  }
  COUPLET_ASSIGN_OR_RETURN(const Photos photos, ListPhotos(o));
  COUPLET_ASSIGN_OR_RETURN(std::unique_ptr<Backend> backend, OpenDevice(o.device, [&]() -> Result<bool> {
                             return photos.paths.size() >= kPhotosWorthGpu;
                           }));
  Profile profile;
  o.classifier.profile = WantedProfile(o.device, *backend, &profile);
  GraphEvaluation result;
  Status status = EvaluateOn(o, photos, *backend, &result);
  if (FallsBack(o.device, *backend, status)) {
    backend = MakeCpuBackend();
    status = EvaluateOn(o, photos, *backend, &result);
  }
  COUPLET_RETURN_IF_ERROR(status);
  if (o.classifier.profile != nullptr) COUPLET_RETURN_IF_ERROR(WriteProfile(o.device, profile));
  for (const auto& [path, reason] : result.left_out) LogWarning(fmt::format("left out: {}", reason));
  Err("{} {} photos of {}\n", result.n, o.category, o.images.image_dir);
  if (result.n == 0) return BadInput(o.images.image_dir + ": not one of the photos could be read");
  // The mean of ones and zeros in float32, as numpy has it.
  Out("Accuracy: {:g}\n", static_cast<float>(result.correct) / static_cast<float>(result.n));
  Out("Cross Entropy: {:g}\n", static_cast<float>(result.cross_entropy));
  return {};
}

int Main(int argc, char** argv) {
  CommandLine flags("evaluate", "Prints a retrained graph's accuracy and cross entropy on photos that it was not trained on.");
  Options o;
  ClassifierOptions& c = o.classifier;
  o.images.training = false;
  c.graph = "tf_files/retrained_graph.pb";
  o.images.image_dir = "tf_files/flower_photos";
  flags.Add("graph", &c.graph, "frozen graph that ends in a softmax");
  flags.Add("--image_dir", &o.images.image_dir, "folder with one sub-folder of photos a label");
  flags.Add("--labels", &o.labels, "labels, one a line [x_labels.txt for x_graph.pb, retrained_labels.txt or output_labels.txt beside the graph]");
  flags.Add("--category", &o.category, "testing, validation or training: which photos");
  flags.Add("--testing_percentage", &o.images.testing_percentage, "as it was trained with").Between(0, 100);
  flags.Add("--validation_percentage", &o.images.validation_percentage, "as it was trained with").Between(0, 100);
  flags.Add("--pil_resize", &c.resize_like_pillow,
              "size photos as the original does: Pillow's Lanczos; and (x - 128) / 128 unless given");
  flags.Add("--input_height", &c.input_height, "pixels [read off the graph]").Between(1, 16384);
  flags.Add("--input_width", &c.input_width, "pixels [read off the graph]").Between(1, 16384);
  flags.Add("--input_mean", &c.input_mean, "subtracted from each pixel [by the graph's family]").Between(-1e6, 1e6);
  flags.Add("--input_std", &c.input_std, "divides each pixel [by the graph's family]").Between(-1e6, 1e6);
  flags.Add("--input_layer", &c.input_layer, "node that is fed [read off the graph]");
  flags.Add("--output_layer", &o.output_layer, "node with the scores [read off the graph]");
  flags.Add("--threads", &o.threads, "worker threads, 0 = all the process may use").Between(0, 1024);
  DeclareDeviceFlags(flags, o.device);
  return flags.Run(argc, argv, [&] { return Evaluate(o); });
}

}  // namespace

int main(int argc, char** argv) { return GuardedMain("evaluate", Main, argc, argv); }
