// --watch, and the lab: what the machine did while the program worked, as text beside the progress, as JSON, and as charts.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "loaders/device_sampler.h"

namespace couplet {

// "GPU 53 %, CPU 96 %, memory 2586 of 7846 MB, 3.2 W": what is known of it.
std::string WatchText(const DeviceSample& sample);

// One line for the end of a run: source, mean and most of load and power, energy, and energy a photo where `photos` of
// them took `photo_joules`.
std::string WatchSummary(const DeviceSampler& sampler, size_t photos, std::optional<double> photo_joules);

// Keys: README "--json".
nlohmann::ordered_json WatchJson(const DeviceSampler& sampler, size_t photos, std::optional<double> photo_joules);

// A page's charts of load, memory and power, each where it is known, and a sentence with the energy. `watch`: as WatchJson
// gives it. A run shorter than two samples has a sentence alone.
std::string WatchHtml(const nlohmann::ordered_json& watch);

}  // namespace couplet
