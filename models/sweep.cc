// SPDX-License-Identifier: Apache-2.0
#include "models/sweep.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <system_error>
#include <thread>

#include "kernels/philox.h"

namespace couplet {
namespace {

// The first `count` of the rows in an order that the seed draws.
void KeepSome(uint64_t seed, size_t count, std::vector<uint32_t>* rows) {
  if (rows->size() <= count) return;
  const auto key = [seed](uint32_t row) { return Philox(seed, row, 0, kStreamSubset).v[0]; };
  std::stable_sort(rows->begin(), rows->end(), [&](uint32_t a, uint32_t b) { return key(a) < key(b); });
  rows->resize(count);
  std::sort(rows->begin(), rows->end());
}

Result<SweepResult> RunJob(Backend& backend, HeadData& data, const SweepJob& job, const std::function<bool()>& interrupted) {
  COUPLET_ASSIGN_OR_RETURN(const auto trainer, backend.make_head_trainer({data.features, data.classes}));
  const auto all = data.rows;
  if (job.per_class > 0)
    for (auto& rows : data.rows[0]) KeepSome(job.options.seed, static_cast<size_t>(job.per_class), &rows);
  TrainHooks hooks;
  hooks.interrupted = interrupted;
  auto trained = Train(*trainer, data, job.options, hooks);
  data.rows = all;
  COUPLET_RETURN_IF_ERROR(trained.status());
  SweepResult result{trained->stopped, std::move(trained->history), trained->steps, 0, 0, trained->seconds};
  if (!result.stopped.ok() && result.stopped.code() != Code::kDiverged) return result.stopped;
  const HeadBatch test = DrawBatch(data.rows[2], -1, job.options.seed, 0, kStreamTest);
  COUPLET_ASSIGN_OR_RETURN(const Evaluation evaluation, EvaluateBatch(*trainer, data, test));
  result.right = evaluation.correct;
  result.n = evaluation.n;
  return result;
}

}  // namespace

Result<std::vector<SweepResult>> RunSweep(Backend& backend, const HeadData& data, std::span<const SweepJob> jobs, int threads,
                                          const std::function<void(size_t, const SweepResult&)>& done,
                                          const std::function<bool()>& interrupted) {
  std::vector<SweepResult> results(jobs.size());
  std::vector<Status> failed(jobs.size());
  std::atomic<size_t> next{0};
  std::mutex mutex;  // guards what follows of a job, and `done`
  const auto work = [&] {
    HeadData mine = data;  // a job changes the lists
    for (size_t job = next++; job < jobs.size(); job = next++) {
      auto result = RunJob(backend, mine, jobs[job], interrupted);
      const std::lock_guard lock(mutex);
      failed[job] = result.status();
      if (!result.ok()) continue;
      results[job] = *std::move(result);
      done(job, results[job]);
    }
  };
  std::vector<std::thread> helpers;
  try {
    for (int i = 1; i < std::min(threads, static_cast<int>(jobs.size())); ++i) helpers.emplace_back(work);
  } catch (const std::system_error&) {
    // Fewer will do.
  }
  work();
  for (std::thread& helper : helpers) helper.join();
  for (const Status& status : failed) COUPLET_RETURN_IF_ERROR(status);
  return results;
}

}  // namespace couplet
