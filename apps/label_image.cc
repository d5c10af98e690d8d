// label_image: what is on these photos, by a retrained (or any supported) graph. Flags and output of the codelab's
// scripts.label_image; further ones in --help.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/cli.h"
#include "loaders/files.h"
#include "loaders/image_list.h"
#include "loaders/labels.h"
#include "loaders/threads.h"
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
  std::string format = "text", device = "auto", alpha = "drop";
};

void DeclareFlags(CLI::App& app, Options& o) {
  ClassifierOptions& c = o.classifier;
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);  // as argparse
  app.add_option("photos", o.paths, "photos and folders of photos")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--image", o.image, "photo to label")->default_str(kDefaultImage)->group("The codelab's");
  app.add_option("--graph", c.graph, "frozen graph")->capture_default_str()->group("The codelab's");
  app.add_option("--labels", o.labels, "labels, one a line [retrained_labels.txt or output_labels.txt beside the graph]")
      ->group("The codelab's");
  app.add_option("--input_height", c.input_height, "pixels [read off the graph]")->group("The codelab's");
  app.add_option("--input_width", c.input_width, "pixels [read off the graph]")->group("The codelab's");
  app.add_option("--input_mean", c.input_mean, "subtracted from each pixel [by the graph's family]")
      ->check(Between(-1e6, 1e6))->group("The codelab's");
  app.add_option("--input_std", c.input_std, "divides each pixel [by the graph's family]")
      ->check(Between(-1e6, 1e6))->group("The codelab's");
  app.add_option("--input_layer", c.input_layer, "node that is fed [read off the graph]")->group("The codelab's");
  app.add_option("--output_layer", c.output_layer, "node with the scores [read off the graph]")->group("The codelab's");
  app.add_option("--input_size", o.input_size, "height and width in one")->group("Further");
  app.add_option("--top_k", o.top_k, "labels a photo")->capture_default_str()->check(AtLeast(1))->group("Further");
  app.add_option("--format", o.format, "text, tsv or json")->capture_default_str()
      ->check(CLI::IsMember({"text", "tsv", "json"}))->group("Further");
  app.add_option("--device", o.device, "auto, cpu or cuda")->capture_default_str()
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))->group("Further");
  app.add_option("--threads", o.threads, "worker threads, 0 = all the process may use")->capture_default_str()
      ->check(AtLeast(0))->group("Further");
  app.add_option("--alpha", o.alpha, "transparent pixels: drop (TensorFlow's), white or black")->capture_default_str()
      ->check(CLI::IsMember({"drop", "white", "black"}))->group("Further");
  app.add_flag("--exif", c.decode.apply_exif, "turn photos as their EXIF orientation says")->group("Further");
  app.add_option("--max_pixels", c.decode.max_pixels, "largest photo")->capture_default_str()
      ->check(AtLeast(1))->group("Further");
}

// --labels, or what lies beside the graph, or in tf_files/; which was taken goes to stderr.
Result<std::string> FindLabels(const Options& o) {
  if (!o.labels.empty()) return o.labels;
  const size_t slash = o.classifier.graph.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : o.classifier.graph.substr(0, slash);
  for (const std::string& candidate : {folder + "/retrained_labels.txt", folder + "/output_labels.txt",
                                       std::string("tf_files/retrained_labels.txt")})
    if (FileExists(candidate)) {
      Err("labels: {}\n", candidate);
      return candidate;
    }
  return BadInput(fmt::format("{}: no labels file (retrained_labels.txt, output_labels.txt) beside it; give --labels",
                              o.classifier.graph));
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

std::string EscapeTsv(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '\t') out += "\\t";
    else if (c == '\n') out += "\\n";
    else if (c == '\\') out += "\\\\";
    else out += c;
  }
  return out;
}

void PrintText(const PhotoPrediction& photo, const std::vector<std::string>& labels, bool several, bool first) {
  if (first) Out("\nEvaluation time (1-image): {:.3f}s\n\n", photo.seconds);
  if (several) Out("{}:\n", photo.path);
  for (const Prediction& p : photo.top)
    Out("{} (score={:0.5f})\n", labels[static_cast<size_t>(p.index)], p.score);
}

