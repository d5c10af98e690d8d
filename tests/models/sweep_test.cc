// SPDX-License-Identifier: Apache-2.0
#include "models/sweep.h"

#include <set>

#include "tests/support/small_training.h"
#include "tests/support/test.h"

namespace couplet {
namespace {

std::vector<SweepJob> Jobs() {
  std::vector<SweepJob> jobs;
  for (const double rate : {0.01, 0.1})
    for (const uint64_t seed : {0, 1, 2}) {
      SweepJob job;
      job.options = test::Short(60);
      job.options.learning_rate = rate;
      job.options.seed = seed;
      jobs.push_back(job);
    }
  jobs.push_back(jobs[0]);
  jobs.back().per_class = 2;
  return jobs;
}

TEST_CASE("sweep: each training is what it is alone, with one thread and with three [threads]") {
  const auto backend = MakeCpuBackend();
  const HeadData data = test::Clouds();
  const std::vector<SweepJob> jobs = Jobs();
  for (const int threads : {1, 3}) {
    std::set<size_t> done;
    const auto results = RunSweep(*backend, data, jobs, threads, [&](size_t job, const SweepResult&) { done.insert(job); }, {});
    REQUIRE(results.ok());
    CHECK(done.size() == jobs.size());
    for (size_t i = 0; i + 1 < jobs.size(); ++i) {
      const test::Run alone = test::TrainOn(data, jobs[i].options);
      REQUIRE((*results)[i].history.size() == alone.result.history.size());
      CHECK((*results)[i].history.back().cross_entropy == alone.result.history.back().cross_entropy);
      const auto test = EvaluateBatch(*alone.trainer, data, DrawBatch(data.rows[2], -1, 0, 0, kStreamTest)).value();
      CHECK((*results)[i].right == test.correct);
      CHECK((*results)[i].n == 18);
    }
    // Two photos a class are another training, tested on the same photos.
    CHECK(results->back().history.back().cross_entropy != (*results)[0].history.back().cross_entropy);
    CHECK(results->back().n == 18);
  }
}

TEST_CASE("sweep: what goes together has equal steps and batches, and no more heads than the device takes") {
  std::vector<SweepJob> jobs(7);
  jobs[2].options.how_many_training_steps = 10;
  jobs[3].options.learning_rate = 1, jobs[3].options.seed = 3, jobs[3].per_class = 4;
  jobs[4].options.eval_step_interval = 3;
  jobs[5].options.validation_batch_size = -1;
  jobs[6].options.how_many_training_steps = 10;
  using Groups = std::vector<std::vector<size_t>>;
  CHECK(SweepGroups(jobs, 32) == Groups{{0, 1, 3}, {2, 6}, {4}, {5}});
  CHECK(SweepGroups(jobs, 2) == Groups{{0, 1}, {2, 6}, {3}, {4}, {5}});
  CHECK(SweepGroups(jobs, 1).size() == 7);
  // The whole split is of other sizes where there are fewer photos.
  for (SweepJob& job : jobs) job.options.train_batch_size = -1;
  CHECK(SweepGroups(jobs, 32) == Groups{{0, 1}, {2, 6}, {3}, {4}, {5}});
  CHECK(SweepGroups({}, 32).empty());
}

TEST_CASE("sweep: a rate that diverges is a result, an interruption and bad options are errors") {
  const auto backend = MakeCpuBackend();
  const HeadData data = test::Clouds();
  std::vector<SweepJob> jobs = Jobs();
  jobs[1].options.learning_rate = 3e38;
  const auto ignore = [](size_t, const SweepResult&) {};
  const auto results = RunSweep(*backend, data, jobs, 2, ignore, {});
  REQUIRE(results.ok());
  CHECK((*results)[1].stopped.code() == Code::kDiverged);
  CHECK((*results)[0].stopped.ok());
  CHECK(RunSweep(*backend, data, jobs, 2, ignore, [] { return true; }).status().code() == Code::kInterrupted);
  jobs[3].options.train_batch_size = 0;
  CHECK(RunSweep(*backend, data, jobs, 2, ignore, {}).status().code() == Code::kBadInput);
}

}  // namespace
}  // namespace couplet
