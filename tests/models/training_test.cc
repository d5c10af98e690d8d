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
#include "tests/support/small_training.h"
#include "tests/support/test.h"

using namespace couplet;
using namespace couplet::test;
namespace fs = std::filesystem;

namespace {

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
  CHECK(run.log[0] == "There are no validation photos (--validation_percentage, or too few photos): training goes on without a "
                      "validation accuracy.");
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
