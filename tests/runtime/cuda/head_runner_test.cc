// Several heads on a GPU, on stand-ins for its libraries and its kernels on the CPU: together they are what each is alone.
// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <span>

#include "models/sweep.h"
#include "tests/support/device_heads.h"

using namespace couplet;
using namespace couplet::test;

namespace {

struct Stepped {
  HeadParams params;
  RunResult run;
};

// Runs of these lengths; a trainer of as many heads as there are plans, which begin at different weights.
std::vector<Stepped> TakeSteps(const HeadData& data, std::span<const RunPlan> plans, const std::vector<int>& lengths) {
  const auto trainer = OnDevice(HeadShape{data.features, data.classes, static_cast<int>(plans.size())});
  REQUIRE(trainer->set_vectors(data.vectors).ok());
  for (size_t i = 0; i < plans.size(); ++i) {
    trainer->use_head(static_cast<int>(i));
    REQUIRE(trainer->set_params(InitialParams({data.features, data.classes}, plans[i].seed)).ok());
  }
  REQUIRE(trainer->runner()->set_plans(plans).ok());
  trainer->use_head(0);
  std::vector<Stepped> heads(plans.size());
  int first = 0;
  for (const int length : lengths) {
    const auto part = trainer->runner()->run(first, length);
    REQUIRE_MESSAGE(part.ok(), part.status().message());
    REQUIRE(part->size() == plans.size());
    for (size_t i = 0; i < plans.size(); ++i) {
      RunResult& all = heads[i].run;
      const RunResult& one = (*part)[i];
      all.steps.insert(all.steps.end(), one.steps.begin(), one.steps.end());
      all.evaluations.insert(all.evaluations.end(), one.evaluations.begin(), one.evaluations.end());
    }
    first += length;
  }
  const HeadParams in_use = *trainer->params();
  for (size_t i = 0; i < plans.size(); ++i) {
    trainer->use_head(static_cast<int>(i));
    heads[i].params = *trainer->params();
  }
  CHECK(SameParams(in_use, heads[0].params));  // runs are of all heads, and leave the one in use
  return heads;
}

void CheckSame(const Stepped& got, const Stepped& want) {
  const auto same = [](const BatchResult& a, const BatchResult& b) {
    return a.finite == b.finite && (!a.finite || (a.mean_loss == b.mean_loss && a.correct == b.correct));
  };
  CHECK(SameParams(got.params, want.params));
  REQUIRE(got.run.steps.size() == want.run.steps.size());
  for (size_t i = 0; i < got.run.steps.size(); ++i) CHECK(same(got.run.steps[i], want.run.steps[i]));
  REQUIRE(got.run.evaluations.size() == want.run.evaluations.size());
  for (size_t i = 0; i < got.run.evaluations.size(); ++i) {
    CHECK(same(got.run.evaluations[i].train, want.run.evaluations[i].train));
    CHECK(same(got.run.evaluations[i].validation, want.run.evaluations[i].validation));
  }
}

// A plan a head, each with a seed, a rate and rows of its own.
std::vector<RunPlan> Plans(const HeadData& data, const std::vector<float>& rates, int size) {
  std::vector<RunPlan> plans;
  for (size_t i = 0; i < rates.size(); ++i) {
    auto rows = data.rows[0];  // of each class a third, another one for each head
    for (auto& list : rows) list = {list[i % 3], list[i % 3 + 3], list[i % 3 + 6], list[i % 3 + 9]};
    plans.push_back({.train = MakeBatchSource(rows, size, kStreamTrain),
                     .validation = MakeBatchSource(data.rows[1], size < 0 ? size : 5, kStreamValidation),
                     .seed = i + 1,
                     .learning_rate = rates[i],
                     .steps = 100,
                     .eval_interval = 4});
  }
  return plans;
}

}  // namespace

