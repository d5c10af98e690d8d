// Charts for pages: SVG that draws, prints and zooms without a script; page.js adds the values under the pointer.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace couplet {

struct ChartSeries {
  std::string name;
  std::vector<double> x, y;       // as many; x ascending, y NaN where there is no value
  std::vector<double> low, high;  // of a band around y; empty: none
};

struct ChartAxes {
  std::string title, x_label, y_label;
  bool percent = false;  // y is a fraction, shown in per cent
  bool log_x = false;    // all x > 0
  bool markers = false;  // a dot at every point
};

// Few enough points to draw: of a long run every k-th and the last one.
ChartSeries Thinned(ChartSeries series, size_t most);

// Up to eight series, told apart by colour and in a legend.
std::string LineChart(const ChartAxes& axes, const std::vector<ChartSeries>& series);

struct BarPart {
  double value = 0;
  std::string title;  // what a pointer over it is told
};
struct Bar {
  std::string label;
  std::vector<BarPart> parts;  // one behind the other, each in its own colour
  std::string text;            // behind the bar
};
// Horizontal bars on one scale. `legend`: names of the parts, may be empty.
std::string BarChart(const std::string& title, const std::vector<std::string>& legend, const std::vector<Bar>& bars);

}  // namespace couplet
