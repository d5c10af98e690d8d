// The lab's measuring: one network on one device, from cold photos to every head trained, as JSON.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "loaders/image_list.h"
#include "models/backbone.h"
#include "models/photo_set.h"
#include "runtime/backend.h"

namespace couplet {

struct LabOptions {
  std::string image_dir, model_dir = "/tmp/imagenet", output_dir = "lab";
  std::vector<std::string> architectures = {"mobilenet_0.50_224", "inception_v3"};  // names, or graphs ending in .pb
  std::vector<std::string> devices = {"cpu", "cuda"};
  std::vector<double> learning_rates = {0.005, 0.01, 1.0};
  int steps = 4000, seeds = 3, threads = 0;
  double testing_percentage = 10, validation_percentage = 10;
  bool resume = false, offline = false;
};

// Extracts every photo of `set` with an empty cache under output_dir and trains every learning rate with every seed, then
// with fewer photos a class; prints a line for each as it comes. The keys are lab.json's (docs/lab.md).
Result<nlohmann::ordered_json> RunLabSystem(const LabOptions& options, const std::string& architecture, const Backbone& backbone,
                                            Backend& backend, PhotoSet set);

}  // namespace couplet