TEST_CASE("cuda head runner: heads that step together are what each is alone, and one not finite stops alone") {
  COUPLET_NEEDS_STANDIN(device);
  for (const int classes : {kFused, kPlain}) {
    for (const int size : {6, -1}) {
      if (classes == kPlain && size < 0) continue;
      CAPTURE(classes);
      CAPTURE(size);
      device.Reset();
      const HeadData data = CloudsOf(9, classes);
      const std::vector<RunPlan> plans = Plans(data, {0.2f, INFINITY, 0.05f}, size);
      const std::vector<int> lengths = {4, 4, 4, 4};
      const auto together = TakeSteps(data, plans, lengths);
      // The first run stops a head: the second is the first of its kind, the third and fourth are one graph.
      CHECK(device.Calls("cudaGraphLaunch") == 2);
      CHECK(together[1].run.steps.size() < 4);
      CHECK_FALSE(together[1].run.steps.back().finite);
      for (size_t i = 0; i < plans.size(); ++i) {
        CAPTURE(i);
        CheckSame(together[i], TakeSteps(data, {&plans[i], 1}, lengths)[0]);
      }
    }
  }
}

TEST_CASE("cuda head runner: more heads than a launch takes have launches of their own") {
  COUPLET_NEEDS_STANDIN(device);
  const HeadData data = CloudsOf(10, kFused);
  std::vector<float> rates;
  for (int i = 0; i < 33; ++i) rates.push_back(0.01f * static_cast<float>(i + 1));
  const std::vector<RunPlan> plans = Plans(data, rates, 3);
  std::vector<Stepped> heads;
  const auto launches = [&](size_t first, size_t count) {
    const long before = device.Calls("launch");
    heads = TakeSteps(data, std::span(plans).subspan(first, count), {2});
    // Batches are drawn for each head: of training, and of the first step's validation.
    return device.Calls("launch") - before - 2 * static_cast<long>(count);
  };
  const long alone = launches(32, 1);
  const std::vector<Stepped> last = heads;
  CHECK(launches(0, 32) == alone);
  const std::vector<Stepped> others = heads;
  CHECK(launches(0, 33) == alone + 4);  // two steps, and two that finish
  CheckSame(heads[32], last[0]);
  for (const size_t i : {0, 31}) CheckSame(heads[i], others[i]);
}

TEST_CASE("cuda head runner: a sweep trains small heads in one go, wide ones side by side, to the same numbers") {
  COUPLET_NEEDS_STANDIN(device);
  const auto backend = MakeStandinBackend();
  const auto ignore = [](size_t, const SweepResult&) {};
  for (const int classes : {kFused, kPlain}) {
    CAPTURE(classes);
    HeadData data = CloudsOf(20, classes);
    data.resident = *backend->make_resident(data.vectors.size() / 20, 20, data.vectors);
    std::vector<SweepJob> jobs;
    for (const double rate : {0.01, 0.1, 3e38})
      for (const uint64_t seed : {0, 1}) {
        jobs.emplace_back().options = ShortTraining(12);
        jobs.back().options.learning_rate = rate;
        jobs.back().options.seed = seed;
      }
    jobs.push_back(jobs[0]);
    jobs.back().per_class = 2;
    const auto together = RunSweep(*backend, data, jobs, 4, ignore, {});
    REQUIRE(together.ok());
    for (size_t i = 0; i < jobs.size(); ++i) {
      const auto alone = RunSweep(*backend, data, {&jobs[i], 1}, 1, ignore, {});
      REQUIRE(alone.ok());
      const SweepResult &got = (*together)[i], &want = alone->front();
      CHECK(got.together == (classes == kFused ? 7 : 1));
      CHECK(got.stopped.code() == (i == 4 || i == 5 ? Code::kDiverged : Code::kOk));
      CHECK(got.stopped.message() == want.stopped.message());
      CHECK(got.right == want.right);
      REQUIRE(got.history.size() == want.history.size());
      for (size_t k = 0; k < want.history.size(); ++k) {
        CHECK(got.history[k].cross_entropy == want.history[k].cross_entropy);
        CHECK(got.history[k].validation_cross_entropy == want.history[k].validation_cross_entropy);
      }
    }
    CHECK((*together)[0].history.back().cross_entropy != (*together)[1].history.back().cross_entropy);
    CHECK((*together)[0].history.back().cross_entropy != (*together)[6].history.back().cross_entropy);
    CHECK(RunSweep(*backend, data, jobs, 4, ignore, [] { return true; }).status().code() == Code::kInterrupted);
  }
}
