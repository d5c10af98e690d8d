// Questions 8 to 13: what was measured.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/chart.h"
#include "apps/html.h"
#include "apps/lab_answers.h"
#include "apps/watch.h"
#include "models/wilson.h"

namespace couplet {
namespace {

using Json = nlohmann::ordered_json;

// What several seeds gave.
struct Spread {
  double mean = 0, low = std::numeric_limits<double>::infinity(), high = 0, seconds = 0;
  int n = 0, diverged = 0, seeds = 0;
};
Spread SpreadOf(const Json& results, const char* key, double value) {
  Spread spread;
  for (const Json& result : results) {
    if (result[key] != value) continue;
    const double accuracy = result["accuracy"];
    spread.mean += accuracy;
    spread.low = std::min(spread.low, accuracy);
    spread.high = std::max(spread.high, accuracy);
    spread.seconds += result["seconds"].get<double>();
    spread.n = result["count"];
    spread.diverged += result["diverged"].get<bool>();
    ++spread.seeds;
  }
  spread.mean /= std::max(spread.seeds, 1);
  spread.seconds /= std::max(spread.seeds, 1);
  return spread;
}

std::string Share(double fraction) { return fmt::format("{:.1f} %", fraction * 100); }

// Validation accuracy over steps: the mean of the seeds, with the range they span.
ChartSeries CurveOf(const Json& runs, double rate) {
  ChartSeries series{fmt::format("learning rate {}", rate), {}, {}, {}, {}};
  std::vector<const Json*> curves;
  size_t shortest = std::numeric_limits<size_t>::max();
  for (const Json& run : runs)
    if (run["learning_rate"] == rate && !run["curve"].empty()) {
      curves.push_back(&run["curve"]);
      shortest = std::min(shortest, run["curve"].size());
    }
  for (size_t i = 0; !curves.empty() && i < shortest; ++i) {
    double sum = 0, low = 1, high = 0;
    for (const Json* curve : curves) {
      // Without validation photos: of the training batch.
      const Json& point = (*curve)[i];
      const double value = point[2].is_null() ? point[1].get<double>() : point[2].get<double>();
      sum += value;
      low = std::min(low, value);
      high = std::max(high, value);
    }
    series.x.push_back((*curves[0])[i][0].get<double>());
    series.y.push_back(sum / static_cast<double>(curves.size()));
    series.low.push_back(low);
    series.high.push_back(high);
  }
  return series;
}

// Where a training's seconds are not its alone.
std::string TogetherNote(const Json& lab) {
  std::string html;
  for (const Json& system : lab["systems"])
    if (const int together = system["runs"][0].value("together", 1); together > 1)
      html += fmt::format("<p>{}: {} trainings took their steps together, so the seconds of each are those of all.</p>",
                          EscapeHtml(SystemName(system)), together);
  return html;
}

std::string RateTable(const Json& lab) {
  std::string html = "<div class=\"scroll\"><table><thead><tr><th>network, device</th><th>learning rate</th><th>test accuracy, mean</th>"
                     "<th>of the seeds</th><th>95 % interval</th><th>seconds a training</th><th>diverged</th></tr></thead><tbody>";
  for (const Json& system : lab["systems"])
    for (const double rate : lab["setting"]["learning_rates"]) {
      const Spread spread = SpreadOf(system["runs"], "learning_rate", rate);
      const Interval interval = WilsonInterval(static_cast<int>(std::lround(spread.mean * spread.n)), spread.n);
      html += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{} to {}</td><td>{} to {}</td><td>{:.3f}</td><td>{}</td></tr>",
                          EscapeHtml(SystemName(system)), rate, Share(spread.mean), Share(spread.low), Share(spread.high), Share(interval.low),
                          Share(interval.high), spread.seconds, spread.diverged == 0 ? "no" : fmt::format("{} of {}", spread.diverged, spread.seeds));
    }
  return html + "</tbody></table></div>" + TogetherNote(lab);
}

double Nearest(const std::vector<double>& rates, double wanted) {
  return *std::min_element(rates.begin(), rates.end(), [&](double a, double b) {
    return std::fabs(std::log((a + 1e-12) / wanted)) < std::fabs(std::log((b + 1e-12) / wanted));
  });
}

// One sentence a network: what the rate brings against the usual one.
std::string Against(const Json& lab, double rate, double usual) {
  if (rate == usual) return fmt::format("<p>Only one learning rate, {}, was asked for: nothing to compare it with.</p>", rate);
  std::string html;
  for (const Json& system : lab["systems"]) {
    const Spread one = SpreadOf(system["runs"], "learning_rate", rate), other = SpreadOf(system["runs"], "learning_rate", usual);
    const double noise = WilsonInterval(static_cast<int>(std::lround(other.mean * other.n)), other.n).high -
                         WilsonInterval(static_cast<int>(std::lround(other.mean * other.n)), other.n).low;
    const double apart = one.mean - other.mean;
    html += fmt::format("<p>{}: {} with {} against {} with {}, {}. A training of as many steps took {:.3f} s against {:.3f} s; the seeds span {:.1f} "
                        "points against {:.1f}.{}</p>",
                        EscapeHtml(SystemName(system)), Share(one.mean), rate, Share(other.mean), usual,
                        std::fabs(apart) < noise / 2 ? fmt::format("a difference that {} test photos cannot tell from chance", one.n)
                                                     : fmt::format("{:.1f} points {}", std::fabs(apart) * 100, apart > 0 ? "more" : "less"),
                        one.seconds, other.seconds, (one.high - one.low) * 100, (other.high - other.low) * 100,
                        one.diverged > 0 ? fmt::format(" It diverged with {} of {} seeds.", one.diverged, one.seeds) : "");
  }
  return html;
}

std::string LearningRates(const Json& lab) {
  const auto rates = lab["setting"]["learning_rates"].get<std::vector<double>>();
  const double low = *std::min_element(rates.begin(), rates.end()), high = *std::max_element(rates.begin(), rates.end());
  const double usual = Nearest(rates, 0.01);
  std::string html = Question(8, fmt::format("A low learning rate ({}): what it does to the accuracy and to the time", low));
  html += "<p>The learning rate is how far each step follows the slope. A low one creeps: the time a step takes is the same, but more steps are needed "
          "for the same cross-entropy. The band is the range over the seeds, the line their mean.</p><div class=\"plots\">";
  for (const Json& system : lab["systems"]) {
    std::vector<ChartSeries> curves;
    for (const double rate : rates)
      if (curves.size() < 8) curves.push_back(CurveOf(system["runs"], rate));
    html += LineChart({SystemName(system), "training step", "validation accuracy of a batch", true, false, false}, curves);
  }
  html += "</div>" + RateTable(lab) + Against(lab, low, usual);
  html += Question(9, fmt::format("A learning rate of {}: is the graph still usable", high));
  html += "<p>A high one overshoots: the curve swings, the answer depends on where it is stopped and on the seed, and too high a one diverges.</p>";
  return html + Against(lab, high, usual);
}

std::string FewPhotos(const Json& lab) {
  std::string html = Question(10, "How accurate, and with how many photos");
  html += "<p>The same training with fewer photos of each class, drawn anew for each seed; the test photos stay the same.</p>";
  std::vector<ChartSeries> series;
  std::string table = "<div class=\"scroll\"><table><thead><tr><th>network, device</th><th>photos a class</th><th>test accuracy, mean</th>"
                      "<th>of the seeds</th></tr></thead><tbody>";
  for (const Json& system : lab["systems"]) {
    ChartSeries one{SystemName(system), {}, {}, {}, {}};
    for (const Json& few : system["few"]) {
      const int count = few["per_class"];
      if (!one.x.empty() && one.x.back() == count) continue;
      const Spread spread = SpreadOf(system["few"], "per_class", count);
      one.x.push_back(count);
      one.y.push_back(spread.mean);
      one.low.push_back(spread.low);
      one.high.push_back(spread.high);
      table += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{} to {}</td></tr>", EscapeHtml(SystemName(system)), count, Share(spread.mean),
                           Share(spread.low), Share(spread.high));
    }
    if (series.size() < 8 && !one.x.empty()) series.push_back(std::move(one));
  }
  if (series.empty()) return html + "<p>There are too few photos to take some away.</p>";
  return html + LineChart({"Few photos or many", "training photos of each class", "test accuracy", true, true, true}, series) + table + "</tbody></table></div>";
}

