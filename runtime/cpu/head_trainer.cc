// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu/head_trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "runtime/cpu/aligned_floats.h"
#include "runtime/cpu/head_kernels.h"
#include "runtime/cpu/team.h"

namespace couplet {

namespace {

// Rows that evaluate() looks at together: their logits stay in the cache whatever the split's size.
constexpr size_t kEvaluateRows = 128;

// How many threads share a step. Each has so many weights at least: with fewer, handing the work over takes as long as doing it.
int LanesFor(const head::Layout& layout, int threads) {
  constexpr size_t kShareOfWeights = 8192;
  return layout.by_panels() ? std::clamp(static_cast<int>(layout.size() / kShareOfWeights), 1, threads) : 1;
}

// Aligned floats that grow and are reused; what is behind a resize is undefined.
class Floats {
 public:
  float* resize(size_t count) {
    if (count > count_) {
      data_ = cpu::MakeAligned(count);
      count_ = count;
    }
    return data_.get();
  }
  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }

 private:
  cpu::AlignedFloats data_;
  size_t count_ = 0;
};

class CpuHeadTrainer final : public HeadTrainer {
 public:
  explicit CpuHeadTrainer(const HeadShape& shape)
      : features_(static_cast<size_t>(shape.features)), classes_(static_cast<size_t>(shape.classes)),
        layout_(head::LayoutFor(features_, classes_)), team_(LanesFor(layout_, shape.threads)) {
    for (Floats* weights : {&weights_, &next_weights_}) std::fill_n(weights->resize(layout_.size()), layout_.size(), 0.0f);
    biases_.assign(head::Padded(classes_), 0.0f);
    next_biases_ = biases_;
  }

  Status set_vectors(std::span<const float> vectors) override {
    COUPLET_CHECK(vectors.size() % features_ == 0);
    vectors_ = vectors;
    return {};
  }

  Status set_params(const HeadParams& params) override {
    COUPLET_CHECK(params.weights.size() == features_ * classes_ && params.biases.size() == classes_);
    head::Pack(layout_, params.weights.data(), weights_.data());
    std::copy(params.biases.begin(), params.biases.end(), biases_.begin());
    return {};
  }

  Status read_params(HeadParams* out) const override {
    out->weights.resize(features_ * classes_);
    head::Unpack(layout_, weights_.data(), out->weights.data());
    out->biases.assign(biases_.begin(), biases_.begin() + static_cast<ptrdiff_t>(classes_));
    return {};
  }

  Result<BatchResult> step(std::span<const uint32_t> rows, std::span<const int32_t> labels,
                           float learning_rate, const BatchOutputs& outputs) override {
    BatchResult result = Pass(rows, labels, outputs);
    if (!result.finite) return result;
    float* const slopes = probabilities_.data();
    head::Slopes(labels.data(), rows.size(), classes_, slopes);
    result.finite = UpdateBiases(slopes, rows.size(), learning_rate) &&
                    head::Update(layout_, batch_, slopes, learning_rate, weights_.data(), next_weights_.data(), team_);
    if (result.finite) {
      std::swap(weights_, next_weights_);
      std::swap(biases_, next_biases_);
    }
    return result;
  }

  Result<BatchResult> evaluate(std::span<const uint32_t> rows, std::span<const int32_t> labels,
                               const BatchOutputs& outputs) override {
    COUPLET_CHECK(labels.size() == rows.size());
    BatchResult total;
    for (size_t at = 0; at < rows.size(); at += kEvaluateRows) {
      const size_t n = std::min(kEvaluateRows, rows.size() - at);
      BatchOutputs part = outputs;
      if (part.logits != nullptr) part.logits += at * classes_;
      if (part.probabilities != nullptr) part.probabilities += at * classes_;
      const BatchResult result = Pass(rows.subspan(at, n), labels.subspan(at, n), part);
      total.mean_loss += result.mean_loss * static_cast<double>(n) / static_cast<double>(rows.size());
      total.correct += result.correct;
      total.finite = total.finite && result.finite;
    }
    return total;
  }

