// SPDX-License-Identifier: Apache-2.0
#include "models/training.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "kernels/philox.h"
#include "loaders/event_file.h"
#include "loaders/tensorflow.pb.h"
#include "runtime/cpu/head_trainer.h"
#include "tests/reference/head.h"
#include "tests/support/test.h"

using namespace couplet;
namespace fs = std::filesystem;

namespace {

constexpr int kFeatures = 19, kClasses = 3;

// Clouds around a centre a class, far enough apart that a plane separates them; 20 / 6 / 6 photos a class and
// split.
HeadData Clouds() {
  HeadData data;
  data.features = kFeatures;
  data.classes = kClasses;
  for (size_t split = 0; split < 3; ++split) {
    data.rows[split].resize(kClasses);
    for (uint32_t c = 0; c < kClasses; ++c) {
      for (uint32_t i = 0; i < (split == 0 ? 20u : 6u); ++i) {
        const uint32_t row = static_cast<uint32_t>(data.vectors.size() / kFeatures);
        data.rows[split][c].push_back(row);
        for (uint32_t f = 0; f < kFeatures; ++f) {
          const double noise = Philox(1, row, f, 200).v[0] * 0x1p-32 - 0.5;
          data.vectors.push_back(static_cast<float>(noise + (f % kClasses == c ? 1.0 : 0.0)));
        }
      }
    }
  }
  return data;
}

// A trainer that copies its vectors when it is given them, as one on a device does.
class CopyingTrainer final : public HeadTrainer {
 public:
  explicit CopyingTrainer(const HeadShape& shape) : inner_(MakeCpuHeadTrainer(shape)) {}
  Status set_vectors(std::span<const float> vectors) override {
    copy_.assign(vectors.begin(), vectors.end());
    return inner_->set_vectors(copy_);
  }
  Status set_params(const HeadParams& params) override { return inner_->set_params(params); }
  Status read_params(HeadParams* out) const override { return inner_->read_params(out); }
  Result<BatchResult> step(std::span<const uint32_t> rows, std::span<const int32_t> labels,
                           float learning_rate, const BatchOutputs& outputs) override {
    return inner_->step(rows, labels, learning_rate, outputs);
  }
  Result<BatchResult> evaluate(std::span<const uint32_t> rows, std::span<const int32_t> labels,
                               const BatchOutputs& outputs) override {
    return inner_->evaluate(rows, labels, outputs);
  }

 private:
  std::unique_ptr<HeadTrainer> inner_;
  std::vector<float> copy_;
};

// One that takes runs of steps on its own, as one on a device does, with batches from the plan alone.
class RunningTrainer final : public HeadTrainer, public StepRunner {
 public:
  explicit RunningTrainer(const HeadShape& shape) : inner_(MakeCpuHeadTrainer(shape)) {}
  Status set_vectors(std::span<const float> vectors) override { return inner_->set_vectors(vectors); }
  Status set_params(const HeadParams& params) override { return inner_->set_params(params); }
  Status read_params(HeadParams* out) const override { return inner_->read_params(out); }
  Result<BatchResult> step(std::span<const uint32_t>, std::span<const int32_t>, float,
                           const BatchOutputs&) override {
    return Internal("a step alone");
  }
  Result<BatchResult> evaluate(std::span<const uint32_t> rows, std::span<const int32_t> labels,
                               const BatchOutputs& outputs) override {
    return inner_->evaluate(rows, labels, outputs);
  }
  StepRunner* runner() override { return this; }

  Status set_plan(const RunPlan& plan) override {
    plan_ = plan;
    return {};
  }
  Result<RunResult> run(int first, int count) override {
    runs.emplace_back(first, count);
    RunResult result;
    for (int step = first; step < first + count; ++step) {
      const HeadBatch batch = Draw(plan_.train, step);
      COUPLET_ASSIGN_OR_RETURN(const BatchResult pass,
                               inner_->step(batch.rows, batch.labels, plan_.learning_rate, {}));
      result.steps.push_back(pass);
      if (!pass.finite) break;
      if (step % plan_.eval_interval != 0 && step + 1 != plan_.steps) continue;
      RunEvaluation evaluation{.step = step, .train = {}, .validation = {}};
      COUPLET_ASSIGN_OR_RETURN(evaluation.train, inner_->evaluate(batch.rows, batch.labels, {}));
      const HeadBatch validation = Draw(plan_.validation, step);
      if (!validation.rows.empty()) {
        COUPLET_ASSIGN_OR_RETURN(evaluation.validation,
                                 inner_->evaluate(validation.rows, validation.labels, {}));
      }
      result.evaluations.push_back(evaluation);
    }
    return result;
  }

