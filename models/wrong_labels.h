// Photos that probably lie in the wrong folder: they make the accuracy look worse than it is, and teach the head nonsense.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "loaders/image_list.h"
#include "models/classifier_head.h"

namespace couplet {

// How labels come about, fitted to a head's logits of photos that it was not trained on: a photo's label is drawn from
// softmax(logits / temperature), and a share of the labels is then replaced by another one, each as likely. Without the
// share, a wrong label could only be explained by a head that is never sure (Natarajan et al. 2013, "Learning with noisy
// labels", has such labels; Guo et al. 2017, "On calibration of modern neural networks", the temperature).
struct LabelNoise {
  double temperature = 1, share = 0;

  // That the label was replaced. logits [classes].
  double WrongProbability(std::span<const float> logits, int32_t label) const;
};

// The most likely of temperatures from 0.02 to 50 and shares from 0 to 0.5. logits [labels, classes].
LabelNoise FitLabelNoise(std::span<const float> logits, std::span<const int32_t> labels, int classes);

struct WrongLabel {
  uint32_t row = 0;  // of the vectors
  Split split = Split::kTraining;
  int32_t label = 0, looks_like = 0;  // the most probable other one
  double probability = 0;             // that `label` is wrong
};

struct WrongLabels {
  std::vector<WrongLabel> found;  // more likely wrong than not; the surest first
  LabelNoise noise;
};

// Looks at every photo of every split, by a head that has not seen it: each third of the photos by one trained on the other
// two, with a rate of its own and on the CPU, so that what is found depends neither on how the user trains nor on the device.
// Measured on 1,000 flowers with 20 labels swapped: README, "The report". On the calling thread alone; `interrupted` is asked every
// few milliseconds, and true ends the search: kInterrupted.
Result<WrongLabels> FindWrongLabels(const HeadData& data, uint64_t seed, const std::function<bool()>& interrupted = [] { return false; });

}  // namespace couplet
