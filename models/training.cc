// SPDX-License-Identifier: Apache-2.0
#include "models/training.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>

#include "kernels/philox.h"
#include "models/summaries.h"

namespace couplet {

namespace {

using Clock = std::chrono::steady_clock;
constexpr double kDefaultLearningRate = 0.01;
// Steps that a trainer takes on its own at most before the log, and an interrupt, get their turn.
constexpr int kStepsOfARun = 200;
// Steps on distorted photos take so long that a number of them is no measure of what a power cut costs.
constexpr double kCheckpointSeconds = 30;

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
  if (options.checkpoint_interval < 0)
    return BadInput(fmt::format("--checkpoint_interval {} is negative", options.checkpoint_interval));
  return {};
}

class Loop {
 public:
  Loop(HeadTrainer& trainer, int head, const HeadData& data, const HeadRows& rows, const TrainOptions& options,
       const TrainHooks& hooks, const TrainState* from)
      : trainer_(trainer), head_(head), data_(data), rows_(rows), options_(options), hooks_(hooks), from_(from) {}

  // Trains the heads of loops that run alike, all of one trainer.
  static Status Run(std::span<Loop> loops);
  TrainResult& result() { return result_; }

 private:
  enum class Vectors { kNone, kData, kMade };

  Status Start();
  // What ends a training stands in result_.stopped then, and result_.params will be what the trainer holds.
  Status StepByStep();
  static Status InRuns(StepRunner& runner, std::span<Loop> loops);
  Status Finish();
  RunPlan Plan() const;
  Status AfterRun(const RunResult& run, int first, int end);
  Status OneStep(int step);
  Status PollInterrupt(int step);
  Status StoreIntermediate(int step);
  // When one is due after `steps` steps.
  Status StoreCheckpoint(int steps);
  void KeepCheckpoint();
  int EndOfRun(int first) const;
  Status Take(const RunResult& run, int first);
  Status Update(int step);
  Status Evaluate(int step);
  Status Validate(int step, EvalPoint* point);
  EvalPoint LogTrain(int step, const BatchResult& train, size_t rows) const;
  void LogValidation(const BatchResult& validation, size_t rows, EvalPoint* point) const;
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
  const int head_;
  const HeadData& data_;
  const HeadRows& rows_;
  const TrainOptions& options_;
  const TrainHooks& hooks_;
  const TrainState* const from_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point last_checkpoint_ = start_;
  TrainResult result_;
  std::unique_ptr<SummaryThread> summaries_;
  bool has_validation_ = true;
  HeadBatch batch_;                  // of the step at hand; rows are places in what the trainer uses
  std::vector<float> made_vectors_;  // of distorted batches
  Vectors using_ = Vectors::kNone;
};

Status Loop::Start() {
  COUPLET_RETURN_IF_ERROR(CheckOptions(options_));
  trainer_.use_head(head_);
  const HeadShape shape{.features = data_.features, .classes = data_.classes};
  COUPLET_RETURN_IF_ERROR(trainer_.set_params(from_ != nullptr ? from_->params : InitialParams(shape, options_.seed)));
  if (from_ != nullptr) {
    result_.steps = from_->steps;
    result_.history = from_->history;
  }
  if (DrawBatch(rows_[0], 1, 0, 0, kStreamTrain).rows.empty())
    return BadInput("there is no photo to train on");
  has_validation_ = !DrawBatch(rows_[1], 1, 0, 0, kStreamValidation).rows.empty();
  if (!has_validation_ && hooks_.log)
    hooks_.log("There are no validation photos (--validation_percentage, or too few photos): training goes on without a validation accuracy.");
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

Status Loop::Run(std::span<Loop> loops) {
  for (Loop& loop : loops) COUPLET_RETURN_IF_ERROR(loop.Start());
  Loop& first = loops.front();
  // Summaries and distortions need the host at every step.
  StepRunner* const runner = first.hooks_.make_vectors || first.summaries_ != nullptr ? nullptr : first.trainer_.runner();
  COUPLET_CHECK(runner != nullptr || loops.size() == 1);
  const Status ended = runner != nullptr ? InRuns(*runner, loops) : first.StepByStep();
  for (Loop& loop : loops) {
    if (loop.result_.stopped.ok()) loop.result_.stopped = ended;
    COUPLET_RETURN_IF_ERROR(loop.Finish());
  }
  return {};
}

Status Loop::Finish() {
  trainer_.use_head(head_);
  COUPLET_RETURN_IF_ERROR(trainer_.read_params(&result_.params));
  if (result_.stopped.code() == Code::kInterrupted && result_.steps > 0) KeepCheckpoint();
  if (summaries_ != nullptr) {
    const auto waiting = Clock::now();
    if (const Status status = summaries_->Finish(); !status.ok())
      result_.events_warning = "TensorBoard's events are incomplete: " + status.message();
    result_.waited_seconds += SecondsSince(waiting);
  }
  result_.seconds = SecondsSince(start_);
  return {};
}

Status Loop::StepByStep() {
  for (int step = result_.steps; step < options_.how_many_training_steps; ++step)
    COUPLET_RETURN_IF_ERROR(OneStep(step));
  return {};
}

// A head that ends early has its reason in its result_.stopped; an error is what ended all the others.
Status Loop::InRuns(StepRunner& runner, std::span<Loop> loops) {
  Loop& example = loops.front();
  COUPLET_RETURN_IF_ERROR(example.Use(Vectors::kData));
  std::vector<RunPlan> plans;
  for (const Loop& loop : loops) plans.push_back(loop.Plan());
  COUPLET_RETURN_IF_ERROR(runner.set_plans(plans));
  for (int first = example.result_.steps; first < example.options_.how_many_training_steps;) {
    COUPLET_RETURN_IF_ERROR(example.PollInterrupt(first));
    const int end = example.EndOfRun(first);
    COUPLET_ASSIGN_OR_RETURN(const std::vector<RunResult> runs, runner.run(first, end - first));
    bool goes_on = false;
    for (size_t i = 0; i < loops.size(); ++i) {
      Loop& loop = loops[i];
      if (loop.result_.stopped.ok()) loop.result_.stopped = loop.AfterRun(runs[i], first, end);
      goes_on = goes_on || loop.result_.stopped.ok();
    }
    if (!goes_on) break;
    first = end;
  }
  return {};
}

RunPlan Loop::Plan() const {
  return {.train = MakeBatchSource(rows_[0], options_.train_batch_size, kStreamTrain),
          .validation = MakeBatchSource(rows_[1], options_.validation_batch_size, kStreamValidation),
          .seed = options_.seed,
          .learning_rate = static_cast<float>(options_.learning_rate),
          .steps = options_.how_many_training_steps,
          .eval_interval = options_.eval_step_interval};
}

Status Loop::AfterRun(const RunResult& run, int first, int end) {
  COUPLET_RETURN_IF_ERROR(Take(run, first));
  COUPLET_RETURN_IF_ERROR(StoreIntermediate(end - 1));
  return StoreCheckpoint(end);
}

// Runs end where parameters are stored or kept. Else they are equally long and begin at an evaluation, so that a
// device can replay one.
int Loop::EndOfRun(int first) const {
  const int interval = options_.eval_step_interval, frequency = options_.intermediate_store_frequency;
  const int length = interval < kStepsOfARun ? kStepsOfARun / interval * interval : kStepsOfARun;
  int end = std::min(first + length, options_.how_many_training_steps);
  if (frequency > 0 && hooks_.store_intermediate) {
    const int next_stored = std::max((first + frequency - 1) / frequency, 1) * frequency;
    end = std::min(end, next_stored + 1);
  }
  if (const int every = options_.checkpoint_interval; every > 0 && hooks_.store_checkpoint)
    end = std::min(end, (first / every + 1) * every);
  return end;
}

// Logs a run's evaluations and keeps them; an error where it left the finite numbers.
Status Loop::Take(const RunResult& run, int first) {
  const bool finite = run.steps.empty() || run.steps.back().finite;
  result_.steps = first + static_cast<int>(run.steps.size()) - (finite ? 0 : 1);
  const auto rows_of = [](const std::vector<std::vector<uint32_t>>& by_class, int size) {
    if (size >= 0) return static_cast<size_t>(size);
    size_t all = 0;
    for (const auto& rows : by_class) all += rows.size();
    return all;
  };
  for (const RunEvaluation& evaluation : run.evaluations) {
    if (!evaluation.train.finite) return Diverged(evaluation.step);
    EvalPoint point =
        LogTrain(evaluation.step, evaluation.train, rows_of(rows_[0], options_.train_batch_size));
    if (has_validation_) {
      if (!evaluation.validation.finite) return Diverged(evaluation.step);
      LogValidation(evaluation.validation, rows_of(rows_[1], options_.validation_batch_size), &point);
    }
    result_.history.push_back(point);
  }
  return finite ? Status() : Diverged(result_.steps);
}

Status Loop::PollInterrupt(int step) {
  if (!hooks_.interrupted || !hooks_.interrupted()) return {};
  return {Code::kInterrupted, fmt::format("training was interrupted after {} of {} steps", step,
                                          options_.how_many_training_steps)};
}

Status Loop::StoreIntermediate(int step) {
  const int frequency = options_.intermediate_store_frequency;
  if (frequency <= 0 || step == 0 || step % frequency != 0 || !hooks_.store_intermediate) return {};
  COUPLET_RETURN_IF_ERROR(trainer_.read_params(&result_.params));
  return hooks_.store_intermediate(step, result_.params);
}

Status Loop::StoreCheckpoint(int steps) {
  const int every = options_.checkpoint_interval;
  if (every <= 0 || !hooks_.store_checkpoint || steps == options_.how_many_training_steps) return {};
  if (steps % every != 0 && SecondsSince(last_checkpoint_) < kCheckpointSeconds) return {};
  COUPLET_RETURN_IF_ERROR(trainer_.read_params(&result_.params));
  KeepCheckpoint();
  return {};
}

void Loop::KeepCheckpoint() {
  if (hooks_.store_checkpoint) hooks_.store_checkpoint({result_.steps, result_.params, result_.history});
  last_checkpoint_ = Clock::now();
}

Status Loop::OneStep(int step) {
  COUPLET_RETURN_IF_ERROR(PollInterrupt(step));
  COUPLET_RETURN_IF_ERROR(MakeBatch(step));
  COUPLET_RETURN_IF_ERROR(Update(step));
  result_.steps = step + 1;
  if (IsEvalStep(step)) {
    const auto start = Clock::now();
    COUPLET_RETURN_IF_ERROR(Evaluate(step));
    result_.evaluation_seconds += SecondsSince(start);
  }
  COUPLET_RETURN_IF_ERROR(StoreIntermediate(step));
  return StoreCheckpoint(step + 1);
}

Status Loop::MakeBatch(int step) {
  batch_ = DrawBatch(rows_[0], options_.train_batch_size, options_.seed, static_cast<uint32_t>(step),
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
  return which == Vectors::kData ? UseVectors(trainer_, data_) : trainer_.set_vectors(made_vectors_);
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
  COUPLET_ASSIGN_OR_RETURN(const BatchResult train, trainer_.evaluate(batch_.rows, batch_.labels, {}));
  if (!train.finite) return Diverged(step);
  EvalPoint point = LogTrain(step, train, batch_.rows.size());
  if (has_validation_) COUPLET_RETURN_IF_ERROR(Validate(step, &point));
  result_.history.push_back(point);
  return {};
}

EvalPoint Loop::LogTrain(int step, const BatchResult& train, size_t rows) const {
  EvalPoint point{.step = step};
  point.train_accuracy = AccuracyPercent(train.correct, static_cast<int>(rows));
  point.cross_entropy = train.mean_loss;
  Log(step, fmt::format("Train accuracy = {:.1f}%", point.train_accuracy));
  Log(step, fmt::format("Cross entropy = {:f}", static_cast<float>(point.cross_entropy)));
  return point;
}

void Loop::LogValidation(const BatchResult& validation, size_t rows, EvalPoint* point) const {
  point->validation_n = static_cast<int>(rows);
  point->validation_cross_entropy = validation.mean_loss;
  point->validation_accuracy = AccuracyPercent(validation.correct, point->validation_n);
  Log(point->step,
      fmt::format("Validation accuracy = {:.1f}% (N={})", point->validation_accuracy, point->validation_n));
}

Status Loop::Validate(int step, EvalPoint* point) {
  const HeadBatch batch = DrawBatch(rows_[1], options_.validation_batch_size, options_.seed,
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
  LogValidation(*pass, batch.rows.size(), point);
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
                          const TrainHooks& hooks, const TrainState* from) {
  Loop loop(trainer, 0, data, data.rows, options, hooks, from);
  COUPLET_RETURN_IF_ERROR(Loop::Run({&loop, 1}));
  return std::move(loop.result());
}

Result<std::vector<TrainResult>> TrainTogether(HeadTrainer& trainer, const HeadData& data, std::span<const HeadJob> jobs,
                                               const std::function<bool()>& interrupted) {
  TrainHooks hooks;
  hooks.interrupted = interrupted;
  std::vector<Loop> loops;
  loops.reserve(jobs.size());
  for (const HeadJob& job : jobs) {
    COUPLET_CHECK(jobs.size() == 1 || job.options.summaries_dir.empty());
    loops.emplace_back(trainer, static_cast<int>(loops.size()), data, job.rows, job.options, hooks, nullptr);
  }
  COUPLET_RETURN_IF_ERROR(Loop::Run(loops));
  std::vector<TrainResult> results;
  results.reserve(loops.size());
  for (Loop& loop : loops) results.push_back(std::move(loop.result()));
  return results;
}

}  // namespace couplet
