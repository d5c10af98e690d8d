// SPDX-License-Identifier: Apache-2.0
#include "models/photo_classifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <thread>

#include "loaders/files.h"
#include "loaders/graphdef.h"
#include "loaders/import_tf.h"
#include "loaders/pil_resize.h"
#include "loaders/threads.h"
#include "models/batch_line.h"
#include "models/graph_facts.h"
#include "runtime/graph_passes.h"

namespace couplet {
namespace {

constexpr uint64_t kMaxPhotoBytes = uint64_t{1} << 30;

void ResizeLikePillow(int width, int height, Image* image) {
  image->pixels = couplet::ResizeLikePillow(image->pixels, image->entry.width, image->entry.height, width, height);
  image->entry = {.width = width, .height = height, .offset = 0, .paired_rows = 0};
}

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

// The codelab's own label_image takes 128 for MobileNet's 127.5, and no harm is done; 0 and 255 ruin the scores.
std::string NoteOn(const GraphDef& def, const Normalization& used) {
  const GraphFacts facts = InspectGraph(def);
  const Normalization& trained = facts.normalization;
  if (!facts.has_normalization || (std::fabs(used.mean - trained.mean) <= 1 && std::fabs(used.std - trained.std) <= 1)) return "";
  return fmt::format("--input_mean={} --input_std={}: graphs of this family are trained with {} and {}; leave the two flags "
                     "out to have that", used.mean, used.std, trained.mean, trained.std);
}

}  // namespace

std::vector<Prediction> TopPredictions(std::span<const float> scores, int count) {
  std::vector<int> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  const size_t kept = std::min(order.size(), static_cast<size_t>(std::max(count, 0)));
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(),
                    [&](int a, int b) {
                      const float sa = scores[static_cast<size_t>(a)], sb = scores[static_cast<size_t>(b)];
                      return sa != sb ? sa > sb : a > b;
                    });
  std::vector<Prediction> top(kept);
  for (size_t i = 0; i < kept; ++i) top[i] = {order[i], scores[static_cast<size_t>(order[i])]};
  return top;
}

Result<std::unique_ptr<PhotoClassifier>> PhotoClassifier::Open(const ClassifierOptions& options,
                                                               Backend& backend, int threads, size_t photos) {
  COUPLET_ASSIGN_OR_RETURN(const GraphDef def, GraphDef::Open(options.graph));
  COUPLET_ASSIGN_OR_RETURN(ImportOptions import, ResolveImport(def, options));
  import.threads = threads;
  COUPLET_ASSIGN_OR_RETURN(Graph graph, ImportGraph(def, import));
  graph = Optimize(std::move(graph));
  std::unique_ptr<PhotoClassifier> classifier(new PhotoClassifier);
  classifier->classes_ = static_cast<int>(graph.layers[static_cast<size_t>(graph.output)].shape.per_image());
  constexpr int kImageNetClasses = 1001;
  classifier->knows_imagenet_ =
      classifier->classes_ == kImageNetClasses && GivesImageNetClasses(InspectGraph(def), import.output_layer);
  // A worker a photo at most; threads to spare are offered to the backend, which may use them within a photo.
  classifier->workers_ = static_cast<int>(std::clamp<size_t>(photos, 1, static_cast<size_t>(threads)));
  classifier->note_ = NoteOn(def, import.normalization);
  classifier->decode_ = options.decode;
  classifier->decode_.resize_rows = import.input_height;
  if (options.resize_like_pillow) {
    classifier->decode_.resize_rows = 0;  // Lanczos reads every row
    classifier->decode_.accurate_dct = true;
    classifier->pillow_width_ = import.input_width;
    classifier->pillow_height_ = import.input_height;
  }
  classifier->profile_ = options.profile;
  COUPLET_ASSIGN_OR_RETURN(classifier->network_, MakePhotoNetwork(graph, backend, 0, photos));
  const PhotoNetwork& network = classifier->network_;
  if (!network.in_batches) {
    COUPLET_ASSIGN_OR_RETURN(
        classifier->session_,
        network.make_session({.threads = threads / classifier->workers_, .prepare_threads = threads, .each_by_itself = options.profile != nullptr}));
  }
  return classifier;
}

// One call of Classify. Results wait in a ring until their turn; workers stay at most a ring ahead of what
// was handed on.
class PhotoClassifier::Job {
 public:
  Job(const PhotoClassifier& classifier, std::span<const std::string> paths, int top_k)
      : classifier_(classifier),
        paths_(paths),
        top_k_(top_k),
        scores_per_photo_(static_cast<size_t>(classifier.classes_)) {}

  Status Run(const std::function<void(const PhotoPrediction&)>& each,
             const std::function<bool()>& interrupted) {
    const bool batches = classifier_.session_ == nullptr;
    // In batches a photo waits for its neighbours: three slots of them, one more being decoded.
    ring_.resize(static_cast<size_t>(classifier_.workers_) * 4 +
                 (batches ? 4 * static_cast<size_t>(classifier_.network_.max_batch) : 0));
    if (batches) {
      COUPLET_ASSIGN_OR_RETURN(line_, BatchLine::Open(classifier_.network_, {}, classifier_.profile_));
      scores_.resize(ring_.size() * scores_per_photo_);
    }
    std::vector<std::jthread> threads;
    // Goes before the threads do: when handing on throws, they must not wait for it.
    const std::unique_ptr<Job, void (*)(Job*)> end(this, [](Job* job) { job->Fail({}); });
    COUPLET_RETURN_IF_ERROR(StartThreads(classifier_.workers_, [this](int) { Work(); }, &threads));
    HandOn(each, interrupted);
    if (line_ != nullptr) line_->Stop();
    threads.clear();
    if (line_ != nullptr && failure_.ok()) failure_ = line_->Finish();
    return failure_;
  }

