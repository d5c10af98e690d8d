// SPDX-License-Identifier: Apache-2.0
#include "models/training.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>

#include "models/summaries.h"
#include "kernels/philox.h"

namespace couplet {

namespace {

using Clock = std::chrono::steady_clock;
constexpr double kDefaultLearningRate = 0.01;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// As Python prints datetime.now().
std::string LocalTime() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now).count() % 1'000'000;
  std::tm local{};
  localtime_r(&seconds, &local);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}", local.tm_year + 1900, local.tm_mon + 1,
                     local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec, micros);
}

Status CheckOptions(const TrainOptions& options) {
  if (options.how_many_training_steps < 0)
    return BadInput(fmt::format("--how_many_training_steps {} is negative", options.how_many_training_steps));
  if (!std::isfinite(options.learning_rate) || !std::isfinite(static_cast<float>(options.learning_rate)))
    return BadInput(fmt::format("--learning_rate {} is not a finite number", options.learning_rate));
  if (options.eval_step_interval < 1)
    return BadInput(fmt::format("--eval_step_interval {} must be at least 1", options.eval_step_interval));
  if (options.train_batch_size == 0)
    return BadInput(
        "--train_batch_size 0 leaves nothing to train on; give a number of photos, or -1 for all");
  if (options.validation_batch_size == 0)
    return BadInput(
        "--validation_batch_size 0 leaves nothing to look at; give a number of photos, or -1 for all");
  if (options.intermediate_store_frequency < 0)
    return BadInput(
        fmt::format("--intermediate_store_frequency {} is negative", options.intermediate_store_frequency));
  return {};
}

class Loop {
 public:
  Loop(HeadTrainer& trainer, const HeadData& data, const TrainOptions& options, const TrainHooks& hooks)
      : trainer_(trainer), data_(data), options_(options), hooks_(hooks) {}

  Result<TrainResult> Run();

 private:
  enum class Vectors { kNone, kData, kMade };

  Status Start();
  // Not ok: the training ends with it, and result_.params will be what the trainer holds.
  Status OneStep(int step);
  Status Update(int step);
  Status Evaluate(int step);
  Status Validate(int step, EvalPoint* point);
  Status MakeBatch(int step);
  Status Use(Vectors which);
  // Null without summaries. Its params are filled.
  Result<PassSnapshot*> Snapshot(int step, size_t rows);
  static BatchOutputs OutputsOf(PassSnapshot* snapshot);
  void Submit(PassSnapshot* snapshot, const BatchResult& pass, size_t rows);
  Status Diverged(int step) const;
  bool IsEvalStep(int step) const {
    return step % options_.eval_step_interval == 0 || step + 1 == options_.how_many_training_steps;
  }
  void Log(int step, const std::string& text) const {
    if (hooks_.log) hooks_.log(fmt::format("{}: Step {}: {}", LocalTime(), step, text));
  }

  HeadTrainer& trainer_;
  const HeadData& data_;
  const TrainOptions& options_;
  const TrainHooks& hooks_;
  const Clock::time_point start_ = Clock::now();
  TrainResult result_;
  std::unique_ptr<SummaryThread> summaries_;
  bool has_validation_ = true;
  HeadBatch batch_;                  // of the step at hand; rows are places in what the trainer uses
  std::vector<float> made_vectors_;  // of distorted batches
  Vectors using_ = Vectors::kNone;
};