  std::vector<std::pair<int, int>> runs;

 private:
  HeadBatch Draw(const BatchSource& source, int step) const {
    std::vector<std::vector<uint32_t>> by_class(kClasses);
    for (size_t i = 0; i < source.labels.size(); ++i)
      by_class[static_cast<size_t>(source.labels[i])] = {source.rows.begin() + source.first[i],
                                                         source.rows.begin() + source.first[i + 1]};
    return DrawBatch(by_class, source.size, plan_.seed, static_cast<uint32_t>(step), source.stream);
  }

  std::unique_ptr<HeadTrainer> inner_;
  RunPlan plan_;
};

struct Run {
  TrainResult result;
  std::vector<std::string> log;
  std::unique_ptr<HeadTrainer> trainer;
};

Run TrainOn(const HeadData& data, const TrainOptions& options, TrainHooks hooks = {}) {
  Run run;
  run.trainer = std::make_unique<CopyingTrainer>(HeadShape{data.features, data.classes});
  hooks.log = [&](const std::string& line) { run.log.push_back(line); };
  auto result = Train(*run.trainer, data, options, hooks);
  REQUIRE_MESSAGE(result.ok(), result.status().message());
  run.result = *std::move(result);
  return run;
}

TrainOptions Short(int steps) {
  TrainOptions options;
  options.how_many_training_steps = steps;
  options.train_batch_size = 12;
  options.validation_batch_size = 7;
  options.learning_rate = 0.1;
  return options;
}

std::vector<tf::Event> Events(const std::string& dir) {
  std::vector<tf::Event> events;
  for (const auto& entry : fs::directory_iterator(dir)) {
    const auto records = ReadEventRecords(entry.path().string());
    REQUIRE(records.ok());
    for (const EventRecord& record : *records) REQUIRE(events.emplace_back().ParseFromString(record.payload));
  }
  return events;
}

std::string WithoutTimes(const std::string& dir) {
  std::string all;
  for (tf::Event& event : Events(dir)) {
    event.set_wall_time(0);
    all += event.SerializeAsString();
  }
  return all;
}

const tf::Summary::Value& ValueOf(const tf::Event& event, const char* tag) {
  for (const auto& value : event.summary().value())
    if (value.tag() == tag) return value;
  FAIL("no " << tag);
  return event.summary().value(0);
}

std::vector<std::string> Tags(const tf::Event& event) {
  std::vector<std::string> tags;
  for (const auto& value : event.summary().value())
    tags.push_back(value.tag() + (value.has_histo() ? " h" : " s"));
  return tags;
}

// Every number written as "#".
std::string Shape(const std::string& line) {
  std::string shape;
  for (const char c : line) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit || shape.empty() || shape.back() != '#') shape += digit ? '#' : c;
  }
  return shape;
}

bool SameParams(const HeadParams& a, const HeadParams& b) {
  return a.weights == b.weights && a.biases == b.biases;
}

}  // namespace

