// SPDX-License-Identifier: Apache-2.0
#include "models/photo_classifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <thread>

#include "loaders/files.h"
#include "loaders/graphdef.h"
#include "loaders/import_tf.h"
#include "models/graph_facts.h"
#include "runtime/graph_passes.h"

namespace couplet {
namespace {

constexpr uint64_t kMaxPhotoBytes = uint64_t{1} << 30;

// The flags first, then what the graph tells; an error names the flag that is missing.
Result<ImportOptions> ResolveImport(const GraphDef& def, const ClassifierOptions& options) {
  const GraphFacts facts = InspectGraph(def);
  ImportOptions import;
  import.input_layer = options.input_layer.value_or(facts.input_layer);
  import.output_layer = options.output_layer.value_or(facts.output_layer);
  import.input_height = options.input_height.value_or(facts.input_size);
  import.input_width = options.input_width.value_or(facts.input_size);
  const auto missing = [&](const char* what, const char* flag) {
    return BadInput(fmt::format("{}: {} cannot be read off this graph; give {}", def.path(), what, flag));
  };
  if (import.input_layer.empty()) return missing("the input layer", "--input_layer");
  if (import.output_layer.empty()) return missing("the output layer", "--output_layer");
  if (import.input_height <= 0 || import.input_width <= 0)
    return missing("the input size", "--input_size (or --input_height and --input_width)");
  const bool given = options.input_mean || options.input_std;
  if (!facts.has_normalization && !(options.input_mean && options.input_std))
    return missing("how pixels are normalised", "--input_mean and --input_std");
  import.normalization = facts.normalization;
  if (options.input_mean) import.normalization.mean = static_cast<float>(*options.input_mean);
  if (options.input_std) import.normalization.std = static_cast<float>(*options.input_std);
  if (given) import.normalization.mode = Normalization::Mode::kDivide;
  return import;
}

}  // namespace

std::vector<Prediction> TopPredictions(std::span<const float> scores, int count) {
  std::vector<int> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  const size_t kept = std::min(order.size(), static_cast<size_t>(std::max(count, 0)));
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(), [&](int a, int b) {
    const float sa = scores[static_cast<size_t>(a)], sb = scores[static_cast<size_t>(b)];
    return sa != sb ? sa > sb : a > b;
  });
  std::vector<Prediction> top(kept);
  for (size_t i = 0; i < kept; ++i) top[i] = {order[i], scores[static_cast<size_t>(order[i])]};
  return top;
}

Result<std::unique_ptr<PhotoClassifier>> PhotoClassifier::Open(const ClassifierOptions& options, Backend& backend,
                                                               int threads, size_t photos) {
  COUPLET_ASSIGN_OR_RETURN(const GraphDef def, GraphDef::Open(options.graph));
  COUPLET_ASSIGN_OR_RETURN(const ImportOptions import, ResolveImport(def, options));
  COUPLET_ASSIGN_OR_RETURN(Graph graph, ImportGraph(def, import));
  std::unique_ptr<PhotoClassifier> classifier(new PhotoClassifier);
  // A worker a photo at most; threads to spare are offered to the backend, which may use them within a photo.
  classifier->workers_ = static_cast<int>(std::clamp<size_t>(photos, 1, static_cast<size_t>(threads)));
  COUPLET_ASSIGN_OR_RETURN(classifier->session_,
                           Session::Create(Optimize(std::move(graph)), backend,
                                           {.threads = threads / classifier->workers_, .prepare_threads = threads}));
  classifier->decode_ = options.decode;
  classifier->decode_.resize_rows = import.input_height;
  return classifier;
}

PhotoPrediction PhotoClassifier::ClassifyOne(const std::string& path, int top_k, Session::Worker& worker,
                                             Image& image, std::vector<uint8_t>& file,
                                             std::vector<float>& scores) const {
  PhotoPrediction result;
  result.path = path;
  result.status = ReadFile(path, kMaxPhotoBytes, &file);
  if (!result.status.ok()) return result;
  if (Status decoded = DecodeImage(file, decode_, &image); !decoded.ok()) {
    result.status = BadInput(fmt::format("{}: {}", path, decoded.message()));
    return result;
  }
  const auto start = std::chrono::steady_clock::now();
  result.status = session_->Run(worker, {image.pixels, {&image.entry, 1}}, scores);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (result.status.ok()) result.top = TopPredictions(scores, top_k);
  return result;
}

Status PhotoClassifier::Classify(std::span<const std::string> paths, int top_k,
                                 const std::function<void(const PhotoPrediction&)>& each,
                                 const std::function<bool()>& interrupted) const {
  // Results wait in a ring until their turn; workers stay at most a ring ahead of what was handed on.
  const size_t ring = static_cast<size_t>(workers_) * 4;
  std::vector<std::optional<PhotoPrediction>> waiting(ring);
  std::mutex mutex;
  std::condition_variable changed;
  size_t next = 0, handed_on = 0;
  bool stop = false;
  Status failure;
  const auto work = [&] {
    auto worker = session_->NewWorker();
    Image image;
    std::vector<uint8_t> file;
    std::vector<float> scores(static_cast<size_t>(session_->output_size()));
    for (;;) {
      std::unique_lock lock(mutex);
      if (!worker.ok()) {
        failure = worker.status();
        stop = true;
        changed.notify_all();
        return;
      }
      changed.wait(lock, [&] { return stop || next == paths.size() || next < handed_on + ring; });
      if (stop || next == paths.size()) return;
      const size_t mine = next++;
      lock.unlock();
      PhotoPrediction result = ClassifyOne(paths[mine], top_k, **worker, image, file, scores);
      lock.lock();
      waiting[mine % ring] = std::move(result);
      changed.notify_all();
    }
  };
  std::vector<std::jthread> threads;
  for (int i = 0; i < workers_; ++i) threads.emplace_back(work);
  std::unique_lock lock(mutex);
  while (handed_on < paths.size() && !stop) {
    auto& slot = waiting[handed_on % ring];
    changed.wait_for(lock, std::chrono::milliseconds(100), [&] { return stop || slot.has_value(); });
    if (interrupted()) {
      failure = Status(Code::kInterrupted, "interrupted");
      stop = true;
    } else if (slot) {
      const PhotoPrediction result = *std::exchange(slot, std::nullopt);
      ++handed_on;
      lock.unlock();
      each(result);
      lock.lock();
    }
    changed.notify_all();
  }
  stop = true;
  changed.notify_all();
  lock.unlock();
  threads.clear();
  return failure;
}

}  // namespace couplet
