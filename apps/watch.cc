// SPDX-License-Identifier: Apache-2.0
#include "apps/watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "apps/chart.h"
#include "apps/html.h"

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

constexpr size_t kCurvePoints = 300;

// A chart of those of the curves that anything is known of; "" where there is none.
std::string WatchChart(const Json& samples, const ChartAxes& axes, const std::vector<std::pair<const char*, const char*>>& curves) {
  std::vector<ChartSeries> series;
  for (const auto& [key, name] : curves) {
    ChartSeries one{name, samples["seconds"].get<std::vector<double>>(), {}, {}, {}};
    for (const Json& value : samples[key])
      one.y.push_back(value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>() / (axes.percent ? 100 : 1));
    if (std::any_of(one.y.begin(), one.y.end(), [](double y) { return std::isfinite(y); }))
      series.push_back(Thinned(std::move(one), kCurvePoints));
  }
  return series.empty() ? "" : LineChart(axes, series);
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

std::string WatchHtml(const Json& watch) {
  std::string html = watch["source"].is_null() ? "<p>No GPU told its load (there is no NVML, tegrastats or sysfs of one)"
                                               : "<p>GPU, as " + EscapeHtml(watch["source"].get<std::string>()) + " tells";
  const auto add = [&](const char* key, const char* text, int digits) {
    if (!watch[key].is_null()) html += fmt::format("; {} {:.{}f}", text, watch[key].get<double>(), digits);
  };
  add("mean_gpu_percent", "load in per cent on average", 0);
  add("most_gpu_percent", "at most", 0);
  add("mean_watts", "power in W on average", 1);
  add("most_watts", "at most", 1);
  add("joules", "energy in J", 1);
  add("joules_a_photo", "energy a photo in J", 3);
  html += ".</p>";
  const Json& samples = watch["samples"];
  if (samples["seconds"].size() < 2) return html + "<p class=\"soft\">It was over before there was a curve to draw.</p>";
  return html + "<div class=\"plots\">" +
         WatchChart(samples, {"Load", "second", "busy; the processors' is the mean of all of the machine's", true, false, false},
                    {{"cpu_percent", "processors"}, {"gpu_percent", "GPU"}}) +
         WatchChart(samples, {"Memory", "second", "MB in use on the machine", false, false, false},
                    {{"memory_mb", "memory"}, {"gpu_memory_mb", "GPU memory"}}) +
         WatchChart(samples, {"Power", "second", "W", false, false, false}, {{"watts", "power"}}) + "</div>";
}

}  // namespace couplet