TEST_CASE("training: clouds that a plane separates are learned, and the log reads as the original's") {
  const HeadData data = Clouds();
  const Run run = TrainOn(data, Short(201));
  CHECK(run.result.stopped.ok());
  CHECK(run.result.steps == 201);
  REQUIRE(run.result.history.size() == 21);  // 0, 10, ..., 200: the last is one of them
  for (size_t i = 0; i < 21; ++i) CHECK(run.result.history[i].step == static_cast<int>(i) * 10);
  CHECK(run.result.history.back().train_accuracy == 100.0f);
  CHECK(run.result.history.back().validation_accuracy == 100.0f);
  CHECK(run.result.history.back().validation_n == 7);
  CHECK(run.result.history.back().cross_entropy < run.result.history.front().cross_entropy / 3);
  const auto test = EvaluateBatch(*run.trainer, data, DrawBatch(data.rows[2], -1, 0, 0, kStreamTest));
  REQUIRE(test.ok());
  CHECK(test->n == 18);
  CHECK(test->correct == 18);

  REQUIRE(run.log.size() == 63);
  const std::string stamp = "#-#-# #:#:#.#: Step #: ";
  CHECK(Shape(run.log[0]) == stamp + "Train accuracy = #.#%");
  CHECK(Shape(run.log[1]) == stamp + "Cross entropy = #.#");
  CHECK(Shape(run.log[2]) == stamp + "Validation accuracy = #.#% (N=#)");
  CHECK(run.log[0].find(": Step 0: Train accuracy = ") == 26);  // 2018-12-18 09:23:45.123456
  CHECK(run.log[1].size() == 26 + std::string(": Step 0: Cross entropy = 1.098612").size());
  CHECK(run.log[60].substr(26) == ": Step 200: Train accuracy = 100.0%");
  CHECK(run.log[62].substr(26) == ": Step 200: Validation accuracy = 100.0% (N=7)");
}

TEST_CASE("training: percentages round as printf does") {
  for (int n = 1; n <= 400; ++n) {
    for (int correct = 0; correct <= n; ++correct) {
      const float percent = AccuracyPercent(correct, n);
      char want[32];
      std::snprintf(want, sizeof want, "%.1f", static_cast<double>(percent));
      REQUIRE(fmt::format("{:.1f}", percent) == want);
    }
  }
}

TEST_CASE("training: the last step is evaluated even between two intervals") {
  const Run run = TrainOn(Clouds(), Short(14));
  REQUIRE(run.result.history.size() == 3);
  CHECK(run.result.history[2].step == 13);
  const Run none = TrainOn(Clouds(), Short(0));
  CHECK(none.result.history.empty());
  CHECK(SameParams(none.result.params, InitialParams({kFeatures, kClasses}, 0)));
}

TEST_CASE("training: an evaluation is of the step's batch after its update, and of a validation batch") {
  const HeadData data = Clouds();
  TrainOptions options = Short(11);
  options.seed = 5;
  const Run run = TrainOn(data, options);
  const HeadShape shape{kFeatures, kClasses};
  const HeadBatch train = DrawBatch(data.rows[0], 12, 5, 10, kStreamTrain);
  const HeadBatch validation = DrawBatch(data.rows[1], 7, 5, 10, kStreamValidation);
  const auto on_train = reference::RunHead(shape, run.result.params, data.vectors, train.rows, train.labels);
  const auto on_validation =
      reference::RunHead(shape, run.result.params, data.vectors, validation.rows, validation.labels);
  const EvalPoint& last = run.result.history.back();
  CHECK(last.cross_entropy == doctest::Approx(on_train.mean_loss).epsilon(1e-6));
  CHECK(last.train_accuracy == AccuracyPercent(on_train.correct, 12));
  CHECK(last.validation_accuracy == AccuracyPercent(on_validation.correct, 7));
  CHECK(last.validation_cross_entropy == doctest::Approx(on_validation.mean_loss).epsilon(1e-6));
}