Status Loop::Start() {
  COUPLET_RETURN_IF_ERROR(CheckOptions(options_));
  const HeadShape shape{.features = data_.features, .classes = data_.classes};
  COUPLET_RETURN_IF_ERROR(trainer_.set_params(InitialParams(shape, options_.seed)));
  if (DrawBatch(data_.rows[0], 1, 0, 0, kStreamTrain).rows.empty())
    return BadInput("there is no photo to train on");
  has_validation_ = !DrawBatch(data_.rows[1], 1, 0, 0, kStreamValidation).rows.empty();
  if (!has_validation_ && hooks_.log)
    hooks_.log("There are no validation photos: training goes on without a validation accuracy.");
  if (!options_.summaries_dir.empty()) {
    const size_t classes = static_cast<size_t>(shape.classes);
    const size_t rows =
        static_cast<size_t>(std::max({options_.train_batch_size, options_.validation_batch_size, 0}));
    const size_t floats = classes * (static_cast<size_t>(shape.features) + 2 * rows);
    COUPLET_ASSIGN_OR_RETURN(
        summaries_, SummaryThread::Start(options_.summaries_dir, options_.graph, floats * sizeof(float)));
  }
  return {};
}

Result<TrainResult> Loop::Run() {
  COUPLET_RETURN_IF_ERROR(Start());
  for (int step = 0; step < options_.how_many_training_steps && result_.stopped.ok(); ++step)
    result_.stopped = OneStep(step);
  COUPLET_RETURN_IF_ERROR(trainer_.read_params(&result_.params));
  if (summaries_ != nullptr) {
    const auto waiting = Clock::now();
    if (const Status status = summaries_->Finish(); !status.ok())
      result_.events_warning = "TensorBoard's events are incomplete: " + status.message();
    result_.waited_seconds += SecondsSince(waiting);
  }
  result_.seconds = SecondsSince(start_);
  return std::move(result_);
}

Status Loop::OneStep(int step) {
  if (hooks_.interrupted && hooks_.interrupted())
    return {Code::kInterrupted, fmt::format("training was interrupted after {} of {} steps", step,
                                            options_.how_many_training_steps)};
  COUPLET_RETURN_IF_ERROR(MakeBatch(step));
  COUPLET_RETURN_IF_ERROR(Update(step));
  result_.steps = step + 1;
  if (IsEvalStep(step)) {
    const auto start = Clock::now();
    COUPLET_RETURN_IF_ERROR(Evaluate(step));
    result_.evaluation_seconds += SecondsSince(start);
  }
  const int frequency = options_.intermediate_store_frequency;
  if (frequency > 0 && step > 0 && step % frequency == 0 && hooks_.store_intermediate) {
    COUPLET_RETURN_IF_ERROR(trainer_.read_params(&result_.params));
    COUPLET_RETURN_IF_ERROR(hooks_.store_intermediate(step, result_.params));
  }
  return {};
}

Status Loop::MakeBatch(int step) {
  batch_ = DrawBatch(data_.rows[0], options_.train_batch_size, options_.seed, static_cast<uint32_t>(step),
                     kStreamTrain);
  if (!hooks_.make_vectors) return Use(Vectors::kData);
  made_vectors_.resize(batch_.rows.size() * static_cast<size_t>(data_.features));
  COUPLET_RETURN_IF_ERROR(hooks_.make_vectors(step, batch_, made_vectors_));
  for (size_t i = 0; i < batch_.rows.size(); ++i) batch_.rows[i] = static_cast<uint32_t>(i);
  using_ = Vectors::kNone;  // their contents are new
  return Use(Vectors::kMade);
}

Status Loop::Use(Vectors which) {
  if (using_ == which) return {};
  using_ = which;
  return trainer_.set_vectors(which == Vectors::kData ? std::span<const float>(data_.vectors)
                                                      : made_vectors_);
}

Result<PassSnapshot*> Loop::Snapshot(int step, size_t rows) {
  if (summaries_ == nullptr) return static_cast<PassSnapshot*>(nullptr);
  const auto waiting = Clock::now();
  PassSnapshot* snapshot = summaries_->Borrow();
  result_.waited_seconds += SecondsSince(waiting);
  snapshot->step = step;
  snapshot->validation = false;
  snapshot->flush = IsEvalStep(step);
  snapshot->logits.resize(rows * static_cast<size_t>(data_.classes));
  snapshot->probabilities.resize(snapshot->logits.size());
  if (const Status status = trainer_.read_params(&snapshot->params); !status.ok()) {
    summaries_->Return(snapshot);
    return status;
  }
  return snapshot;
}

