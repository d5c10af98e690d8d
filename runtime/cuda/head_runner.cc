// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/head_runner.h"

#include <algorithm>

#include "kernels/philox_batch.h"

namespace couplet::cuda {

namespace {

// More scratch than this, with thousands of rows to evaluate, is not worth it.
constexpr size_t kFusedScratchBytes = size_t{64} << 20;

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

Status DeviceSource::Set(const HeadDevice& device, const BatchSource& source, int batches) {
  n_ = 0;
  if (source.rows.empty()) return {};
  for (const uint32_t row : source.rows) COUPLET_CHECK(row < device.count());
  for (const int32_t label : source.labels) COUPLET_CHECK(label >= 0 && label < device.shape().classes);
  COUPLET_CHECK(source.first.size() == source.labels.size() + 1 && source.first.back() == source.rows.size());
  lists_ = static_cast<int>(source.labels.size());
  stream_ = source.stream;
  drawn_ = source.size >= 0;
  if (drawn_) {
    COUPLET_RETURN_IF_ERROR(Upload(device, source.rows, &list_rows_));
    COUPLET_RETURN_IF_ERROR(Upload(device, source.first, &first_));
    COUPLET_RETURN_IF_ERROR(Upload(device, source.labels, &list_labels_));
    const size_t bytes = static_cast<size_t>(batches) * static_cast<size_t>(source.size) * sizeof(uint32_t);
    int made = 0;  // a new plan forgets what was captured
    COUPLET_RETURN_IF_ERROR(Grow(device.memory(), &rows_, bytes, &made));
    COUPLET_RETURN_IF_ERROR(Grow(device.memory(), &labels_, bytes, &made));
    n_ = source.size;
    return {};
  }
  std::vector<int32_t> labels(source.rows.size());
  for (size_t list = 0; list < source.labels.size(); ++list)
    std::fill(labels.begin() + source.first[list], labels.begin() + source.first[list + 1],
              source.labels[list]);
  COUPLET_RETURN_IF_ERROR(Upload(device, source.rows, &rows_));
  COUPLET_RETURN_IF_ERROR(Upload(device, labels, &labels_));
  n_ = static_cast<int>(source.rows.size());
  return {};
}

Status DeviceSource::Draw(uint64_t seed, uint32_t first_step, uint32_t step_stride, int at, int count,
                          cudaStream_t stream) {
  if (empty() || !drawn_ || count == 0) return {};
  const DeviceBatch first = batch(at);
  COUPLET_DEVICE_RETURN(LaunchPhiloxBatch(
      {.count = count, .n = n_, .lists = lists_},
      {.seed = seed, .stream = stream_, .first_step = first_step, .step_stride = step_stride},
      list_rows_.as<uint32_t>(), first_.as<uint32_t>(), list_labels_.as<int32_t>(),
      const_cast<uint32_t*>(first.rows), const_cast<int32_t*>(first.labels), stream));
  return {};
}

DeviceBatch DeviceSource::batch(int i) const {
  const size_t at = static_cast<size_t>(i) * static_cast<size_t>(stride());
  return {.rows = rows_.as<uint32_t>() + at, .labels = labels_.as<int32_t>() + at, .n = n_};
}

DeviceBatch DeviceSource::part(int i, int p) const {
  DeviceBatch part = batch(i);
  part.rows += p * kEvaluateRows;
  part.labels += p * kEvaluateRows;
  part.n = std::min(kEvaluateRows, n_ - p * kEvaluateRows);
  return part;
}

Status HeadRunner::set_plan(const RunPlan& plan) {
  graph_ = GraphExec();
  last_ = captured_ = Pattern();
  captures_ = true;
  seed_ = plan.seed;
  learning_rate_ = plan.learning_rate;
  steps_ = plan.steps;
  eval_interval_ = plan.eval_interval;
  COUPLET_RETURN_IF_ERROR(train_.Set(*device_, plan.train, kRunSteps));
  COUPLET_RETURN_IF_ERROR(validation_.Set(*device_, plan.validation, kRunSteps));
  COUPLET_CHECK(!train_.empty() && eval_interval_ >= 1);
  COUPLET_RETURN_IF_ERROR(device_->Reserve(std::max(train_.n(), std::min(validation_.n(), kEvaluateRows))));
  const size_t results =
      static_cast<size_t>(kRunSteps) * static_cast<size_t>(1 + EvaluationResults()) * sizeof(HeadResult);
  int made = 0;
  COUPLET_RETURN_IF_ERROR(Grow(device_->memory(), &results_, results, &made));
  COUPLET_RETURN_IF_ERROR(Grow(&fetched_, results));
  fuses_ = device_->Fuses(train_.n()) && std::max(train_.parts(), validation_.parts()) == 1 &&
           ScratchBytes() <= kFusedScratchBytes;
  return fuses_ ? Grow(device_->memory(), &scratch_, ScratchBytes(), &made) : Status();
}

Result<RunResult> HeadRunner::run(int first, int count) {
  COUPLET_CHECK(!train_.empty() && count >= 1 && first + count <= steps_);
  RunResult out;
  for (int at = first; at < first + count; at += kRunSteps) {
    COUPLET_RETURN_IF_ERROR(RunOnce(at, std::min(kRunSteps, first + count - at), &out));
    if (!out.steps.back().finite) break;
  }
  return out;
}

Status HeadRunner::RunOnce(int first, int count, RunResult* out) {
  const Pattern pattern = PatternOf(first, count);
  COUPLET_RETURN_IF_ERROR(Draw(first, pattern));
  COUPLET_RETURN_IF_ERROR(Queue(pattern));
  return Fetch(first, pattern, out);
}

HeadRunner::Pattern HeadRunner::PatternOf(int first, int count) const {
  Pattern pattern{.count = count, .evaluated = {}, .made = device_->made()};
  for (int i = 0; i < count; ++i)
    if ((first + i) % eval_interval_ == 0 || first + i + 1 == steps_) pattern.evaluated.push_back(i);
  return pattern;
}

Status HeadRunner::Draw(int first, const Pattern& pattern) {
  const cudaStream_t stream = device_->stream();
  const uint32_t step = static_cast<uint32_t>(first);
  COUPLET_RETURN_IF_ERROR(train_.Draw(seed_, step, 1, 0, pattern.count, stream));
  if (pattern.evaluated.empty()) return {};
  // All evaluated steps but perhaps the last lie an interval apart.
  const int all = static_cast<int>(pattern.evaluated.size());
  const bool odd = (first + pattern.evaluated.back()) % eval_interval_ != 0;
  const int regular = all - (odd ? 1 : 0);
  COUPLET_RETURN_IF_ERROR(validation_.Draw(seed_, step + static_cast<uint32_t>(pattern.evaluated.front()),
                                           static_cast<uint32_t>(eval_interval_), 0, regular, stream));
  return validation_.Draw(seed_, step + static_cast<uint32_t>(pattern.evaluated.back()), 1, regular,
                          all - regular, stream);
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
  return fuses_ ? QueueFused(pattern) : QueuePlain(pattern);
}

size_t HeadRunner::ScratchBytes() const {
  const HeadStepsShape shape = device_->FusedShape(learning_rate_);
  return static_cast<size_t>(HeadStepsScratchFloats(shape, FusedRows())) * sizeof(float);
}

Status HeadRunner::QueueFused(const Pattern& pattern) {
  const auto batch = [](const DeviceBatch& b, HeadResult* result) {
    return HeadStepsBatch{.rows = b.rows, .labels = b.labels, .n = b.n, .result = result};
  };
  std::vector<HeadStepsEvaluation> evaluations;
  for (size_t i = 0; i < pattern.evaluated.size(); ++i) {
    const int at = static_cast<int>(i), step = pattern.evaluated[i];
    HeadStepsEvaluation evaluation{.after = step,
                                   .batches = {batch(train_.batch(step), EvaluationResult(at))}};
    if (!validation_.empty())
      evaluation.batches[1] = batch(validation_.batch(at), EvaluationResult(at) + train_.parts());
    evaluations.push_back(evaluation);
  }
  COUPLET_DEVICE_RETURN(LaunchHeadSteps(device_->FusedShape(learning_rate_),
                                        {.count = pattern.count,
                                         .first = batch(train_.batch(0), results_.as<HeadResult>()),
                                         .row_stride = train_.stride(),
                                         .evaluations = evaluations.data(),
                                         .evaluation_count = static_cast<int>(evaluations.size())},
                                        device_->vectors(), device_->weights(), device_->biases(),
                                        scratch_.as<float>(), FusedRows(), device_->stream()));
  return {};
}

Status HeadRunner::QueuePlain(const Pattern& pattern) {
  HeadResult* const results = results_.as<HeadResult>();
  size_t evaluated = 0;
  for (int i = 0; i < pattern.count; ++i) {
    const DeviceBatch batch = train_.batch(i);
    COUPLET_RETURN_IF_ERROR(device_->Forward(batch, false, i > 0 ? results + i - 1 : nullptr, results + i));
    COUPLET_RETURN_IF_ERROR(device_->Update(batch, learning_rate_, results + i));
    if (evaluated == pattern.evaluated.size() || pattern.evaluated[evaluated] != i) continue;
    const int at = static_cast<int>(evaluated++);
    COUPLET_RETURN_IF_ERROR(QueueEvaluation(train_, i, EvaluationResult(at)));
    COUPLET_RETURN_IF_ERROR(QueueEvaluation(validation_, at, EvaluationResult(at) + train_.parts()));
  }
  return {};
}

Status HeadRunner::QueueEvaluation(const DeviceSource& source, int i, HeadResult* results) {
  for (int p = 0; p < source.parts(); ++p)
    COUPLET_RETURN_IF_ERROR(device_->Forward(source.part(i, p), false, nullptr, results + p));
  return {};
}

Status HeadRunner::Fetch(int first, const Pattern& pattern, RunResult* out) {
  const size_t evaluations = pattern.evaluated.size();
  const size_t results =
      static_cast<size_t>(kRunSteps) + evaluations * static_cast<size_t>(EvaluationResults());
  HeadResult* const fetched = fetched_.as<HeadResult>();
  COUPLET_DEVICE_RETURN(cudaMemcpyAsync(fetched, results_.data(), results * sizeof(HeadResult),
                                        cudaMemcpyDeviceToHost, device_->stream()));
  COUPLET_DEVICE_RETURN(cudaStreamSynchronize(device_->stream()));
  int good = 0;
  while (good < pattern.count) {
    out->steps.push_back(ToBatchResult(fetched[good]));
    if (!out->steps.back().finite) break;
    ++good;
  }
  for (size_t i = 0; i < evaluations && pattern.evaluated[i] < good; ++i) {
    const HeadResult* const parts = fetched + kRunSteps + i * static_cast<size_t>(EvaluationResults());
    out->evaluations.push_back({.step = first + pattern.evaluated[i],
                                .train = SumParts(train_, parts),
                                .validation = SumParts(validation_, parts + train_.parts())});
  }
  return {};
}

BatchResult HeadRunner::SumParts(const DeviceSource& source, const HeadResult* results) const {
  BatchResult total;
  for (int p = 0; p < source.parts(); ++p)
    AddPart(ToBatchResult(results[p]), static_cast<size_t>(source.part(0, p).n),
            static_cast<size_t>(source.n()), &total);
  return total;
}

}  // namespace couplet::cuda
