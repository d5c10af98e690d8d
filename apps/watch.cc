// SPDX-License-Identifier: Apache-2.0
#include "apps/watch.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

namespace couplet {
namespace {

using Json = nlohmann::ordered_json;

// Curves of the report, in the JSON's order.
constexpr std::array<std::pair<const char*, std::optional<double> DeviceSample::*>, 8> kCurves = {{
    {"gpu_percent", &DeviceSample::gpu_percent},
    {"gpu_memory_mb", &DeviceSample::gpu_memory_mb},
    {"gpu_memory_total_mb", &DeviceSample::gpu_memory_total_mb},
    {"watts", &DeviceSample::watts},
    {"celsius", &DeviceSample::celsius},
    {"cpu_percent", &DeviceSample::cpu_percent},
    {"memory_mb", &DeviceSample::memory_mb},
    {"memory_total_mb", &DeviceSample::memory_total_mb},
}};

// Sensors tell no more than that.
double Rounded(double value) { return std::round(value * 1000) / 1000; }
Json OrNull(const std::optional<double>& value) { return value ? Json(Rounded(*value)) : Json(nullptr); }

std::optional<double> APhoto(size_t photos, std::optional<double> joules) {
  if (photos == 0 || !joules) return std::nullopt;
  return *joules / static_cast<double>(photos);
}

}  // namespace

std::string WatchText(const DeviceSample& s) {
  std::string text;
  const auto add = [&text](const std::string& part) { text += text.empty() ? part : ", " + part; };
  if (s.gpu_percent) add(fmt::format("GPU {:.0f} %", *s.gpu_percent));
  if (s.gpu_memory_mb && s.gpu_memory_total_mb)
    add(fmt::format("GPU memory {:.0f} of {:.0f} MB", *s.gpu_memory_mb, *s.gpu_memory_total_mb));
  if (s.cpu_percent) add(fmt::format("CPU {:.0f} %", *s.cpu_percent));
  if (s.memory_mb && s.memory_total_mb) add(fmt::format("memory {:.0f} of {:.0f} MB", *s.memory_mb, *s.memory_total_mb));
  if (s.watts) add(fmt::format("{:.1f} W", *s.watts));
  if (s.celsius) add(fmt::format("{:.0f} C", *s.celsius));
  return text;
}

std::string WatchSummary(const DeviceSampler& sampler, size_t photos, std::optional<double> photo_joules) {
  std::string text = sampler.source().empty() ? "Watched: no GPU tells its load (no NVML, no tegrastats, no sysfs)"
                                              : "Watched by " + sampler.source();
  const auto gpu = sampler.gpu_percent(), watts = sampler.watts();
  if (gpu.mean) text += fmt::format("; GPU {:.0f} % on average, {:.0f} % at most", *gpu.mean, *gpu.most);
  if (watts.mean) text += fmt::format("; {:.1f} W on average, {:.1f} W at most", *watts.mean, *watts.most);
  if (const auto joules = sampler.joules()) text += fmt::format("; {:.1f} J in all", *joules);
  if (const auto joules = APhoto(photos, photo_joules)) text += fmt::format(", {:.3f} J a photo", *joules);
  return text;
}

Json WatchJson(const DeviceSampler& sampler, size_t photos, std::optional<double> photo_joules) {
  const auto gpu = sampler.gpu_percent(), watts = sampler.watts();
  Json json = {{"source", sampler.source().empty() ? Json(nullptr) : Json(sampler.source())},
               {"mean_gpu_percent", OrNull(gpu.mean)}, {"most_gpu_percent", OrNull(gpu.most)},
               {"mean_watts", OrNull(watts.mean)},     {"most_watts", OrNull(watts.most)},
               {"joules", OrNull(sampler.joules())},   {"joules_a_photo", OrNull(APhoto(photos, photo_joules))}};
  Json& curves = json["samples"];
  curves["seconds"] = Json::array();
  for (const auto& [name, field] : kCurves) curves[name] = Json::array();
  for (const DeviceSample& sample : sampler.samples()) {
    curves["seconds"].push_back(Rounded(sample.seconds));
    for (const auto& [name, field] : kCurves) curves[name].push_back(OrNull(sample.*field));
  }
  return json;
}

}  // namespace couplet