TEST_CASE("training: events hold every step, of the pass before its update [threads]") {
  const HeadData data = Clouds();
  test::TempDir dir;
  TrainOptions options = Short(105);
  options.summaries_dir = dir / "logs";
  options.graph = "the graph";
  const Run run = TrainOn(data, options);
  CHECK(run.result.events_warning.empty());
  const auto train = Events(dir / "logs/train"), validation = Events(dir / "logs/validation");
  REQUIRE(train.size() == 2 + 105);
  CHECK(train[0].file_version() == "brain.Event:2");
  CHECK(train[1].graph_def() == "the graph");
  REQUIRE(validation.size() == 1 + 12);
  CHECK(validation[1].step() == 0);
  CHECK(validation[12].step() == 104);
  for (size_t i = 0; i < 105; ++i) CHECK(train[i + 2].step() == static_cast<int64_t>(i));

  const HeadShape shape{kFeatures, kClasses};
  const HeadParams initial = InitialParams(shape, 0);
  const HeadBatch batch = DrawBatch(data.rows[0], 12, 0, 0, kStreamTrain);
  const auto pass = reference::RunHead(shape, initial, data.vectors, batch.rows, batch.labels);
  const tf::Event& first = train[2];
  const auto weights = ValueOf(first, "final_training_ops/weights/summaries/histogram").histo();
  CHECK(weights.num() == kFeatures * kClasses);
  CHECK(weights.min() == *std::min_element(initial.weights.begin(), initial.weights.end()));
  CHECK(ValueOf(first, "final_training_ops/weights/summaries/max").simple_value() == weights.max());
  double sum = 0.0, squares = 0.0;
  for (const float w : initial.weights) sum += w;
  const double mean = sum / static_cast<double>(initial.weights.size());
  for (const float w : initial.weights) squares += (w - mean) * (w - mean);
  CHECK(ValueOf(first, "final_training_ops/weights/summaries/mean").simple_value() ==
        static_cast<float>(mean));
  CHECK(ValueOf(first, "final_training_ops/weights/summaries/stddev_1").simple_value() ==
        doctest::Approx(std::sqrt(squares / static_cast<double>(initial.weights.size()))).epsilon(1e-6));
  CHECK(ValueOf(first, "final_training_ops/biases/summaries/max").simple_value() == 0.0f);
  CHECK(ValueOf(first, "cross_entropy_1").simple_value() == doctest::Approx(pass.mean_loss).epsilon(1e-6));
  CHECK(ValueOf(first, "accuracy_1").simple_value() == static_cast<float>(pass.correct) / 12.0f);
  const auto activations = ValueOf(first, "activations").histo();
  CHECK(activations.num() == 12 * kClasses);
  CHECK(activations.sum() == doctest::Approx(12.0).epsilon(1e-6));
  const auto logits = ValueOf(first, "final_training_ops/Wx_plus_b/pre_activations").histo();
  CHECK(logits.max() ==
        doctest::Approx(*std::max_element(pass.logits.begin(), pass.logits.end())).epsilon(1e-5));
  // Validation: after the update.
  CHECK(ValueOf(validation[12], "accuracy_1").simple_value() * 100.0f ==
        run.result.history.back().validation_accuracy);
  CHECK(ValueOf(validation[12], "final_training_ops/weights/summaries/max").simple_value() ==
        *std::max_element(run.result.params.weights.begin(), run.result.params.weights.end()));
  CHECK(ValueOf(validation[12], "activations").histo().num() == 7 * kClasses);
}

TEST_CASE("training: tags, their kinds and their order are those of a file that retrain.py wrote") {
  COUPLET_NEEDS_SHARED(shared);
  std::vector<std::string> want = Tags(Events(shared + "/golden/events").at(1));
  // That file is of TensorFlow 1.9 or later, which numbers three more names (COMPATIBILITY section 5).
  for (std::string& tag : want)
    for (const char* name : {"/mean_1", "/max_1", "/min_1"})
      if (const size_t at = tag.find(name); at != std::string::npos) tag.erase(tag.find("_1", at), 2);
  test::TempDir dir;
  TrainOptions options = Short(3);
  options.summaries_dir = dir.path();
  TrainOn(Clouds(), options);
  for (const char* part : {"train", "validation"})
    for (const tf::Event& event : Events(dir / part))
      if (event.has_summary()) CHECK(Tags(event) == want);
  CHECK(want.size() == 14);
}

TEST_CASE("training: one seed gives the same bytes, with or without summaries [threads]") {
  const HeadData data = Clouds();
  test::TempDir dir;
  TrainOptions options = Short(90);
  options.seed = 77;
  const Run plain = TrainOn(data, options);
  options.summaries_dir = dir / "a";
  const Run first = TrainOn(data, options);
  options.summaries_dir = dir / "b";
  const Run second = TrainOn(data, options);
  CHECK(SameParams(first.result.params, plain.result.params));
  CHECK(SameParams(first.result.params, second.result.params));
  for (const char* part : {"/train", "/validation"})
    CHECK(WithoutTimes(dir / "a" + part) == WithoutTimes(dir / "b" + part));
  options.seed = 78;
  CHECK_FALSE(SameParams(TrainOn(data, options).result.params, plain.result.params));
}

