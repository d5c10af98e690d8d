// SPDX-License-Identifier: Apache-2.0
#include "models/wrong_labels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "kernels/philox.h"
#include "runtime/cpu/head_trainer.h"

namespace couplet {
namespace {

constexpr size_t kParts = 3;
constexpr int kSteps = 100, kBatch = 100, kAveragedEvery = 5;
// The rate for vectors of length 1, which is divided by their mean squared length. Twice what surely falls; what swings is averaged away.
constexpr double kRate = 20;
constexpr size_t kScoredAtOnce = 4096;
constexpr size_t kFittedLogits = size_t{1} << 16;  // two numbers do not need more
constexpr double kLeastTemperature = 0.02, kMostTemperature = 50;
constexpr int kTemperatures = 24, kFinerTemperatures = 12;

using Rows = std::vector<std::vector<uint32_t>>;
using Interrupted = std::function<bool()>;

Status GoOn(const Interrupted& interrupted) {
  if (!interrupted()) return {};
  return {Code::kInterrupted, "the search for photos in the wrong folder was interrupted"};
}

struct Member {
  uint32_t row = 0;
  Split split = Split::kTraining;
  int32_t label = 0;
};

// All photos, class by class: every third one makes a part.
std::vector<Member> MembersOf(const HeadData& data) {
  std::vector<Member> members;
  for (size_t c = 0; c < static_cast<size_t>(data.classes); ++c)
    for (size_t split = 0; split < data.rows.size(); ++split)
      for (const uint32_t row : data.rows[split][c])
        members.push_back({row, static_cast<Split>(split), static_cast<int32_t>(c)});
  return members;
}

double MeanSquaredLength(const HeadData& data, std::span<const Member> members) {
  double sum = 0;
  const size_t features = static_cast<size_t>(data.features);
  for (const Member& member : members) {
    float squares[16] = {};  // the order of the additions is the same on every machine
    const float* vector = data.vectors.data() + member.row * features;
    for (size_t f = 0; f < features; ++f) squares[f % 16] += vector[f] * vector[f];
    for (const float square : squares) sum += square;
  }
  return sum / static_cast<double>(members.size());
}

// The mean of the parameters over the second half of a short training: what the steps swing about.
Result<HeadParams> TrainedOn(HeadTrainer& trainer, const HeadShape& shape, const Rows& rows, uint64_t seed, float rate,
                             const Interrupted& interrupted) {
  HeadParams now, mean;
  mean.weights.resize(static_cast<size_t>(shape.features) * static_cast<size_t>(shape.classes));
  mean.biases.resize(static_cast<size_t>(shape.classes));
  COUPLET_RETURN_IF_ERROR(trainer.set_params(mean));
  constexpr int kAveraged = (kSteps - kSteps / 2) / kAveragedEvery;
  constexpr float kShare = 1.0f / kAveraged;
  for (int step = 0; step < kSteps; ++step) {
    COUPLET_RETURN_IF_ERROR(GoOn(interrupted));
    const HeadBatch batch = DrawBatch(rows, kBatch, seed, static_cast<uint32_t>(step), kStreamTrain);
    COUPLET_ASSIGN_OR_RETURN(const BatchResult pass, trainer.step(batch.rows, batch.labels, rate, {}));
    if (!pass.finite) return Status(Code::kDiverged, "numbers that are not finite");
    if (step < kSteps / 2 || step % kAveragedEvery != kAveragedEvery - 1) continue;
    COUPLET_RETURN_IF_ERROR(trainer.read_params(&now));
    for (size_t i = 0; i < mean.weights.size(); ++i) mean.weights[i] += kShare * now.weights[i];
    for (size_t i = 0; i < mean.biases.size(); ++i) mean.biases[i] += kShare * now.biases[i];
  }
  return mean;
}

// The heads of the parts, each trained on the others. A class of a single photo is in all.
Result<std::array<HeadParams, kParts>> TrainParts(HeadTrainer& trainer, const HeadData& data, std::span<const Member> members,
                                                  uint64_t seed, const Interrupted& interrupted) {
  const double length = MeanSquaredLength(data, members);
  const float rate = static_cast<float>(length > 0 ? kRate / length : 0);
  std::vector<size_t> of_class(static_cast<size_t>(data.classes));
  for (const Member& member : members) ++of_class[static_cast<size_t>(member.label)];
  std::array<HeadParams, kParts> heads;
  for (size_t part = 0; part < kParts; ++part) {
    Rows rows(of_class.size());
    for (size_t i = 0; i < members.size(); ++i)
      if (const size_t c = static_cast<size_t>(members[i].label); i % kParts != part || of_class[c] == 1)
        rows[c].push_back(members[i].row);
    COUPLET_ASSIGN_OR_RETURN(heads[part], TrainedOn(trainer, {data.features, data.classes}, rows, seed, rate, interrupted));
  }
  return heads;
}

// Calls visit(place in members, logits) for every `stride`-th photo of each part, by the part's head.
template <class Visit>
Status ForLogits(HeadTrainer& trainer, const std::array<HeadParams, kParts>& heads, std::span<const Member> members, size_t stride,
                 size_t classes, const Interrupted& interrupted, const Visit& visit) {
  std::vector<float> logits;
  for (size_t part = 0; part < kParts; ++part) {
    COUPLET_RETURN_IF_ERROR(trainer.set_params(heads[part]));
    for (size_t first = part; first < members.size();) {
      COUPLET_RETURN_IF_ERROR(GoOn(interrupted));
      std::vector<uint32_t> rows;
      std::vector<int32_t> labels;
      std::vector<size_t> places;
      for (; first < members.size() && rows.size() < kScoredAtOnce; first += kParts * stride) {
        rows.push_back(members[first].row);
        labels.push_back(members[first].label);
        places.push_back(first);
      }
      logits.resize(rows.size() * classes);
      COUPLET_RETURN_IF_ERROR(trainer.evaluate(rows, labels, {.logits = logits.data()}).status());
      for (size_t i = 0; i < places.size(); ++i) visit(places[i], std::span<const float>(logits).subspan(i * classes, classes));
    }
  }
  return {};
}

double LabelProbability(std::span<const float> logits, int32_t label, double temperature) {
  const float most = *std::max_element(logits.begin(), logits.end());
  double sum = 0, own = 0;
  for (size_t c = 0; c < logits.size(); ++c) {
    const double odds = std::exp((static_cast<double>(logits[c]) - most) / temperature);
    sum += odds;
    if (c == static_cast<size_t>(label)) own = odds;
  }
  return own / sum;
}

// The most likely share where the labels' own probabilities are `own`, and how likely the labels are then (a logarithm). The
// logarithm is concave in the share, so its slope has one zero at most.
std::pair<double, double> FitShare(std::span<const double> own, size_t classes, int halvings) {
  const double others = static_cast<double>(classes - 1);
  double low = 0, high = 0.5;  // low stays 0 where there is no sign of a wrong label
  for (int i = 0; i < halvings; ++i) {
    const double share = (low + high) / 2;
    double slope = 0;
    for (const double p : own) {
      const double replaced = (1 - p) / others;
      slope += (replaced - p) / ((1 - share) * p + share * replaced);
    }
    (slope > 0 ? low : high) = share;
  }
  double likelihood = 0;
  for (const double p : own) likelihood += std::log(std::max((1 - low) * p + low * (1 - p) / others, 1e-300));
  return {low, likelihood};
}

}  // namespace

double LabelNoise::WrongProbability(std::span<const float> logits, int32_t label) const {
  const double own = LabelProbability(logits, label, temperature);
  const double replaced = share * (1 - own) / static_cast<double>(logits.size() - 1);
  return replaced > 0 ? replaced / ((1 - share) * own + replaced) : 0;
}

LabelNoise FitLabelNoise(std::span<const float> logits, std::span<const int32_t> labels, int classes) {
  const size_t width = static_cast<size_t>(classes);
  COUPLET_CHECK(classes >= 2 && logits.size() == labels.size() * width);
  std::vector<double> own(labels.size());
  LabelNoise best;
  double most = -HUGE_VAL;
  const auto consider = [&](double temperature, int halvings) {
    for (size_t i = 0; i < own.size(); ++i) own[i] = LabelProbability(logits.subspan(i * width, width), labels[i], temperature);
    if (const auto [share, likelihood] = FitShare(own, width, halvings); likelihood > most) {
      most = likelihood;
      best = {temperature, share};
    }
  };
  const double step = std::pow(kMostTemperature / kLeastTemperature, 1.0 / (kTemperatures - 1));
  for (int i = 0; i < kTemperatures; ++i) consider(kLeastTemperature * std::pow(step, i), 10);
  const double about = best.temperature;
  for (int i = 1; i < kFinerTemperatures; ++i) consider(about * std::pow(step, 2.0 * i / kFinerTemperatures - 1), 20);
  return best;
}

Result<WrongLabels> FindWrongLabels(const HeadData& data, uint64_t seed, const std::function<bool()>& interrupted) {
  WrongLabels wrong;
  const std::vector<Member> members = MembersOf(data);
  const size_t classes = static_cast<size_t>(data.classes);
  if (members.empty() || classes < 2) return wrong;
  const auto trainer = MakeCpuHeadTrainer({data.features, data.classes});
  COUPLET_RETURN_IF_ERROR(trainer->set_vectors(data.vectors));
  COUPLET_ASSIGN_OR_RETURN(const auto heads, TrainParts(*trainer, data, members, seed, interrupted));
  std::vector<float> fitted;
  std::vector<int32_t> labels;
  const size_t stride = (members.size() * classes + kFittedLogits - 1) / kFittedLogits;
  COUPLET_RETURN_IF_ERROR(ForLogits(*trainer, heads, members, stride, classes, interrupted, [&](size_t i, std::span<const float> logits) {
    fitted.insert(fitted.end(), logits.begin(), logits.end());
    labels.push_back(members[i].label);
  }));
  wrong.noise = FitLabelNoise(fitted, labels, data.classes);
  COUPLET_RETURN_IF_ERROR(ForLogits(*trainer, heads, members, 1, classes, interrupted, [&](size_t i, std::span<const float> logits) {
    const Member& member = members[i];
    const double probability = wrong.noise.WrongProbability(logits, member.label);
    if (probability <= 0.5) return;
    size_t other = member.label == 0 ? 1 : 0;
    for (size_t c = 0; c < classes; ++c)
      if (static_cast<int32_t>(c) != member.label && logits[c] > logits[other]) other = c;
    wrong.found.push_back({member.row, member.split, member.label, static_cast<int32_t>(other), probability});
  }));
  std::sort(wrong.found.begin(), wrong.found.end(), [](const WrongLabel& a, const WrongLabel& b) {
    return a.probability != b.probability ? a.probability > b.probability : a.row < b.row;
  });
  return wrong;
}

}  // namespace couplet
