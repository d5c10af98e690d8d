// SPDX-License-Identifier: Apache-2.0
#include "apps/lab_page.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apps/chart.h"
#include "apps/html.h"
#include "apps/lab_answers.h"

namespace couplet {

using Json = nlohmann::ordered_json;

std::string SystemName(const Json& system) {
  return system["architecture"].get<std::string>() + ", " + system["device"].get<std::string>();
}

std::string Question(int number, const std::string& text) {
  return fmt::format("<h2 id=\"q{}\">{}. {}</h2>", number, number, text);
}

std::string LabOverview(const Json& lab) {
  const Json& setting = lab["setting"];
  std::string html = fmt::format(
      "<header><h1>The lab: {}</h1><p class=\"soft\">{} labels; {} photos to train on, {} for validation, {} for the test. {} steps, {} "
      "seeds a learning rate.</p><nav>",
      EscapeHtml(setting["image_dir"].get<std::string>()), setting["labels"].size(), setting["photos"]["training"].get<size_t>(),
      setting["photos"]["validation"].get<size_t>(), setting["photos"]["testing"].get<size_t>(), setting["steps"].get<int>(),
      setting["seeds"].get<int>());
  for (int i = 1; i <= 13; ++i) html += fmt::format("<a href=\"#q{}\">Question {}</a>", i, i);
  html += "</nav></header>";
  for (const Json& one : lab["left_out"])
    html += fmt::format("<p class=\"wrong\">Left out: {}: {}</p>", EscapeHtml(one["what"].get<std::string>()),
                        EscapeHtml(one["why"].get<std::string>()));
  html += "<div class=\"scroll\"><table><thead><tr><th>network, device</th><th>bottlenecks, cold</th><th>a second</th>"
          "<th>all trainings</th></tr></thead><tbody>";
  for (const Json& system : lab["systems"])
    html += fmt::format("<tr><td>{}</td><td>{:.2f} s</td><td>{:.1f}</td><td>{:.2f} s for {}</td></tr>", EscapeHtml(SystemName(system)),
                        system["extraction"]["seconds"].get<double>(), system["extraction"]["photos_per_second"].get<double>(),
                        system["training_seconds"].get<double>(), system["runs"].size() + system["few"].size());
  return html + "</tbody></table></div>";
}

std::string LabHtml(const Json& lab) {
  std::string body = LabOverview(lab) + LabFacts(lab) + LabMeasured(lab);
  body += "<h2>What measured this</h2><pre>" + EscapeHtml(lab["version"].get<std::string>()) + "</pre>";
  return HtmlPage("The lab: " + lab["setting"]["image_dir"].get<std::string>(), body, "");
}

}  // namespace couplet
