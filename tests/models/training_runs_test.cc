// Training by a trainer that takes runs of steps on its own.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "tests/support/small_training.h"

using namespace couplet;
using namespace couplet::test;

namespace {

// One that takes runs of steps on its own, as one on a device does, with batches from the plans alone.
class RunningTrainer final : public HeadTrainer, public StepRunner {
 public:
  explicit RunningTrainer(const HeadShape& shape) {
    for (int i = 0; i < shape.heads; ++i) heads_.push_back({MakeCpuHeadTrainer({shape.features, shape.classes}), {}, false});
  }
  Status set_vectors(std::span<const float> vectors) override {
    for (Head& head : heads_) COUPLET_RETURN_IF_ERROR(head.trainer->set_vectors(vectors));
    return {};
  }
  void use_head(int head) override { in_use_ = static_cast<size_t>(head); }
  Status set_params(const HeadParams& params) override { return heads_[in_use_].trainer->set_params(params); }
  Status read_params(HeadParams* out) const override { return heads_[in_use_].trainer->read_params(out); }
  Result<BatchResult> step(std::span<const uint32_t>, std::span<const int32_t>, float,
                           const BatchOutputs&) override {
    return Internal("a step alone");
  }
  Result<BatchResult> evaluate(std::span<const uint32_t> rows, std::span<const int32_t> labels,
                               const BatchOutputs& outputs) override {
    return heads_[in_use_].trainer->evaluate(rows, labels, outputs);
  }
  StepRunner* runner() override { return this; }

  Status set_plans(std::span<const RunPlan> plans) override {
    CHECK(plans.size() == heads_.size());
    for (size_t i = 0; i < heads_.size(); ++i) heads_[i].plan = plans[i];
    return {};
  }
  Result<std::vector<RunResult>> run(int first, int count) override {
    runs.emplace_back(first, count);
    std::vector<RunResult> results;
    for (Head& head : heads_) {
      results.emplace_back();
      if (!head.stopped) COUPLET_RETURN_IF_ERROR(RunHead(head, first, count, &results.back()));
    }
    return results;
  }

  std::vector<std::pair<int, int>> runs;

 private:
  struct Head {
    std::unique_ptr<HeadTrainer> trainer;
    RunPlan plan;
    bool stopped;
  };

  static Status RunHead(Head& head, int first, int count, RunResult* result) {
    const RunPlan& plan = head.plan;
    for (int step = first; step < first + count; ++step) {
      const HeadBatch batch = Draw(plan, plan.train, step);
      COUPLET_ASSIGN_OR_RETURN(const BatchResult pass,
                               head.trainer->step(batch.rows, batch.labels, plan.learning_rate, {}));
      result->steps.push_back(pass);
      head.stopped = !pass.finite;
      if (head.stopped) break;
      if (step % plan.eval_interval != 0 && step + 1 != plan.steps) continue;
      RunEvaluation evaluation{.step = step, .train = {}, .validation = {}};
      COUPLET_ASSIGN_OR_RETURN(evaluation.train, head.trainer->evaluate(batch.rows, batch.labels, {}));
      const HeadBatch validation = Draw(plan, plan.validation, step);
      if (!validation.rows.empty()) {
        COUPLET_ASSIGN_OR_RETURN(evaluation.validation,
                                 head.trainer->evaluate(validation.rows, validation.labels, {}));
      }
      result->evaluations.push_back(evaluation);
    }
    return {};
  }

  static HeadBatch Draw(const RunPlan& plan, const BatchSource& source, int step) {
    std::vector<std::vector<uint32_t>> by_class(kClasses);
    for (size_t i = 0; i < source.labels.size(); ++i)
      by_class[static_cast<size_t>(source.labels[i])] = {source.rows.begin() + source.first[i],
                                                         source.rows.begin() + source.first[i + 1]};
    return DrawBatch(by_class, source.size, plan.seed, static_cast<uint32_t>(step), source.stream);
  }

  std::vector<Head> heads_;
  size_t in_use_ = 0;
};

}  // namespace

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

TEST_CASE("training: of heads together each is what it is alone, whether another diverges or all are interrupted") {
  const HeadData data = Clouds();
  std::vector<HeadJob> jobs;
  for (const double rate : {0.1, 3e38, 0.01}) {
    jobs.push_back({Short(415), data.rows});
    jobs.back().options.learning_rate = rate;
    jobs.back().options.seed = jobs.size();
  }
  for (auto& rows : jobs[2].rows[0]) rows.resize(3);
  const auto alone = [&](const HeadJob& job, int steps) {
    HeadData own = data;
    own.rows = job.rows;
    TrainOptions options = job.options;
    options.how_many_training_steps = steps;
    return TrainOn(own, options).result;
  };
  for (const int last : {415, 200}) {
    RunningTrainer trainer({kFeatures, kClasses, 3});
    int polled = 0;
    const auto got = TrainTogether(trainer, data, jobs, [&] { return last == 200 && ++polled > 1; });
    REQUIRE(got.ok());
    CHECK(trainer.runs.size() == (last == 200 ? 1 : 3));
    for (const size_t i : {0, 2}) {
      const TrainResult &one = (*got)[i], want = alone(jobs[i], last);
      CHECK(one.stopped.code() == (last == 200 ? Code::kInterrupted : Code::kOk));
      CHECK(one.steps == last);
      CHECK(SameParams(one.params, want.params));
      CHECK(one.history[19].validation_cross_entropy == want.history[19].validation_cross_entropy);
      if (last == 415) CHECK(one.history.size() == want.history.size());
    }
    const TrainResult& wild = (*got)[1];
    CHECK(wild.stopped.message() == alone(jobs[1], 415).stopped.message());
    CHECK(SameParams(wild.params, alone(jobs[1], 415).params));
  }
  // All of them gone: no more runs.
  for (HeadJob& job : jobs) job.options.learning_rate = 3e38;
  RunningTrainer trainer({kFeatures, kClasses, 3});
  REQUIRE(TrainTogether(trainer, data, jobs, {}).ok());
  CHECK(trainer.runs.size() == 1);
}