TEST_CASE(
    "training: an interrupted run has what so many steps give; intermediate results likewise [threads]") {
  const HeadData data = Clouds();
  test::TempDir dir;
  TrainOptions options = Short(60);
  options.intermediate_store_frequency = 8;
  options.summaries_dir = dir.path();
  int polled = 0;
  std::vector<std::pair<int, HeadParams>> stored;
  TrainHooks hooks;
  hooks.interrupted = [&] { return ++polled > 30; };
  hooks.store_intermediate = [&](int step, const HeadParams& params) {
    stored.emplace_back(step, params);
    return Status();
  };
  const Run run = TrainOn(data, options, hooks);
  CHECK(run.result.stopped.code() == Code::kInterrupted);
  CHECK(run.result.stopped.message() == "training was interrupted after 30 of 60 steps");
  CHECK(run.result.steps == 30);
  CHECK(SameParams(run.result.params, TrainOn(data, Short(30)).result.params));
  REQUIRE(stored.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(stored[i].first == static_cast<int>(i + 1) * 8);
    CHECK(SameParams(stored[i].second, TrainOn(data, Short(stored[i].first + 1)).result.params));
  }
  CHECK(Events(dir / "train").size() == 1 + 30);

  hooks.interrupted = {};
  hooks.store_intermediate = [](int, const HeadParams&) { return IoError("no room"); };
  const Run failed = TrainOn(data, options, hooks);
  CHECK(failed.result.stopped.message() == "no room");
  CHECK(failed.result.steps == 9);
}

TEST_CASE(
    "training: a learning rate that is too high ends with the step, a way out and finite parameters "
    "[threads]") {
  const HeadData data = Clouds();
  test::TempDir dir;
  TrainOptions options = Short(200);
  options.learning_rate = 3e38;
  options.summaries_dir = dir.path();
  const Run run = TrainOn(data, options);
  CHECK(run.result.stopped.code() == Code::kDiverged);
  CHECK(Shape(run.result.stopped.message()) ==
        "training diverged at step # with --learning_rate #e+#: the loss is not finite; try --learning_rate "
        "#.#");
  CHECK(run.result.steps < 10);
  for (const float w : run.result.params.weights) CHECK(std::isfinite(w));
  CHECK(run.result.events_warning.empty());
  CHECK(Events(dir / "train").size() >= 1);
  // High and yet finite: softmax subtracts the maximum.
  options.learning_rate = 10.0;
  options.summaries_dir.clear();
  CHECK(TrainOn(data, options).result.stopped.ok());
}

TEST_CASE(
    "training: a vector that is not finite ends the training before it touches the parameters [threads]") {
  HeadData data = Clouds();
  test::TempDir dir;
  for (const uint32_t row : data.rows[0][1]) data.vectors[row * kFeatures] = std::nanf("");
  TrainOptions options = Short(10);
  options.learning_rate = 0.001;
  options.summaries_dir = dir.path();
  const Run run = TrainOn(data, options);
  CHECK(run.result.steps == 0);
  CHECK(Events(dir / "train").size() == 1);
  CHECK(run.result.stopped.message() ==
        "training diverged at step 0 with --learning_rate 0.001: the loss is not finite; try --learning_rate "
        "0.0001");
  CHECK(SameParams(run.result.params, InitialParams({kFeatures, kClasses}, 0)));
}

TEST_CASE("training: without validation photos it says so once and goes on [threads]") {
  HeadData data = Clouds();
  for (auto& rows : data.rows[1]) rows.clear();
  test::TempDir dir;
  TrainOptions options = Short(30);
  options.summaries_dir = dir.path();
  const Run run = TrainOn(data, options);
  REQUIRE(run.log.size() == 1 + 4 * 2);
  CHECK(run.log[0] == "There are no validation photos: training goes on without a validation accuracy.");
  for (const std::string& line : run.log) CHECK(line.find("Validation accuracy") == std::string::npos);
  for (const EvalPoint& point : run.result.history) CHECK(point.validation_n == 0);
  CHECK(Events(dir / "validation").size() == 1);
  // A class alone without them is no trouble, nor is the whole split at once.
  data = Clouds();
  data.rows[1][2].clear();
  options.validation_batch_size = -1;
  options.train_batch_size = -1;
  const Run whole = TrainOn(data, options);
  CHECK(whole.result.history.back().validation_n == 12);
}

