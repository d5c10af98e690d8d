// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/head_runner.h"

#include <algorithm>

#include "kernels/philox_batch.h"

namespace couplet::cuda {

namespace {

// More scratch than this, with thousands of rows to evaluate, is not worth it.
constexpr int64_t kFusedScratchFloats = int64_t{16} << 20;

template <class T>
Status Upload(const HeadDevice& device, const std::vector<T>& values, DeviceBuffer* buffer) {
  int made = 0;
  const size_t bytes = values.size() * sizeof(T);
  COUPLET_RETURN_IF_ERROR(Grow(device.memory(), buffer, bytes, &made));
  COUPLET_DEVICE_RETURN(
      cudaMemcpyAsync(buffer->data(), values.data(), bytes, cudaMemcpyHostToDevice, device.stream()));
  COUPLET_DEVICE_RETURN(cudaStreamSynchronize(device.stream()));
  return {};
}

}  // namespace

Status DeviceSource::Set(const HeadDevice& device, std::span<const RunPlan> plans, BatchSource RunPlan::*split,
                         int batches) {
  n_ = 0;
  lists_.clear();
  BatchSource all;              // head after head
  std::vector<int32_t> labels;  // of all.rows
  const auto rows_of = [](const BatchSource& source) {
    return source.rows.empty() || source.size < 0 ? static_cast<int>(source.rows.size()) : source.size;
  };
  const BatchSource& example = plans[0].*split;
  for (const RunPlan& plan : plans) {
    const BatchSource& source = plan.*split;
    COUPLET_CHECK(rows_of(source) == rows_of(example) && source.stream == example.stream &&
                  (source.size >= 0) == (example.size >= 0));
    if (source.rows.empty()) continue;
    for (const uint32_t row : source.rows) COUPLET_CHECK(row < device.count());
    for (const int32_t label : source.labels) COUPLET_CHECK(label >= 0 && label < device.shape().classes);
    COUPLET_CHECK(source.first.size() == source.labels.size() + 1 && source.first.back() == source.rows.size());
    lists_.push_back(
        {all.rows.size(), all.first.size(), all.labels.size(), static_cast<int>(source.labels.size())});
    all.rows.insert(all.rows.end(), source.rows.begin(), source.rows.end());
    all.first.insert(all.first.end(), source.first.begin(), source.first.end());
    all.labels.insert(all.labels.end(), source.labels.begin(), source.labels.end());
    for (size_t list = 0; list < source.labels.size(); ++list)
      labels.insert(labels.end(), source.first[list + 1] - source.first[list], source.labels[list]);
  }
  if (all.rows.empty()) return {};
  stream_ = example.stream;
  drawn_ = example.size >= 0;
  batches_ = drawn_ ? batches : 1;
  if (drawn_) {
    COUPLET_RETURN_IF_ERROR(Upload(device, all.rows, &list_rows_));
    COUPLET_RETURN_IF_ERROR(Upload(device, all.first, &first_));
    COUPLET_RETURN_IF_ERROR(Upload(device, all.labels, &list_labels_));
    const size_t rows = plans.size() * static_cast<size_t>(batches) * static_cast<size_t>(example.size);
    int made = 0;  // new plans forget what was captured
    COUPLET_RETURN_IF_ERROR(Grow(device.memory(), &rows_, rows * sizeof(uint32_t), &made));
    COUPLET_RETURN_IF_ERROR(Grow(device.memory(), &labels_, rows * sizeof(int32_t), &made));
  } else {
    COUPLET_RETURN_IF_ERROR(Upload(device, all.rows, &rows_));
    COUPLET_RETURN_IF_ERROR(Upload(device, labels, &labels_));
  }
  n_ = rows_of(example);
  return {};
}

Status DeviceSource::Draw(int head, uint64_t seed, uint32_t first_step, uint32_t step_stride, int at, int count,
                          cudaStream_t stream) {
  if (empty() || !drawn_ || count == 0) return {};
  const DeviceBatch first = batch(head, at);
  const Lists& lists = lists_[static_cast<size_t>(head)];
  COUPLET_DEVICE_RETURN(LaunchPhiloxBatch(
      {.count = count, .n = n_, .lists = lists.count},
      {.seed = seed, .stream = stream_, .first_step = first_step, .step_stride = step_stride},
      list_rows_.as<uint32_t>() + lists.rows, first_.as<uint32_t>() + lists.first,
      list_labels_.as<int32_t>() + lists.labels, const_cast<uint32_t*>(first.rows),
      const_cast<int32_t*>(first.labels), stream));
  return {};
}

DeviceBatch DeviceSource::batch(int head, int i) const {
  const size_t at = static_cast<size_t>(head) * static_cast<size_t>(head_stride()) +
                    static_cast<size_t>(i) * static_cast<size_t>(stride());
  return {.rows = rows_.as<uint32_t>() + at, .labels = labels_.as<int32_t>() + at, .n = n_};
}

DeviceBatch DeviceSource::part(int head, int i, int p) const {
  DeviceBatch part = batch(head, i);
  part.rows += p * kEvaluateRows;
  part.labels += p * kEvaluateRows;
  part.n = std::min(kEvaluateRows, n_ - p * kEvaluateRows);
  return part;
}

Status HeadRunner::set_plans(std::span<const RunPlan> plans) {
  COUPLET_CHECK(plans.size() == static_cast<size_t>(device_->shape().heads));
  graph_ = GraphExec();
  last_ = captured_ = Pattern();
  captures_ = true;
  steps_ = plans[0].steps;
  eval_interval_ = plans[0].eval_interval;
  seeds_.clear();
  learning_rates_.clear();
  stopped_.assign(plans.size(), false);
  for (const RunPlan& plan : plans) {
    COUPLET_CHECK(plan.steps == steps_ && plan.eval_interval == eval_interval_);
    seeds_.push_back(plan.seed);
    learning_rates_.push_back(plan.learning_rate);
  }
  COUPLET_RETURN_IF_ERROR(train_.Set(*device_, plans, &RunPlan::train, kRunSteps));
  COUPLET_RETURN_IF_ERROR(validation_.Set(*device_, plans, &RunPlan::validation, kRunSteps));
  COUPLET_CHECK(!train_.empty() && eval_interval_ >= 1);
  COUPLET_RETURN_IF_ERROR(device_->Reserve(std::max(train_.n(), std::min(validation_.n(), kEvaluateRows))));
  const size_t results = plans.size() * static_cast<size_t>(ResultsOfAHead()) * sizeof(HeadResult);
  int made = 0;
  COUPLET_RETURN_IF_ERROR(Grow(device_->memory(), &results_, results, &made));
  COUPLET_RETURN_IF_ERROR(Grow(&fetched_, results));
  const bool fuses = device_->Fuses(train_.n()) && std::max(train_.parts(), validation_.parts()) == 1;
  const HeadStepsShape shape = device_->FusedShape();
  fused_ = fuses ? HeadStepsTogether(shape, FusedRows(), heads(), kFusedScratchFloats) : 0;
  if (fused_ == 0) return {};
  return Grow(device_->memory(), &scratch_,
              static_cast<size_t>(HeadStepsScratchFloats(shape, FusedRows(), fused_)) * sizeof(float), &made);
}

Result<std::vector<RunResult>> HeadRunner::run(int first, int count) {
  COUPLET_CHECK(!train_.empty() && count >= 1 && first + count <= steps_);
  std::vector<RunResult> out(stopped_.size());
  for (int at = first; at < first + count; at += kRunSteps) {
    if (std::find(stopped_.begin(), stopped_.end(), false) == stopped_.end()) break;
    COUPLET_RETURN_IF_ERROR(RunOnce(at, std::min(kRunSteps, first + count - at), &out));
  }
  return out;
}

Status HeadRunner::RunOnce(int first, int count, std::vector<RunResult>* out) {
  const Pattern pattern = PatternOf(first, count);
  COUPLET_RETURN_IF_ERROR(Draw(first, pattern));
  COUPLET_RETURN_IF_ERROR(Queue(pattern));
  return Fetch(first, pattern, out);
}

HeadRunner::Pattern HeadRunner::PatternOf(int first, int count) const {
  Pattern pattern{.count = count, .evaluated = {}, .stopped = stopped_, .made = device_->made()};
  for (int i = 0; i < count; ++i)
    if ((first + i) % eval_interval_ == 0 || first + i + 1 == steps_) pattern.evaluated.push_back(i);
  return pattern;
}

Status HeadRunner::Draw(int first, const Pattern& pattern) {
  const cudaStream_t stream = device_->stream();
  const uint32_t step = static_cast<uint32_t>(first);
  for (int head = 0; head < heads(); ++head) {
    if (pattern.stopped[static_cast<size_t>(head)]) continue;
    const uint64_t seed = seeds_[static_cast<size_t>(head)];
    COUPLET_RETURN_IF_ERROR(train_.Draw(head, seed, step, 1, 0, pattern.count, stream));
    if (pattern.evaluated.empty()) continue;
    // All evaluated steps but perhaps the last lie an interval apart.
    const int all = static_cast<int>(pattern.evaluated.size());
    const bool odd = (first + pattern.evaluated.back()) % eval_interval_ != 0;
    const int regular = all - (odd ? 1 : 0);
    COUPLET_RETURN_IF_ERROR(validation_.Draw(head, seed, step + static_cast<uint32_t>(pattern.evaluated.front()),
                                             static_cast<uint32_t>(eval_interval_), 0, regular, stream));
    COUPLET_RETURN_IF_ERROR(validation_.Draw(head, seed, step + static_cast<uint32_t>(pattern.evaluated.back()), 1,
                                             regular, all - regular, stream));
  }
  return {};
}

// A pattern's first run warms the libraries up and costs no capture; the second is captured. Where that is
// refused nothing was done yet, and the work is queued call by call, as before.
Status HeadRunner::Queue(const Pattern& pattern) {
  if (!graph_ || !(pattern == captured_)) {
    const bool again = captures_ && pattern == last_;
    last_ = pattern;
    if (!again) return QueueSteps(pattern);
    graph_ = GraphExec();  // the old one first
    COUPLET_ASSIGN_OR_RETURN(graph_, Capture(device_->stream(), [&] { return QueueSteps(pattern); }));
    captures_ = graph_.get() != nullptr;
    if (!captures_) return QueueSteps(pattern);
    captured_ = pattern;
  }
  COUPLET_DEVICE_RETURN(cudaGraphLaunch(graph_.get(), device_->stream()));
  return {};
}

Status HeadRunner::QueueSteps(const Pattern& pattern) {
  if (fused_ > 0) return QueueFused(pattern);
  const int in_use = device_->head();
  Status status;
  for (int head = 0; head < heads() && status.ok(); ++head)
    if (!pattern.stopped[static_cast<size_t>(head)]) status = QueuePlain(head, pattern);
  device_->UseHead(in_use);
  return status;
}

Status HeadRunner::QueueFused(const Pattern& pattern) {
  const auto batch = [](const DeviceSource& source, int head, int i, HeadResult* result) {
    const DeviceBatch b = source.batch(head, i);
    return HeadStepsBatch{
        .rows = b.rows, .labels = b.labels, .n = b.n, .stride = source.head_stride(), .result = result};
  };
  for (int first = 0; first < heads(); first += fused_) {
    HeadStepsHeads side{
        .count = std::min(fused_, heads() - first), .stopped = 0, .results = ResultsOfAHead(), .learning_rates = {}};
    int stopped = 0;
    for (int i = 0; i < side.count; ++i) {
      const size_t head = static_cast<size_t>(first + i);
      side.learning_rates[i] = learning_rates_[head];
      if (pattern.stopped[head]) side.stopped |= 1u << i, ++stopped;
    }
    if (stopped == side.count) continue;
    std::vector<HeadStepsEvaluation> evaluations;
    for (size_t i = 0; i < pattern.evaluated.size(); ++i) {
      const int at = static_cast<int>(i), step = pattern.evaluated[i];
      HeadResult* const result = EvaluationResult(first, at);
      HeadStepsEvaluation evaluation{.after = step, .batches = {batch(train_, first, step, result)}};
      if (!validation_.empty()) evaluation.batches[1] = batch(validation_, first, at, result + train_.parts());
      evaluations.push_back(evaluation);
    }
    COUPLET_DEVICE_RETURN(LaunchHeadSteps(device_->FusedShape(), side,
                                          {.count = pattern.count,
                                           .first = batch(train_, first, 0, StepResults(first)),
                                           .row_stride = train_.stride(),
                                           .evaluations = evaluations.data(),
                                           .evaluation_count = static_cast<int>(evaluations.size())},
                                          device_->vectors(), device_->weights(first), device_->biases(first),
                                          scratch_.as<float>(), FusedRows(), device_->stream()));
  }
  return {};
}

Status HeadRunner::QueuePlain(int head, const Pattern& pattern) {
  device_->UseHead(head);
  const float rate = learning_rates_[static_cast<size_t>(head)];
  HeadResult* const results = StepResults(head);
  size_t evaluated = 0;
  for (int i = 0; i < pattern.count; ++i) {
    const DeviceBatch batch = train_.batch(head, i);
    COUPLET_RETURN_IF_ERROR(device_->Forward(batch, false, i > 0 ? results + i - 1 : nullptr, results + i));
    COUPLET_RETURN_IF_ERROR(device_->Update(batch, rate, results + i));
    if (evaluated == pattern.evaluated.size() || pattern.evaluated[evaluated] != i) continue;
    const int at = static_cast<int>(evaluated++);
    HeadResult* const result = EvaluationResult(head, at);
    COUPLET_RETURN_IF_ERROR(QueueEvaluation(head, train_, i, result));
    COUPLET_RETURN_IF_ERROR(QueueEvaluation(head, validation_, at, result + train_.parts()));
  }
  return {};
}

Status HeadRunner::QueueEvaluation(int head, const DeviceSource& source, int i, HeadResult* results) {
  for (int p = 0; p < source.parts(); ++p)
    COUPLET_RETURN_IF_ERROR(device_->Forward(source.part(head, i, p), false, nullptr, results + p));
  return {};
}

Status HeadRunner::Fetch(int first, const Pattern& pattern, std::vector<RunResult>* out) {
  const size_t each = static_cast<size_t>(ResultsOfAHead());
  const size_t results = (pattern.stopped.size() - 1) * each + static_cast<size_t>(kRunSteps) +
                         pattern.evaluated.size() * static_cast<size_t>(EvaluationResults());
  HeadResult* const fetched = fetched_.as<HeadResult>();
  COUPLET_DEVICE_RETURN(cudaMemcpyAsync(fetched, results_.data(), results * sizeof(HeadResult),
                                        cudaMemcpyDeviceToHost, device_->stream()));
  COUPLET_DEVICE_RETURN(cudaStreamSynchronize(device_->stream()));
  for (size_t head = 0; head < pattern.stopped.size(); ++head)
    if (!stopped_[head]) stopped_[head] = !Take(first, pattern, fetched + head * each, &(*out)[head]);
  return {};
}

bool HeadRunner::Take(int first, const Pattern& pattern, const HeadResult* results, RunResult* out) const {
  int good = 0;
  while (good < pattern.count) {
    out->steps.push_back(ToBatchResult(results[good]));
    if (!out->steps.back().finite) break;
    ++good;
  }
  for (size_t i = 0; i < pattern.evaluated.size() && pattern.evaluated[i] < good; ++i) {
    const HeadResult* const parts = results + kRunSteps + i * static_cast<size_t>(EvaluationResults());
    out->evaluations.push_back({.step = first + pattern.evaluated[i],
                                .train = SumParts(train_, parts),
                                .validation = SumParts(validation_, parts + train_.parts())});
  }
  return good == pattern.count;
}

BatchResult HeadRunner::SumParts(const DeviceSource& source, const HeadResult* results) const {
  BatchResult total;
  for (int p = 0; p < source.parts(); ++p)
    AddPart(ToBatchResult(results[p]), static_cast<size_t>(source.part(0, 0, p).n),
            static_cast<size_t>(source.n()), &total);
  return total;
}

}  // namespace couplet::cuda
