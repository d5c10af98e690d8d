// SPDX-License-Identifier: Apache-2.0
#include "models/sweep.h"

#include <algorithm>
#include <mutex>

#include "kernels/philox.h"
#include "loaders/threads.h"

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

bool RunAlike(const SweepJob& a, const SweepJob& b) {
  const TrainOptions &x = a.options, &y = b.options;
  return x.how_many_training_steps == y.how_many_training_steps && x.eval_step_interval == y.eval_step_interval &&
         x.train_batch_size == y.train_batch_size && x.validation_batch_size == y.validation_batch_size &&
         (x.train_batch_size >= 0 || a.per_class == b.per_class);  // the whole split: as many rows
}

Result<std::vector<SweepResult>> RunGroup(Backend& backend, const HeadData& data, std::span<const SweepJob> jobs,
                                          std::span<const size_t> group, const std::function<bool()>& interrupted) {
  COUPLET_ASSIGN_OR_RETURN(const auto trainer,
                           backend.make_head_trainer({data.features, data.classes, static_cast<int>(group.size())}));
  std::vector<HeadJob> heads;
  for (const size_t job : group) {
    heads.push_back({jobs[job].options, data.rows});
    if (jobs[job].per_class == 0) continue;
    for (auto& rows : heads.back().rows[0])
      KeepSome(jobs[job].options.seed, static_cast<size_t>(jobs[job].per_class), &rows);
  }
  COUPLET_ASSIGN_OR_RETURN(std::vector<TrainResult> trained, TrainTogether(*trainer, data, heads, interrupted));
  std::vector<SweepResult> results;
  for (size_t i = 0; i < group.size(); ++i) {
    TrainResult& head = trained[i];
    if (!head.stopped.ok() && head.stopped.code() != Code::kDiverged) return head.stopped;
    trainer->use_head(static_cast<int>(i));
    const HeadBatch test = DrawBatch(data.rows[2], -1, jobs[group[i]].options.seed, 0, kStreamTest);
    COUPLET_ASSIGN_OR_RETURN(const Evaluation evaluation, EvaluateBatch(*trainer, data, test));
    results.push_back({head.stopped, std::move(head.history), head.steps, evaluation.correct, evaluation.n,
                       static_cast<int>(group.size()), head.seconds});
  }
  return results;
}

}  // namespace

std::vector<std::vector<size_t>> SweepGroups(std::span<const SweepJob> jobs, int most) {
  std::vector<std::vector<size_t>> groups;
  for (size_t job = 0; job < jobs.size(); ++job) {
    const auto with_room = std::find_if(groups.begin(), groups.end(), [&](const std::vector<size_t>& group) {
      return group.size() < static_cast<size_t>(most) && RunAlike(jobs[group[0]], jobs[job]);
    });
    if (with_room == groups.end()) {
      groups.push_back({job});
    } else {
      with_room->push_back(job);
    }
  }
  return groups;
}

Result<std::vector<SweepResult>> RunSweep(Backend& backend, const HeadData& data, std::span<const SweepJob> jobs, int threads,
                                          const std::function<void(size_t, const SweepResult&)>& done,
                                          const std::function<bool()>& interrupted) {
  const auto groups = SweepGroups(jobs, backend.heads_together({data.features, data.classes}));
  std::vector<SweepResult> results(jobs.size());
  std::vector<Status> failed(groups.size());
  std::mutex mutex;  // guards what follows of a group, and `done`
  ForEachIndex(groups.size(), threads, [&](size_t i) {
    auto trained = RunGroup(backend, data, jobs, groups[i], interrupted);
    const std::lock_guard lock(mutex);
    failed[i] = trained.status();
    if (!trained.ok()) return;
    for (size_t k = 0; k < groups[i].size(); ++k) {
      const size_t job = groups[i][k];
      results[job] = std::move((*trained)[k]);
      done(job, results[job]);
    }
  });
  for (const Status& status : failed) COUPLET_RETURN_IF_ERROR(status);
  return results;
}

}  // namespace couplet