TEST_CASE("training: vectors made anew for each step take the cached ones' place") {
  const HeadData data = Clouds();
  const TrainOptions options = Short(25);
  const Run cached = TrainOn(data, options);
  int made = 0;
  TrainHooks hooks;
  hooks.make_vectors = [&](int step, const HeadBatch& batch, std::span<float> vectors) {
    CHECK(step == made++);
    REQUIRE(vectors.size() == batch.rows.size() * kFeatures);
    CHECK(batch.rows == DrawBatch(data.rows[0], 12, 0, static_cast<uint32_t>(step), kStreamTrain).rows);
    for (size_t i = 0; i < batch.rows.size(); ++i)
      std::copy_n(data.vectors.begin() + batch.rows[i] * kFeatures, kFeatures,
                  vectors.begin() + static_cast<int>(i) * kFeatures);
    return Status();
  };
  const Run same = TrainOn(data, options, hooks);
  CHECK(made == 25);
  CHECK(SameParams(same.result.params, cached.result.params));
  for (size_t i = 0; i < cached.result.history.size(); ++i) {
    CHECK(same.result.history[i].cross_entropy == cached.result.history[i].cross_entropy);
    CHECK(same.result.history[i].validation_accuracy == cached.result.history[i].validation_accuracy);
  }
  hooks.make_vectors = [&](int step, const HeadBatch&, std::span<float> vectors) {
    std::fill(vectors.begin(), vectors.end(), 1.0f);
    return step == 4 ? IoError("photo gone") : Status();
  };
  const Run other = TrainOn(data, options, hooks);
  CHECK(other.result.stopped.message() == "photo gone");
  CHECK(other.result.steps == 4);
  CHECK_FALSE(SameParams(other.result.params, TrainOn(data, Short(4)).result.params));
}

TEST_CASE("training: a trainer that takes runs of steps gives the same numbers and the same log") {
  HeadData data = Clouds();
  const auto same = [&](const TrainOptions& options, const std::vector<std::pair<int, int>>& want_runs) {
    std::vector<std::pair<int, HeadParams>> stored[2];
    TrainHooks hooks;
    int which = 0;
    hooks.store_intermediate = [&](int step, const HeadParams& params) {
      stored[which].emplace_back(step, params);
      return Status();
    };
    const Run want = TrainOn(data, options, hooks);
    which = 1;
    std::vector<std::string> log;
    hooks.log = [&](const std::string& line) { log.push_back(line); };
    RunningTrainer trainer({kFeatures, kClasses});
    const auto got = Train(trainer, data, options, hooks);
    REQUIRE(got.ok());
    CHECK(trainer.runs == want_runs);
    CHECK(got->stopped.code() == want.result.stopped.code());
    CHECK(got->stopped.message() == want.result.stopped.message());
    CHECK(got->steps == want.result.steps);
    CHECK(SameParams(got->params, want.result.params));
    REQUIRE(got->history.size() == want.result.history.size());
    for (size_t i = 0; i < got->history.size(); ++i) {
      const EvalPoint &a = got->history[i], &b = want.result.history[i];
      CHECK(a.step == b.step);
      CHECK(a.train_accuracy == b.train_accuracy);
      CHECK(a.cross_entropy == b.cross_entropy);
      CHECK(a.validation_n == b.validation_n);
      CHECK(a.validation_accuracy == b.validation_accuracy);
      CHECK(a.validation_cross_entropy == b.validation_cross_entropy);
    }
    REQUIRE(log.size() == want.log.size());
    for (size_t i = 0; i < log.size(); ++i)  // but for the time of day
      CHECK(log[i].substr(std::min<size_t>(log[i].size(), 26)) ==
            want.log[i].substr(std::min<size_t>(want.log[i].size(), 26)));
    REQUIRE(stored[0].size() == stored[1].size());
    for (size_t i = 0; i < stored[0].size(); ++i) {
      CHECK(stored[0][i].first == stored[1][i].first);
      CHECK(SameParams(stored[0][i].second, stored[1][i].second));
    }
  };
  same(Short(415), {{0, 200}, {200, 200}, {400, 15}});
  TrainOptions options = Short(30);
  options.intermediate_store_frequency = 8;
  options.eval_step_interval = 3;
  same(options, {{0, 9}, {9, 8}, {17, 8}, {25, 5}});
  options.eval_step_interval = 1000;
  options.intermediate_store_frequency = 0;
  options.train_batch_size = options.validation_batch_size = -1;
  same(options, {{0, 30}});
  options = Short(400);
  options.learning_rate = 3e38;
  same(options, {{0, 200}});
  same(Short(0), {});
  for (auto& rows : data.rows[1]) rows.clear();
  same(Short(12), {{0, 12}});
}

