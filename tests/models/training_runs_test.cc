// Training by a trainer that takes runs of steps on its own.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "tests/support/small_training.h"

using namespace couplet;
using namespace couplet::test;

namespace {

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
