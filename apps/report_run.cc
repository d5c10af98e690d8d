// What the run was, so that it can be repeated: command, settings, versions, hashes, time and memory.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "apps/chart.h"
#include "apps/html.h"
#include "apps/report_sections.h"
#include "apps/version.h"
#include "apps/watch.h"

namespace couplet {
namespace {

// Of labels, names and contents, in the run's order; "" where contents are not known.
std::string DataHash(const ReportInput& in) {
  std::string text;
  for (size_t c = 0; c < in.set.labels.size(); ++c) {
    for (const auto& by_class : in.set.rows) {
      for (const uint32_t row : by_class[c]) {
        const Sha256Digest& hash = in.report.photo_sha256[row];
        if (hash == Sha256Digest{}) return "";
        text += in.set.labels[c] + '\0' + in.set.photos[row].file + '\0';
        text.append(reinterpret_cast<const char*>(hash.data()), hash.size());
      }
    }
  }
  return ToHex(Sha256(std::as_bytes(std::span(text))));
}

std::string Now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02} UTC", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min);
}

std::string Row(const std::string& name, const std::string& value) {
  return fmt::format("<tr><td>{}</td><td>{}</td></tr>", EscapeHtml(name), EscapeHtml(value));
}

std::string Table(const std::string& rows) {
  return "<div class=\"scroll\"><table class=\"text\"><tbody>" + rows + "</tbody></table></div>";
}

std::string Stages(const RetrainReport& report) {
  std::vector<Bar> bars;
  double total = 0;
  for (const Stage& stage : report.stages) {
    bars.push_back({stage.name, {{stage.seconds, ""}}, fmt::format("{:.3f} s, peak so far {:.0f} MB", stage.seconds,
                                                                  static_cast<double>(stage.peak_bytes) / 1e6)});
    total += stage.seconds;
  }
  return BarChart(fmt::format("Time and memory: {:.2f} s in all", total), {}, bars);
}

}  // namespace

std::string RunSection(const ReportInput& in) {
  const RetrainReport& report = in.report;
  std::string html = "<section><h2 id=\"run\">The run</h2>" + Stages(report);
  html += fmt::format("<p>{} computed, {} from the cache.</p>", Count(report.computed, "bottleneck"), report.cached);
  if (report.watch != nullptr)
    html += "<h3>The machine meanwhile</h3>" + WatchHtml(WatchJson(*report.watch, report.computed, report.photo_joules));
  html += "<h3>To repeat it</h3><pre>" + EscapeHtml(in.options.command) + "</pre>"
          "<p class=\"soft\">The same photos under the same names, device and seed give the same bytes.</p>";
  const std::string data = DataHash(in);
  std::string rows = Row("when", Now()) + Row("seed", std::to_string(in.options.seed)) + Row("device", report.device) +
                     Row("backbone", fmt::format("{} ({}), {} pixels, {} values at {}", report.architecture, in.backbone.def().path(),
                                                 in.backbone.input_size(), in.backbone.features(), in.backbone.bottleneck_tensor())) +
                     Row("SHA-256 of the backbone", report.graph_sha256) + Row("SHA-256 of the new graph", report.output_graph_sha256) +
                     Row("SHA-256 of labels and photos", data.empty() ? "not known: photos were not read" : data) +
                     Row("new graph", in.options.output_graph) + Row("labels", in.options.output_labels) +
                     Row("versions", VersionText("retrain"));
  html += "<h3>What it was made of</h3>" + Table(rows);
  rows.clear();
  for (const auto& [name, value] : in.options.settings) rows += Row(name, value);
  return html + "<details><summary>Every setting</summary>" + Table(rows) + "</details></section>";
}

}  // namespace couplet