TEST_CASE("training: an interrupt ends between two runs") {
  const HeadData data = Clouds();
  RunningTrainer trainer({kFeatures, kClasses});
  TrainHooks hooks;
  int polled = 0;
  hooks.interrupted = [&] { return ++polled > 1; };
  const auto got = Train(trainer, data, Short(4000), hooks);
  REQUIRE(got.ok());
  CHECK(got->stopped.message() == "training was interrupted after 200 of 4000 steps");
  CHECK(got->steps == 200);
  CHECK(SameParams(got->params, TrainOn(data, Short(200)).result.params));
}

TEST_CASE("training: options out of range and folders that cannot be written are errors in one line") {
  const HeadData data = Clouds();
  auto trainer = MakeCpuHeadTrainer({kFeatures, kClasses});
  const auto refused = [&](const std::function<void(TrainOptions&)>& change, const std::string& message) {
    TrainOptions options = Short(5);
    change(options);
    const auto result = Train(*trainer, data, options, {});
    REQUIRE_FALSE(result.ok());
    CHECK(result.status().message().find(message) != std::string::npos);
    return result.status().code();
  };
  CHECK(refused([](auto& o) { o.how_many_training_steps = -1; }, "--how_many_training_steps -1") ==
        Code::kBadInput);
  CHECK(refused([](auto& o) { o.learning_rate = INFINITY; }, "--learning_rate inf") == Code::kBadInput);
  CHECK(refused([](auto& o) { o.learning_rate = 1e300; }, "--learning_rate 1e+300") == Code::kBadInput);
  CHECK(refused([](auto& o) { o.eval_step_interval = 0; }, "--eval_step_interval 0") == Code::kBadInput);
  CHECK(refused([](auto& o) { o.train_batch_size = 0; }, "--train_batch_size 0") == Code::kBadInput);
  CHECK(refused([](auto& o) { o.validation_batch_size = 0; }, "--validation_batch_size 0") ==
        Code::kBadInput);
  CHECK(refused([](auto& o) { o.intermediate_store_frequency = -3; }, "frequency -3") == Code::kBadInput);
  test::TempDir dir;
  std::ofstream(dir / "file") << "x";
  CHECK(refused([&](auto& o) { o.summaries_dir = dir / "file"; }, dir / "file") == Code::kIo);
  HeadData empty = data;
  for (auto& rows : empty.rows[0]) rows.clear();
  CHECK(Train(*trainer, empty, Short(5), {}).status().code() == Code::kBadInput);
}

TEST_CASE("training: a disk that fills up costs the events, not the training [threads]") {
  const HeadData data = Clouds();
  test::TempDir dir;
  TrainOptions options = Short(100);
  rlimit before;
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 20'000, .rlim_max = before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  options.summaries_dir = dir.path();
  const Run run = TrainOn(data, options);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  signal(SIGXFSZ, handler);
  CHECK(run.result.stopped.ok());
  CHECK(run.result.steps == 100);
  CHECK(run.result.events_warning.starts_with("TensorBoard's events are incomplete: cannot write " +
                                              dir.path()));
  CHECK(SameParams(run.result.params, TrainOn(data, Short(100)).result.params));
}
