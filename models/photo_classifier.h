// Photos -> the most probable labels' indices: what label_image does with any graph that ends in scores.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "loaders/image.h"
#include "models/photo_network.h"
#include "models/profile.h"

namespace couplet {

// What is not given is read off the graph (models/graph_facts.h).
struct ClassifierOptions {
  std::string graph;  // path
  std::optional<std::string> input_layer, output_layer;
  std::optional<int> input_height, input_width;  // pixels
  std::optional<double> input_mean, input_std;   // given: (x - mean) / std, label_image.py's arithmetic
  DecodeOptions decode;
  // As scripts.evaluate sizes photos: decoded with the accurate DCT, Pillow's Lanczos to the network's size.
  bool resize_like_pillow = false;
  Profile* profile = nullptr;  // outlives the classifier
};

struct Prediction {
  int index = 0;
  float score = 0;
};

struct PhotoPrediction {
  std::string path;
  Status status;  // why there are no predictions
  std::vector<Prediction>
      top;             // best first; of equal scores the later index first, as numpy's argsort reversed
  double seconds = 0;  // in the network, without decoding; in a batch: until the batch was through
};

class PhotoClassifier {
 public:
  // `backend` outlives the classifier. `threads`: for the whole classifier; `photos`: how many there will be
  // (a worker thread each, at most). Errors name the graph and the node or the flag that would help.
  static Result<std::unique_ptr<PhotoClassifier>> Open(const ClassifierOptions& options, Backend& backend,
                                                       int threads, size_t photos);

  int classes() const { return classes_; }
  bool knows_imagenet() const { return knows_imagenet_; }  // its classes are the 1001 of weights/imagenet_labels.txt
  // "" or that the mean and deviation given are not those that the graph's family is trained with.
  const std::string& note() const { return note_; }

  const MemoryPlan& memory() const { return network_.memory; }

  // Calls `each` on the calling thread, in the order of `paths`. kInterrupted as soon as `interrupted` says
  // so; where the network cannot be run, why. `warning`: "" or that batches were made smaller.
  Status Classify(std::span<const std::string> paths, int top_k,
                  const std::function<void(const PhotoPrediction&)>& each,
                  const std::function<bool()>& interrupted, std::string* warning) const;

 private:
  class Job;
  PhotoClassifier() = default;

  PhotoNetwork network_;
  std::shared_ptr<const Session>
      session_;  // null: the device takes batches, and Classify makes what it needs
  DecodeOptions decode_;
  int pillow_width_ = 0, pillow_height_ = 0;  // 0: the network resizes
  Profile* profile_ = nullptr;
  std::string note_;
  int workers_ = 1, classes_ = 0;
  bool knows_imagenet_ = false;
};

// The `count` best of `scores`, best first.
std::vector<Prediction> TopPredictions(std::span<const float> scores, int count);

}  // namespace couplet
