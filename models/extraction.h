// One run of ExtractFeatures: feature_extractor.cc has what starts, collects and ends it, extraction_photo.cc what happens to a photo.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "loaders/threads.h"
#include "models/batch_line.h"
#include "models/extraction_collector.h"
#include "models/feature_extractor.h"
#include "models/photo_reader.h"

namespace couplet {

class Extraction {
 public:
  using Outcome = ExtractionOutcome;

  Extraction(const std::vector<Photo>& photos, int dim, const PhotoNetwork& network,
             const ExtractOptions& options)
      : photos_(photos),
        dim_(static_cast<size_t>(dim)),
        network_(network),
        options_(options),
        threads_(ThreadsAskedFor(options.threads)),
        line_options_{.prepare_threads = threads_},
        budget_(network.in_batches ? line_options_.slot_bytes * static_cast<size_t>(line_options_.slots) : 0),
        collector_(photos, dim_) {}

  Result<ExtractResult> Run(const std::function<void(const ExtractProgress&)>& progress,
                            const std::function<bool()>& interrupted);

 private:
  // A photo whose vector was not found by its path.
  struct Job {
    size_t index;
    std::optional<Sha256Digest> noted;  // its hash, by a note that looks valid
    bool recompute = false;             // though there may be a vector, which is then compared
  };

  // A photo on its way through the network.
  struct Pending {
    Outcome outcome;
    std::vector<float> old;  // the cached vector to compare with; empty: there is none
    std::string text_path;   // of the text cache
  };

  // What one thread keeps.
  struct WorkerState {
    explicit WorkerState(const DecodeOptions& decode) : reader(decode) {}
    PhotoReader reader;
    bool ready = false;                            // the network is
    std::unique_ptr<SplitSession::Worker> worker;  // null: photos go to the line
    std::vector<std::shared_ptr<Pending>> pending;  // the photos that wait in it
  };

  bool text() const { return options_.format == ExtractOptions::Format::kText; }
  std::span<float> Row(size_t index) { return collector_.Row(index); }

  // Before the workers start.
  Status OpenStore();
  Status LookUp();
  void ChooseRecomputed();
  Status StartWorkers(std::vector<std::thread>* workers);

  // On the workers. None: the outcome will be delivered by the line or with others', or the run is over.
  void Work();
  std::optional<Outcome> Process(const Job& job, WorkerState* state);
  std::optional<Outcome> ProcessWithText(const Job& job, WorkerState* state);
  std::optional<Outcome> ProcessWithStore(const Job& job, WorkerState* state);
  std::optional<Outcome> Compute(const std::shared_ptr<Pending>& pending, WorkerState* state);
  Status Decode(PhotoReader* reader);
  Status PrepareNetwork(WorkerState* state);
  void FinishWaiting(WorkerState* state);
  Status MakeNetwork();
  Status MakeResident();
  void EndWork();

  // On the workers or the line's drivers.
  Outcome Settle(Pending* pending);
  void WriteText(const std::string& path, size_t index);
  void Deliver(Outcome outcome);
  void Stop(Status status);

  // On the calling thread.
  void Collect(const std::function<void(const ExtractProgress&)>& progress,
               const std::function<bool()>& interrupted);

  const std::vector<Photo>& photos_;
  const size_t dim_;
  const PhotoNetwork& network_;
  const ExtractOptions& options_;
  const int threads_;
  BatchLineOptions line_options_;
  int workers_ = 1;  // photos at a time

  std::unique_ptr<BottleneckStore> store_;  // null: text, or it cannot be used
  std::vector<Job> jobs_;
  std::atomic<size_t> next_job_{0};
  std::atomic<bool> stop_{false};
  PhotoBudget budget_;

  std::mutex network_mutex_;
  bool network_made_ = false;
  Status network_status_;
  std::shared_ptr<const SplitSession> session_;  // of a device that takes single photos
  std::unique_ptr<BatchLine> line_;              // of one that takes batches

  std::mutex mutex_;  // guards what follows
  std::condition_variable arrived_, room_;
  std::vector<Outcome> waiting_;
  size_t working_ = 0;  // workers that have not ended
  Status fatal_;
  std::string write_warning_;

  ExtractionCollector collector_;  // the calling thread's own, but for the rows
  bool interrupted_ = false;
};

}  // namespace couplet