BatchOutputs Loop::OutputsOf(PassSnapshot* snapshot) {
  if (snapshot == nullptr) return {};
  return {.logits = snapshot->logits.data(), .probabilities = snapshot->probabilities.data()};
}

// A pass whose numbers are not finite has no place in a histogram.
void Loop::Submit(PassSnapshot* snapshot, const BatchResult& pass, size_t rows) {
  if (snapshot == nullptr) return;
  if (!pass.finite) return summaries_->Return(snapshot);
  snapshot->accuracy = static_cast<float>(pass.correct) / static_cast<float>(rows);
  snapshot->cross_entropy = static_cast<float>(pass.mean_loss);
  summaries_->Submit(snapshot);
}

Status Loop::Update(int step) {
  COUPLET_ASSIGN_OR_RETURN(PassSnapshot* const snapshot, Snapshot(step, batch_.rows.size()));
  const auto pass = trainer_.step(batch_.rows, batch_.labels, static_cast<float>(options_.learning_rate),
                                  OutputsOf(snapshot));
  if (!pass.ok()) {
    if (snapshot != nullptr) summaries_->Return(snapshot);
    return pass.status();
  }
  Submit(snapshot, *pass, batch_.rows.size());
  return pass->finite ? Status() : Diverged(step);
}

Status Loop::Evaluate(int step) {
  EvalPoint point{.step = step};
  COUPLET_ASSIGN_OR_RETURN(const BatchResult train, trainer_.evaluate(batch_.rows, batch_.labels, {}));
  if (!train.finite) return Diverged(step);
  point.train_accuracy = AccuracyPercent(train.correct, static_cast<int>(batch_.rows.size()));
  point.cross_entropy = train.mean_loss;
  Log(step, fmt::format("Train accuracy = {:.1f}%", point.train_accuracy));
  Log(step, fmt::format("Cross entropy = {:f}", static_cast<float>(point.cross_entropy)));
  if (has_validation_) COUPLET_RETURN_IF_ERROR(Validate(step, &point));
  result_.history.push_back(point);
  return {};
}

Status Loop::Validate(int step, EvalPoint* point) {
  const HeadBatch batch = DrawBatch(data_.rows[1], options_.validation_batch_size, options_.seed,
                                    static_cast<uint32_t>(step), kStreamValidation);
  COUPLET_RETURN_IF_ERROR(Use(Vectors::kData));
  COUPLET_ASSIGN_OR_RETURN(PassSnapshot* const snapshot, Snapshot(step, batch.rows.size()));
  const auto pass = trainer_.evaluate(batch.rows, batch.labels, OutputsOf(snapshot));
  if (!pass.ok()) {
    if (snapshot != nullptr) summaries_->Return(snapshot);
    return pass.status();
  }
  if (snapshot != nullptr) snapshot->validation = true;
  Submit(snapshot, *pass, batch.rows.size());
  if (!pass->finite) return Diverged(step);
  point->validation_n = static_cast<int>(batch.rows.size());
  point->validation_cross_entropy = pass->mean_loss;
  point->validation_accuracy = AccuracyPercent(pass->correct, point->validation_n);
  Log(step,
      fmt::format("Validation accuracy = {:.1f}% (N={})", point->validation_accuracy, point->validation_n));
  return {};
}

Status Loop::Diverged(int step) const {
  const double rate = options_.learning_rate;
  const double better = std::abs(rate) > kDefaultLearningRate ? kDefaultLearningRate : rate / 10;
  return {Code::kDiverged,
          fmt::format("training diverged at step {} with --learning_rate {}: the loss is not finite; "
                      "try --learning_rate {:g}",
                      step, rate, better)};
}

}  // namespace

Result<TrainResult> Train(HeadTrainer& trainer, const HeadData& data, const TrainOptions& options,
                          const TrainHooks& hooks) {
  return Loop(trainer, data, options, hooks).Run();
}

}  // namespace couplet