std::string Busy(const Json& system) {
  const Json& extraction = system["extraction"];
  return fmt::format("{:.1f} processors were busy with it; this process had {:.0f} MiB of memory at most", extraction["cores_busy"].get<double>(),
                     extraction["peak_mb"].get<double>());
}

// Extraction and one training, beside each other.
std::string StageBars(const Json& lab, bool inception_only) {
  std::vector<Bar> bars;
  for (const Json& system : lab["systems"]) {
    const bool inception = system["input"] == "Mul";
    if (inception_only && !inception) continue;
    double training = 0;
    for (const Json& run : system["runs"]) training += run["seconds"].get<double>() / static_cast<double>(system["runs"].size());
    const double extraction = system["extraction"]["seconds"];
    bars.push_back({SystemName(system), {{extraction, fmt::format("bottlenecks {:.2f} s", extraction)}, {training, fmt::format("training {:.3f} s", training)}},
                    fmt::format("{:.2f} s + {:.3f} s", extraction, training)});
  }
  if (bars.empty()) return "<p>Inception v3 was not among the networks of this lab.</p>";
  return BarChart("Seconds, by stage", {"bottlenecks, cold", "one training"}, bars);
}

std::string Devices(const Json& lab) {
  bool gpu = false;
  for (const Json& system : lab["systems"]) gpu = gpu || system["device"] != "cpu";
  std::string html = Question(11, "CPU against GPU: how long, and why");
  html += StageBars(lab, false) + TogetherNote(lab);
  for (const Json& system : lab["systems"])
    html += fmt::format("<h3>{}: the machine meanwhile</h3><p>While bottlenecks were made {}.</p>{}", EscapeHtml(SystemName(system)), Busy(system),
                        system.contains("watch") ? WatchHtml(system["watch"]) : "");  // --resume may bring what an older lab wrote
  const std::string no_gpu = "<p>No GPU took part in this lab, so there is nothing to hold against the CPU; the reason stands at the top.</p>";
  html += gpu ? "<p>Bottlenecks are millions of multiply-adds a photo, which a GPU does thousands at a time. A training step is a product of a hundred rows: "
                "too small to fill a GPU, so one alone gains little.</p>"
              : no_gpu;
  html += Question(12, "The same with Inception v3");
  return html + StageBars(lab, true) + (gpu ? "" : no_gpu);
}