void PrintTsv(const PhotoPrediction& photo, const std::vector<std::string>& labels) {
  int rank = 0;
  for (const Prediction& p : photo.top)
    Out("{}\t{}\t{}\t{}\t{:.7f}\n", EscapeTsv(photo.path), ++rank, p.index,
               EscapeTsv(labels[static_cast<size_t>(p.index)]), p.score);
}

void PrintJson(const PhotoPrediction& photo, const std::vector<std::string>& labels) {
  nlohmann::ordered_json line = {{"path", photo.path}};
  if (photo.status.ok()) {
    line["results"] = nlohmann::ordered_json::array();
    int rank = 0;
    for (const Prediction& p : photo.top)
      line["results"].push_back({{"rank", ++rank}, {"index", p.index},
                                 {"label", labels[static_cast<size_t>(p.index)]}, {"score", ShortestDouble(p.score)}});
  } else {
    line["error"] = photo.status.message();
  }
  Out("{}\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

Status Run(Options& o) {
  if (o.device == "cuda")
    return DeviceError("--device=cuda: built without CUDA, this version has the CPU engine only; --device=cpu does the same job");
  if (o.classifier.input_std && *o.classifier.input_std == 0) return BadInput("--input_std=0: pixels are divided by it");
  if (o.input_size) o.classifier.input_height = o.classifier.input_width = o.input_size;
  o.classifier.decode.alpha = ParseAlpha(o.alpha);
  COUPLET_ASSIGN_OR_RETURN(const std::vector<std::string> photos, ExpandPaths(o));
  const std::unique_ptr<Backend> backend = MakeCpuBackend();
  const int threads = o.threads > 0 ? o.threads : UsableThreads();
  COUPLET_ASSIGN_OR_RETURN(const auto classifier, PhotoClassifier::Open(o.classifier, *backend, threads, photos.size()));
  COUPLET_ASSIGN_OR_RETURN(const std::string labels_path, FindLabels(o));
  COUPLET_ASSIGN_OR_RETURN(const std::vector<std::string> labels, ReadLabels(labels_path));
  if (static_cast<int>(labels.size()) != classifier->classes())
    return BadInput(fmt::format("{} has {} labels, but {} gives {} scores; give the labels that belong to the graph",
                                labels_path, labels.size(), o.classifier.graph, classifier->classes()));
  size_t failed = 0, answered = 0;
  Status only_error;
  const auto print = [&](const PhotoPrediction& photo) {
    if (!photo.status.ok()) {
      ++failed;
      only_error = photo.status;
      if (o.format == "json") PrintJson(photo, labels);
      else if (photos.size() > 1) Fail(kProgram, photo.status);
      return;
    }
    if (o.format == "json") PrintJson(photo, labels);
    else if (o.format == "tsv") PrintTsv(photo, labels);
    else PrintText(photo, labels, photos.size() > 1, answered == 0);
    ++answered;
  };
  std::string warning;
  COUPLET_RETURN_IF_ERROR(classifier->Classify(photos, o.top_k, print, [] { return CaughtSignal() != 0 || std::ferror(stdout) != 0; }, &warning));
  if (failed > 0 && photos.size() > 1)
    return BadInput(fmt::format("{} of {} photos could not be labelled", failed, photos.size()));
  return only_error;
}

}  // namespace
}  // namespace couplet

int main(int argc, char** argv) {
  using namespace couplet;
  InstallSignalHandlers();
  CLI::App app("Labels photos with a retrained graph, as TensorFlow for Poets' label_image does.", kProgram);
  Options options;
  DeclareFlags(app, options);
  Status status = ParseCommandLine(app, argc, argv);
  if (status.ok()) status = Run(options);
  if (CaughtSignal() != 0) return 128 + CaughtSignal();
  if (std::ferror(stdout) != 0) status = Status();  // FinishOutput says it
  return FinishOutput(kProgram, status.ok() ? 0 : Fail(kProgram, status));
}