  std::string warning() const { return line_ != nullptr ? line_->warning() : ""; }

 private:
  // What a worker keeps.
  struct Worker {
    std::unique_ptr<Session::Worker> session;
    Image image;
    std::vector<uint8_t> file;
    std::vector<float> scores;
  };

  void HandOn(const std::function<void(const PhotoPrediction&)>& each,
              const std::function<bool()>& interrupted) {
    std::unique_lock lock(mutex_);
    while (handed_on_ < paths_.size() && !stop_) {
      auto& slot = ring_[handed_on_ % ring_.size()];
      changed_.wait_for(lock, std::chrono::milliseconds(100), [&] { return stop_ || slot.has_value(); });
      if (interrupted()) {
        failure_ = Status(Code::kInterrupted, "interrupted");
        stop_ = true;
      } else if (line_ != nullptr && line_->stopped()) {
        stop_ = true;  // it says why when it is finished
      } else if (slot) {
        const PhotoPrediction result = *std::exchange(slot, std::nullopt);
        ++handed_on_;
        changed_.notify_all();
        lock.unlock();
        each(result);
        lock.lock();
      }
    }
    stop_ = true;
    changed_.notify_all();
  }

  void Work() {
    Worker worker;
    if (line_ == nullptr) {
      auto made = classifier_.session_->NewWorker();
      if (!made.ok()) return Fail(made.status());
      worker.session = std::move(*made);
      worker.scores.resize(scores_per_photo_);
    }
    while (const std::optional<size_t> mine = Next()) Classify(*mine, &worker);
  }

  // The next photo, when the ring has room for it. None: the job is over.
  std::optional<size_t> Next() {
    std::unique_lock lock(mutex_);
    const auto ready = [this] {
      return stop_ || (next_ < paths_.size() && next_ < handed_on_ + ring_.size());
    };
    while (!ready()) {
      lock.unlock();
      // What everybody waits for may lie in a batch that waits for more photos.
      if (line_ != nullptr) line_->Hurry(+1);
      lock.lock();
      changed_.wait(lock, ready);
      lock.unlock();
      if (line_ != nullptr) line_->Hurry(-1);
      lock.lock();
    }
    return stop_ ? std::nullopt : std::optional(next_++);
  }

  void Classify(size_t index, Worker* worker) {
    PhotoPrediction result;
    result.path = paths_[index];
    {
      const StageTimer timer(classifier_.profile_, "read");
      result.status = ReadFile(result.path, kMaxPhotoBytes, &worker->file);
    }
    if (!result.status.ok()) return Put(index, std::move(result));
    {
      const StageTimer timer(classifier_.profile_, "decode");
      if (const Status decoded = DecodeImage(worker->file, classifier_.decode_, &worker->image);
          !decoded.ok())
        result.status = BadInput(fmt::format("{}: {}", result.path, decoded.message()));
      else if (classifier_.pillow_width_ > 0)
        ResizeLikePillow(classifier_.pillow_width_, classifier_.pillow_height_, &worker->image);
    }
    if (!result.status.ok()) return Put(index, std::move(result));
    const auto start = std::chrono::steady_clock::now();
    if (line_ != nullptr) return Send(index, std::move(result), worker->image, start);
    result.status =
        RunProfiled(*classifier_.session_, *worker->session,
                    {worker->image.pixels, {&worker->image.entry, 1}}, worker->scores, classifier_.profile_);
    if (result.status.ok()) Score(worker->scores, start, &result);
    Put(index, std::move(result));
  }

  void Send(size_t index, PhotoPrediction result, const Image& image,
            std::chrono::steady_clock::time_point start) {
    const StageTimer timer(classifier_.profile_, "copy into the batch");
    const std::span<float> scores =
        std::span(scores_).subspan(index % ring_.size() * scores_per_photo_, scores_per_photo_);
    const bool taken =
        line_->Add(image.pixels, image.entry, scores, [this, index, result, scores, start]() mutable {
          Score(scores, start, &result);
          Put(index, std::move(result));
        });
    if (!taken) Fail({});  // the line says why when it is finished
  }

  void Score(std::span<const float> scores, std::chrono::steady_clock::time_point start,
             PhotoPrediction* result) {
    result->seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    result->top = TopPredictions(scores, top_k_);
  }

  void Put(size_t index, PhotoPrediction result) {
    const std::lock_guard lock(mutex_);
    ring_[index % ring_.size()] = std::move(result);
    changed_.notify_all();
  }

  void Fail(const Status& status) {
    const std::lock_guard lock(mutex_);
    if (failure_.ok()) failure_ = status;
    stop_ = true;
    changed_.notify_all();
  }

  const PhotoClassifier& classifier_;
  const std::span<const std::string> paths_;
  const int top_k_;
  const size_t scores_per_photo_;
  std::unique_ptr<BatchLine> line_;  // null: workers run photos themselves
  std::vector<float> scores_;        // [ring, classes], for the line

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::vector<std::optional<PhotoPrediction>> ring_;
  size_t next_ = 0, handed_on_ = 0;
  bool stop_ = false;
  Status failure_;
};

Status PhotoClassifier::Classify(std::span<const std::string> paths, int top_k,
                                 const std::function<void(const PhotoPrediction&)>& each,
                                 const std::function<bool()>& interrupted, std::string* warning) const {
  Job job(*this, paths, top_k);
  Status status = job.Run(each, interrupted);
  *warning = job.warning();
  return status;
}

}  // namespace couplet
