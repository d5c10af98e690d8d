// Scores that can be believed: a temperature fitted on validation photos, and the small file beside a graph that holds it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loaders/hash.h"
#include "models/classifier_head.h"
#include "models/photo_classifier.h"
#include "runtime/status.h"

namespace couplet {

// softmax(logits / temperature) is as sure as it is right (Guo et al. 2017, "On Calibration of Modern Neural Networks").
struct Calibration {
  double temperature = 1;
  int photos = 0;  // it was fitted on
};

// The temperature in [1/20, 20] that makes the labels most likely, in double. Targets are Platt's (1999):
// with n photos the label gets (n + 1) / (n + 2) and the other classes the rest, so that a head which is right every
// time is not infinitely sure. `logits` [labels.size(), classes]. REQUIRES: labels.size() > 0, classes > 1.
double FitTemperature(std::span<const float> logits, int classes, std::span<const int32_t> labels);

// On the validation photos, as the trainer's parameters have them; photos 0: there are none, and the temperature is 1. Hands
// `data.vectors` to the trainer.
Result<Calibration> Calibrate(HeadTrainer& trainer, const HeadData& data);

// Scores p become p^(1 / temperature), to the sum of 1; their order stays. `all`: every class, best first.
void ApplyTemperature(double temperature, std::vector<Prediction>* all);

// "tf_files/retrained_graph.pb" -> "tf_files/retrained_graph_calibration.txt"
std::string CalibrationPath(const std::string& graph_path);
// Three lines "name value": temperature, photos, graph_sha256.
std::string FormatCalibration(const Calibration& calibration, const Sha256Digest& graph_sha256);
// kBadInput: no such file, damaged, or made for another graph; each with the way out.
Result<Calibration> ReadCalibration(const std::string& graph_path);

}  // namespace couplet
