// Which photos are got wrong, and what is odd about the photos themselves.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "apps/chart.h"
#include "apps/console.h"
#include "apps/html.h"
#include "apps/report_sections.h"

namespace couplet {
namespace {

constexpr size_t kMistakes = 24, kUncertain = 12, kPairs = 24, kWrongLabels = 24, kLeftOut = 200;

std::string Label(const ReportInput& in, int32_t c) { return EscapeHtml(in.set.labels[static_cast<size_t>(c)]); }

const char* SplitName(Split split) { return kSplitNames[static_cast<size_t>(split)]; }

std::string MoreNote(size_t all, size_t shown) {
  return all > shown ? fmt::format("<p class=\"soft\">The first {} of {}.</p>", shown, all) : "";
}

// Places of the test batch: the wrong ones, or the right ones, by falling or rising certainty.
std::vector<size_t> TestPlaces(const RetrainReport& report, bool right, bool most_certain_first) {
  std::vector<size_t> places;
  for (size_t i = 0; i < report.test.predicted.size(); ++i)
    if ((report.test.predicted[i] == report.test_batch.labels[i]) == right) places.push_back(i);
  const auto& sure = report.test.top_probability;
  std::stable_sort(places.begin(), places.end(),
                   [&](size_t a, size_t b) { return most_certain_first ? sure[a] > sure[b] : sure[a] < sure[b]; });
  return places;
}

}  // namespace

std::string MistakesSection(const ReportInput& in, PhotoAlbum& album) {
  const RetrainReport& report = in.report;
  if (report.test.n == 0) return "";
  std::string html = "<section><h2 id=\"mistakes\">Mistakes</h2>";
  if (!album.has_pictures())
    html += "<p class=\"soft\">Pictures come from the bottleneck store, which --bottleneck_format=text and a folder that cannot be "
            "written do without.</p>";
  const auto wrong = TestPlaces(report, false, true), right = TestPlaces(report, true, false);
  html += "<h3>The most confident ones</h3>";
  if (wrong.empty()) html += "<p>There is none: every test photo was recognised.</p>";
  html += "<div class=\"gallery\">";
  for (size_t i = 0; i < std::min(wrong.size(), kMistakes); ++i) {
    const size_t at = wrong[i];
    html += album.Figure(report.test_batch.rows[at],
                         fmt::format("{}, taken for <b class=\"wrong\">{}</b> {}", Label(in, report.test_batch.labels[at]),
                                     Label(in, report.test.predicted[at]), Percent(report.test.top_probability[at])));
  }
  html += "</div>" + MoreNote(wrong.size(), kMistakes) + "<h3>Right, but least certain</h3><div class=\"gallery\">";
  for (size_t i = 0; i < std::min(right.size(), kUncertain); ++i)
    html += album.Figure(report.test_batch.rows[right[i]],
                         fmt::format("<b class=\"right\">{}</b> {}", Label(in, report.test.predicted[right[i]]),
                                     Percent(report.test.top_probability[right[i]])));
  return html + "</div>" + MoreNote(right.size(), kUncertain) + "</section>";
}

std::string WrongLabelsSection(const ReportInput& in, PhotoAlbum& album) {
  const WrongLabels& wrong = in.report.wrong_labels;
  std::string html = "<section><h2 id=\"labels\">Probably in the wrong folder</h2>"
                     "<p>Photos of any split whose label is more likely wrong than right: judged by heads that had not seen them, and against how often such "
                     "heads are wrong when they are as sure. Look at each: it may be a photo in the wrong folder, or an odd one. Wrong labels make the "
                     "accuracy look worse than it is, and teach the head nonsense.</p>";
  if (wrong.found.empty()) return html + "<p>None was found.</p></section>";
  html += fmt::format("<p>About {} of all labels are estimated to be wrong; those that can be told:</p><div class=\"gallery\">", Percent(wrong.noise.share));
  for (size_t i = 0; i < std::min(wrong.found.size(), kWrongLabels); ++i) {
    const WrongLabel& one = wrong.found[i];
    html += album.Figure(one.row, fmt::format("in <b>{}</b>, looks like <b class=\"wrong\">{}</b>; wrong with {}", Label(in, one.label),
                                              Label(in, one.looks_like), Percent(one.probability)));
  }
  return html + "</div>" + MoreNote(wrong.found.size(), kWrongLabels) + "</section>";
}

std::string DuplicatesSection(const ReportInput& in, PhotoAlbum& album) {
  std::string html = "<section><h2 id=\"copies\">Nearly the same photo on both sides</h2>"
                     "<p>A validation or test photo whose bottleneck points the way of one it is held against (cosine about the mean). "
                     "Series of one object belong into one split: names that are equal up to <code>_nohash_</code> are kept together.</p>";
  if (!in.report.near_duplicates) return html + "<p>Not known: the search was interrupted.</p></section>";
  const std::vector<PhotoPair>& pairs = *in.report.near_duplicates;
  if (pairs.empty()) return html + "<p>None was found.</p></section>";
  html += "<div class=\"gallery pairs\">";
  for (size_t i = 0; i < std::min(pairs.size(), kPairs); ++i)
    html += album.Pair(pairs[i].row, pairs[i].other, fmt::format("{} and {}: {:.4f}", SplitName(pairs[i].split),
                                                                 SplitName(pairs[i].other_split), pairs[i].cosine));
  return html + "</div>" + MoreNote(pairs.size(), kPairs) + "</section>";
}

std::string BalanceSection(const ReportInput& in) {
  std::vector<Bar> bars;
  for (size_t c = 0; c < in.set.labels.size(); ++c) {
    Bar bar{in.set.labels[c], {}, ""};
    size_t all = 0;
    for (size_t split = 0; split < in.set.rows.size(); ++split) {
      const size_t count = in.set.rows[split][c].size();
      all += count;
      bar.parts.push_back({static_cast<double>(count), fmt::format("{}: {}", kSplitNames[split], count)});
    }
    bar.text = fmt::format("{} ({} / {} / {})", all, in.set.rows[0][c].size(), in.set.rows[1][c].size(), in.set.rows[2][c].size());
    bars.push_back(std::move(bar));
  }
  return "<section><h2 id=\"balance\">Photos a class</h2>" + BarChart("", {"training", "validation", "testing"}, bars) + "</section>";
}

std::string LeftOutSection(const ReportInput& in) {
  const auto& left_out = in.report.left_out;
  if (left_out.empty()) return "";
  std::string html = "<section><h2 id=\"left-out\">Left out</h2><div class=\"scroll\"><table class=\"text\"><thead><tr><th>photo</th>"
                     "<th>why</th></tr></thead><tbody>";
  for (size_t i = 0; i < std::min(left_out.size(), kLeftOut); ++i)
    html += fmt::format("<tr><td>{}</td><td>{}</td></tr>", EscapeHtml(left_out[i].first), EscapeHtml(left_out[i].second));
  return html + "</tbody></table></div>" + MoreNote(left_out.size(), kLeftOut) + "</section>";
}

std::string CellPhotosJson(const ReportInput& in, PhotoAlbum& album) {
  using Json = nlohmann::ordered_json;
  const RetrainReport& report = in.report;
  std::string json = "{\"photos\":[";
  // What is looked at first gets its thumbnail first.
  std::vector<size_t> places = TestPlaces(report, false, true);
  for (const size_t at : TestPlaces(report, true, false)) places.push_back(at);
  for (const size_t at : places) {
    const uint32_t row = report.test_batch.rows[at];
    // Not from a list in braces: such an object is lost when there is no memory for what it holds.
    Json photo = Json::object();
    photo["cell"] = report.test_batch.labels[at] * report.test.classes + report.test.predicted[at];
    photo["path"] = album.Name(row);
    photo["probability"] = ShortestDouble(report.test.top_probability[at]);
    const std::string text = photo.dump(-1, ' ', true, Json::error_handler_t::replace);
    // Megabytes of base64 need no look at every character.
    json += (at == places.front() ? "" : ",") + text.substr(0, text.size() - 1) + ",\"thumbnail\":\"" + album.Thumbnail(row) + "\"}";
  }
  return json + "]}";
}

}  // namespace couplet