 private:
  // Forward pass: fills batch_, logits_, probabilities_.
  BatchResult Pass(std::span<const uint32_t> rows, std::span<const int32_t> labels,
                   const BatchOutputs& outputs) {
    const size_t n = rows.size(), stride = head::Padded(classes_);
    COUPLET_CHECK(n > 0 && labels.size() == n);
    Gather(rows);
    for (const int32_t label : labels) COUPLET_CHECK(label >= 0 && static_cast<size_t>(label) < classes_);
    float* logits = logits_.resize(n * stride);
    float* probabilities = probabilities_.resize(n * stride);
    head::Forward(layout_, batch_, weights_.data(), biases_.data(), logits, team_);
    const head::SoftmaxSums sums = head::Softmax(logits, labels.data(), n, classes_, probabilities);
    CopyOut(logits, n, outputs.logits);
    CopyOut(probabilities, n, outputs.probabilities);
    return {.mean_loss = sums.loss / static_cast<double>(n), .correct = sums.correct, .finite = sums.finite};
  }

  void Gather(std::span<const uint32_t> rows) {
    const size_t count = vectors_.size() / features_, whole = features_ / head::kPad * head::kPad;
    rows_.resize(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      COUPLET_CHECK(rows[i] < count);
      rows_[i] = vectors_.data() + rows[i] * features_;
      __builtin_prefetch(rows_[i] + whole);
    }
    batch_ = {.rows = rows_.data(), .tails = nullptr, .n = rows.size()};
    if (whole == features_ || layout_.by_panels()) return;
    float* tails = tails_.resize(rows.size() * head::kPad);
    for (size_t i = 0; i < rows.size(); ++i) {
      std::fill_n(tails + i * head::kPad, head::kPad, 0.0f);
      std::copy_n(rows_[i] + whole, features_ - whole, tails + i * head::kPad);
    }
    batch_.tails = tails;
  }

  void CopyOut(const float* padded, size_t n, float* dst) const {
    if (dst == nullptr || n == 0) return;
    size_t i = 0;
    // A few classes: a row's padding is written too, and then the next row over it, as a call a row would take longer than the row.
    if (classes_ <= head::kPad)
      for (; i + head::kPad / classes_ < n; ++i) std::copy_n(padded + i * head::kPad, head::kPad, dst + i * classes_);
    for (; i < n; ++i) std::copy_n(padded + i * head::Padded(classes_), classes_, dst + i * classes_);
  }

  bool UpdateBiases(const float* slopes, size_t n, float learning_rate) {
    std::fill(next_biases_.begin(), next_biases_.end(), 0.0f);
    for (size_t i = 0; i < n; ++i)
      for (size_t c = 0; c < classes_; ++c) next_biases_[c] += slopes[i * head::Padded(classes_) + c];
    bool finite = true;
    for (size_t c = 0; c < classes_; ++c) {
      next_biases_[c] = biases_[c] - learning_rate * next_biases_[c];
      finite = finite && std::isfinite(next_biases_[c]);
    }
    return finite;
  }

  const size_t features_, classes_;
  std::span<const float> vectors_;
  const head::Layout layout_;
  cpu::Team team_;
  // A step writes the next ones and swaps when all of them are finite.
  Floats weights_, next_weights_;
  std::vector<float> biases_, next_biases_;  // [Padded(classes)]
  // Of the batch at hand, reused.
  std::vector<const float*> rows_;
  Floats tails_, logits_, probabilities_;
  head::Batch batch_;
};

}  // namespace

std::unique_ptr<HeadTrainer> MakeCpuHeadTrainer(const HeadShape& shape) {
  COUPLET_CHECK(shape.heads == 1);
  COUPLET_CHECK(shape.features >= 1 && shape.classes >= 1 && shape.threads >= 1);
  return std::make_unique<CpuHeadTrainer>(shape);
}

}  // namespace couplet
