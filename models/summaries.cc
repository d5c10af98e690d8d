// SPDX-License-Identifier: Apache-2.0
#include "models/summaries.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <system_error>

#include "loaders/files.h"

namespace couplet {

namespace {

// How much may wait for the thread.
constexpr size_t kWaitingBytes = size_t{32} << 20;
constexpr size_t kFewest = 2, kMost = 32;

// retrain.py's variable_summaries of a histogram's values. TensorFlow takes mean and deviation in float32;
// here they come in double from the histogram's sums.
struct Statistics {
  explicit Statistics(const HistogramValue& h)
      : mean(h.sum / h.num), stddev(std::sqrt(std::max(0.0, h.sum_squares / h.num - mean * mean))) {}
  double mean, stddev;
};

}  // namespace

Result<std::unique_ptr<SummaryThread>> SummaryThread::Start(const std::string& dir, std::string_view graph,
                                                            size_t pass_bytes) {
  std::unique_ptr<SummaryThread> self(new SummaryThread);
  COUPLET_ASSIGN_OR_RETURN(self->train_, EventFileWriter::Create(JoinPath(dir, "train")));
  COUPLET_ASSIGN_OR_RETURN(self->validation_, EventFileWriter::Create(JoinPath(dir, "validation")));
  if (!graph.empty()) COUPLET_RETURN_IF_ERROR(self->train_->AddGraph(graph));
  COUPLET_RETURN_IF_ERROR(self->train_->Flush());
  const size_t count = std::clamp(kWaitingBytes / std::max<size_t>(pass_bytes, 1), kFewest, kMost);
  for (size_t i = 0; i < count; ++i) {
    self->all_.push_back(std::make_unique<PassSnapshot>());
    self->free_.push_back(self->all_.back().get());
  }
  try {
    self->thread_ = std::thread([raw = self.get()] { raw->Run(); });
  } catch (const std::system_error& error) {
    return DeviceError(std::string("cannot start a thread for the summaries: ") + error.what());
  }
  return self;
}

SummaryThread::~SummaryThread() {
  (void)Finish();
}

PassSnapshot* SummaryThread::Borrow() {
  std::unique_lock lock(mutex_);
  freed_.wait(lock, [&] { return !free_.empty(); });
  PassSnapshot* snapshot = free_.back();
  free_.pop_back();
  return snapshot;
}

void SummaryThread::Submit(PassSnapshot* snapshot) {
  bool wake;
  {
    const std::lock_guard lock(mutex_);
    COUPLET_CHECK(!finished_);
    waiting_.push_back(snapshot);
    // To wake a thread takes a tenth of a small head's step, and nobody sees a pass before the next flush.
    wake = snapshot->flush || waiting_.size() * 2 >= all_.size();
  }
  if (wake) submitted_.notify_one();
}

void SummaryThread::Return(PassSnapshot* snapshot) {
  const std::lock_guard lock(mutex_);
  free_.push_back(snapshot);
}

Status SummaryThread::Finish() {
  {
    const std::lock_guard lock(mutex_);
    finished_ = true;
  }
  submitted_.notify_one();
  if (thread_.joinable()) {
    thread_.join();
    for (EventFileWriter* writer : {train_.get(), validation_.get()})
      if (const Status status = writer->Flush(); failed_.ok()) failed_ = status;
  }
  return failed_;
}

void SummaryThread::Run() {
  Status status;
  std::unique_lock lock(mutex_);
  for (;;) {
    submitted_.wait(lock, [&] { return !waiting_.empty() || finished_; });
    if (waiting_.empty()) break;
    PassSnapshot* snapshot = waiting_.front();
    waiting_.pop_front();
    lock.unlock();
    if (status.ok()) status = Write(*snapshot);
    lock.lock();
    free_.push_back(snapshot);
    freed_.notify_one();
  }
  failed_ = status;
}

Status SummaryThread::Write(const PassSnapshot& snapshot) {
  MakeHistogram(snapshot.params.weights, &weights_);
  MakeHistogram(snapshot.params.biases, &biases_);
  MakeHistogram(snapshot.logits, &pre_activations_);
  MakeHistogram(snapshot.probabilities, &activations_);
  const Statistics weights(weights_), biases(biases_);
  const auto scalar = [](std::string_view tag, double value) {
    return SummaryValue{.tag = tag, .scalar = static_cast<float>(value), .histogram = nullptr};
  };
  const auto histogram = [](std::string_view tag, const HistogramValue& value) {
    return SummaryValue{.tag = tag, .scalar = 0.0f, .histogram = &value};
  };
  // TensorFlow 1.7's names, in the order in which retrain.py makes them.
  const std::array values = {
      scalar("final_training_ops/weights/summaries/mean", weights.mean),
      scalar("final_training_ops/weights/summaries/stddev_1", weights.stddev),
      scalar("final_training_ops/weights/summaries/max", weights_.max),
      scalar("final_training_ops/weights/summaries/min", weights_.min),
      histogram("final_training_ops/weights/summaries/histogram", weights_),
      scalar("final_training_ops/biases/summaries/mean", biases.mean),
      scalar("final_training_ops/biases/summaries/stddev_1", biases.stddev),
      scalar("final_training_ops/biases/summaries/max", biases_.max),
      scalar("final_training_ops/biases/summaries/min", biases_.min),
      histogram("final_training_ops/biases/summaries/histogram", biases_),
      histogram("final_training_ops/Wx_plus_b/pre_activations", pre_activations_),
      histogram("activations", activations_),
      scalar("cross_entropy_1", snapshot.cross_entropy),
      scalar("accuracy_1", snapshot.accuracy),
  };
  EventFileWriter& writer = snapshot.validation ? *validation_ : *train_;
  COUPLET_RETURN_IF_ERROR(writer.AddSummary(snapshot.step, values));
  return snapshot.flush ? writer.Flush() : Status();
}

}  // namespace couplet
