// A network in two parts, for devices that take a photo at a time: all layers but the last, and a last one that has many weights for
// a single pixel (MobileNet's logits, 1 to 4 MB). A photo alone would wait for every one of these weights; several photos share them.
// A photo's numbers do not depend on what it shares them with.
//
//   auto split = SplitSession::Create(graph, backend, options);
//   auto worker = split->NewWorker();                      // one a thread
//   split->Add(*worker, photo);  ...  rows = split->Finish(*worker);  // when photos_together() wait, or no more come
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "models/profile.h"
#include "runtime/session.h"

namespace couplet {

class SplitSession {
 public:
  // What one thread owns. It must not outlive its session.
  class Worker {
   public:
    size_t waiting() const { return waiting_; }  // photos added since Finish

   private:
    friend class SplitSession;
    std::unique_ptr<Session::Worker> first_, last_;
    std::vector<float> between_, rows_;  // of photos_together() photos
    size_t waiting_ = 0;
  };

  // A graph whose last layer is of another kind stays whole, and so does any where `whole` asks for it: photos_together() is 1.
  // `graph` is optimised.
  static Result<std::shared_ptr<const SplitSession>> Create(const Graph& graph, Backend& backend, const SessionOptions& options,
                                                            bool whole = false);

  Result<std::unique_ptr<Worker>> NewWorker() const;
  size_t photos_together() const;
  int64_t output_size() const;  // floats a photo

  // REQUIRES: waiting() < photos_together(), and one photo. Where it fails, the photo does not wait. `profile`, which may be null,
  // sees what runs here, but not Finish(): it is for whole networks.
  Status Add(Worker& worker, const ImageBatch& photo, Profile* profile = nullptr) const;
  // The same from pixels, as Session::RunPixels takes them.
  Status AddPixels(Worker& worker, std::span<const float> pixels) const;
  // A row of output_size() floats for each photo added, in that order; they last until the next Add. None is waiting afterwards,
  // whether it fails or not.
  Result<std::span<const float>> Finish(Worker& worker) const;

 private:
  std::span<float> Slot(Worker& worker) const;

  std::unique_ptr<Session> first_, last_;  // last_ null: first_ is all of it
};

}  // namespace couplet
