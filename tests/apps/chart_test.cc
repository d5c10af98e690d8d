// SPDX-License-Identifier: Apache-2.0
#include "apps/chart.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/support/test.h"

namespace couplet {
namespace {

// The JSON that page.js reads.
nlohmann::json HoverOf(const std::string& html) {
  const std::string begin = "data-chart=\"";
  const size_t at = html.find(begin) + begin.size();
  std::string text = html.substr(at, html.find('"', at) - at);
  for (size_t i; (i = text.find("&quot;")) != std::string::npos;) text.replace(i, 6, "\"");
  return nlohmann::json::parse(text);
}

TEST_CASE("chart: points lie where their values say") {
  const std::string html = LineChart({"T <b>", "x", "y", false, false, true}, {{"one", {0, 10}, {0, 4}, {}, {}}});
  const auto hover = HoverOf(html);
  CHECK(hover["series"] == nlohmann::json::parse("[[[0,0],[10,4]]]"));
  // Corners of the plot.
  CHECK_HAS(html, "points=\"52.0,222.0 620.0,10.0 \"");
  CHECK_HAS(html, "T &lt;b&gt;");
  CHECK(html.find("<b>") == std::string::npos);
}

TEST_CASE("chart: what is not there is a gap, and no chart is without axes") {
  const double none = std::numeric_limits<double>::quiet_NaN();
  const std::string html = LineChart({"", "", "", true, false, false}, {{"s", {0, 1, 2, 3}, {0.5, none, 0.5, 0.6}, {}, {}}});
  size_t lines = 0;
  for (size_t at = 0; (at = html.find("<polyline", at)) != std::string::npos; ++at) ++lines;
  CHECK(lines == 2);
  CHECK(HoverOf(html)["series"][0][1][1] == nullptr);
  for (const auto& series : {ChartSeries{"none", {}, {}, {}, {}}, ChartSeries{"nan", {1}, {none}, {}, {}},
                             ChartSeries{"flat", {1, 2}, {1, 1}, {}, {}}}) {
    CAPTURE(series.name);
    for (const bool log : {false, true}) {
      const std::string empty = LineChart({"", "", "", false, log, true}, {series});
      CHECK(empty.find("nan") == (series.name == "nan" ? empty.find("nan</span>") : std::string::npos));
      CHECK(empty.find("inf") == std::string::npos);
      CHECK_HAS(empty, "class=\"tick\"");
    }
  }
}

TEST_CASE("chart: a diverging run's losses have an axis, too") {
  for (const double loss : {1e30, -1e30, 3e20}) {
    const std::string html = LineChart({"", "", "", false, false, false}, {{"s", {0, 1}, {loss, loss}, {}, {}}});
    CHECK(html.find("nan") == std::string::npos);
    CHECK(html.find("inf") == std::string::npos);
    CHECK_HAS(html, "points=\"52.0,116.0 620.0,116.0 \"");
  }
}

TEST_CASE("chart: long runs are thinned, first and last point stay") {
  ChartSeries series{"s", {}, {}, {}, {}};
  for (int i = 0; i < 1003; ++i) {
    series.x.push_back(i);
    series.y.push_back(2 * i);
  }
  const ChartSeries thin = Thinned(series, 100);
  CHECK(thin.x.size() <= 101);
  CHECK(thin.x.size() > 80);
  CHECK(thin.x.front() == 0);
  CHECK(thin.x.back() == 1002);
  for (size_t i = 0; i < thin.x.size(); ++i) CHECK(thin.y[i] == 2 * thin.x[i]);
  CHECK(Thinned(series, 1003).x.size() == 1003);
}

}  // namespace
}  // namespace couplet