std::string InputLayer(const Json& lab) {
  std::string html = Question(13, "What label_image must be told about the input, and where that stands");
  html += "<p>With ours, nothing: it is read off the graph. The original needs it spelled out:</p>";
  for (const Json& system : lab["systems"]) {
    const int size = system["input_size"];
    html += fmt::format("<h3>{}</h3><pre>--input_layer={} --input_height={} --input_width={} --input_mean={} --input_std={}</pre>",
                        EscapeHtml(system["architecture"].get<std::string>()), EscapeHtml(system["input"].get<std::string>()), size, size,
                        system["mean"].get<double>(), system["std"].get<double>());
    html += "<p>TensorBoard's graph page shows it, too. From the node that photos enter at, back to the graph's beginning:</p>"
            "<div class=\"scroll\"><table class=\"text\"><thead><tr><th>node</th><th>operation</th><th>its constants, its shape</th></tr></thead><tbody>";
    for (const Json& node : system["graph"]["input_path"]) {
      std::string constants;
      for (const Json& constant : node["constants"]) constants += constant.get<std::string>() + "\n";
      if (node.contains("shape")) constants += node["shape"].dump();
      html += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td></tr>", EscapeHtml(node["name"].get<std::string>()),
                          EscapeHtml(node["op"].get<std::string>()), EscapeHtml(constants));
    }
    html += "</tbody></table></div>";
  }
  return html;
}

}  // namespace

std::string LabMeasured(const Json& lab) { return LearningRates(lab) + FewPhotos(lab) + Devices(lab) + InputLayer(lab); }

}  // namespace couplet
