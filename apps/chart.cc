// SPDX-License-Identifier: Apache-2.0
#include "apps/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "apps/html.h"

namespace couplet {
namespace {

// Of the drawing, in its own units.
constexpr double kWidth = 640, kHeight = 260, kLeft = 52, kRight = 20, kTop = 10, kBottom = 38;
constexpr size_t kColours = 8;

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  void Add(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
};

// 1, 2 or 5 times a power of ten: the largest that gives at least `least` steps over `span`.
double NiceStep(double span, int least) {
  const double rough = span / least;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {5.0, 2.0})
    if (factor * power <= rough) return factor * power;
  return power;
}

// Multiples of `step` between the two. Few fit: NiceStep asks for five at least.
std::vector<double> Ticks(double low, double high, double step) {
  constexpr int kMost = 16;
  std::vector<double> ticks;
  ticks.reserve(kMost);
  const double first = std::ceil(low / step - 1e-9);
  for (int i = 0; i < kMost; ++i) {
    const double value = (first + i) * step;
    if (!(value <= high + step * 1e-6)) break;
    ticks.push_back(value + 0.0);  // -0 is 0
  }
  return ticks;
}

struct Scale {
  double low = 0, high = 1, from = 0, to = 1;
  bool log = false;
  double At(double value) const {
    const auto turn = [this](double v) { return log ? std::log10(v) : v; };
    return from + (turn(value) - turn(low)) / (turn(high) - turn(low)) * (to - from);
  }
};

std::string Number(double value, bool percent) {
  return percent ? fmt::format("{:.4g} %", value * 100) : fmt::format("{:.4g}", value);
}

Scale XScale(const std::vector<ChartSeries>& series, bool log) {
  Range range;
  for (const ChartSeries& one : series)
    for (const double x : one.x) range.Add(x);
  if (range.empty()) range.low = log ? 1 : 0, range.high = log ? 10 : 1;
  if (range.low == range.high) log ? (range.low /= 2, range.high *= 2) : (range.high += 1);
  return {range.low, range.high, kLeft, kWidth - kRight, log};
}

Scale YScale(const std::vector<ChartSeries>& series, bool percent) {
  Range range;
  for (const ChartSeries& one : series)
    for (const auto* values : {&one.y, &one.low, &one.high})
      for (const double y : *values) range.Add(y);
  if (range.empty()) range.low = 0, range.high = 1;
  // A diverging run's losses may be so large that what would be room for a common one is lost in them.
  const double size = std::max(1.0, std::max(std::fabs(range.low), std::fabs(range.high)));
  if (range.high - range.low < 1e-9 * size) {
    range.low -= (percent ? 0.05 : 0.5) * size;
    range.high += (percent ? 0.05 : 0.5) * size;
  }
  const double step = NiceStep(range.high - range.low, 4);
  Scale scale{std::floor(range.low / step) * step, std::ceil(range.high / step) * step, kHeight - kBottom, kTop, false};
  if (percent) {
    scale.low = std::max(scale.low, 0.0);
    scale.high = std::min(scale.high, 1.0);
  }
  return scale;
}

void DrawYAxis(const ChartAxes& axes, const Scale& y, std::string* svg) {
  const double step = NiceStep(y.high - y.low, 4);
  for (const double value : Ticks(y.low, y.high, step))
    *svg += fmt::format("<line class=\"grid\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
                        "<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>",
                        kLeft, kWidth - kRight, y.At(value), y.At(value), kLeft - 6, y.At(value) + 3.5,
                        Number(value, axes.percent));
}

void DrawXTick(double value, const Scale& x, std::string* svg) {
  *svg += fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{:.4g}</text>", x.At(value),
                      kHeight - kBottom + 15, value);
}

void DrawXAxis(const ChartAxes& axes, const std::vector<ChartSeries>& series, const Scale& x, std::string* svg) {
  if (axes.log_x) {
    // The values themselves: few, and powers of ten say little about 0.005.
    std::vector<double> values;
    for (const ChartSeries& one : series) values.insert(values.end(), one.x.begin(), one.x.end());
    std::sort(values.begin(), values.end());
    double last = -100;
    for (const double value : values)
      if (x.At(value) - last >= 30) {
        DrawXTick(value, x, svg);
        last = x.At(value);
      }
  } else {
    for (const double value : Ticks(x.low, x.high, NiceStep(x.high - x.low, 5))) DrawXTick(value, x, svg);
  }
  *svg += fmt::format("<text class=\"axis\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>",
                      (kLeft + kWidth - kRight) / 2, kHeight - 4, EscapeHtml(axes.x_label));
}

void DrawBand(const ChartSeries& one, const Scale& x, const Scale& y, size_t colour, std::string* svg) {
  if (one.low.empty()) return;
  *svg += fmt::format("<polygon class=\"band c{}\" points=\"", colour);
  for (size_t i = 0; i < one.x.size(); ++i) *svg += fmt::format("{:.1f},{:.1f} ", x.At(one.x[i]), y.At(one.high[i]));
  for (size_t i = one.x.size(); i-- > 0;) *svg += fmt::format("{:.1f},{:.1f} ", x.At(one.x[i]), y.At(one.low[i]));
  *svg += "\"/>";
}

void DrawLine(const ChartSeries& one, const Scale& x, const Scale& y, size_t colour, bool markers, std::string* svg) {
  bool open = false;
  for (size_t i = 0; i < one.x.size(); ++i) {
    if (!std::isfinite(one.y[i])) {
      if (open) *svg += "\"/>";
      open = false;
      continue;
    }
    if (!open) *svg += fmt::format("<polyline class=\"line c{}\" points=\"", colour);
    open = true;
    *svg += fmt::format("{:.1f},{:.1f} ", x.At(one.x[i]), y.At(one.y[i]));
  }
  if (open) *svg += "\"/>";
  if (!markers) return;
  for (size_t i = 0; i < one.x.size(); ++i)
    if (std::isfinite(one.y[i]))
      *svg += fmt::format("<circle class=\"dot c{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\"/>", colour, x.At(one.x[i]),
                          y.At(one.y[i]));
}

// What page.js needs to show the values of the x that is nearest to the pointer.
std::string HoverData(const ChartAxes& axes, const std::vector<ChartSeries>& series, const Scale& x, const Scale& y) {
  std::string json = fmt::format("{{\"percent\":{},\"log\":{},\"x\":[{},{},{},{}],\"y\":[{},{},{},{}],\"series\":[", axes.percent,
                                 axes.log_x, x.low, x.high, x.from, x.to, y.low, y.high, y.from, y.to);
  for (size_t s = 0; s < series.size(); ++s) {
    json += s == 0 ? "[" : ",[";
    for (size_t i = 0; i < series[s].x.size(); ++i)
      json += std::isfinite(series[s].y[i]) ? fmt::format("{}[{:.6g},{:.6g}]", i == 0 ? "" : ",", series[s].x[i], series[s].y[i])
                                            : fmt::format("{}[{:.6g},null]", i == 0 ? "" : ",", series[s].x[i]);
    json += "]";
  }
  return json + "]}";
}

std::string Legend(const std::vector<std::string>& names) {
  std::string html = "<p class=\"legend\">";
  for (size_t i = 0; i < names.size(); ++i)
    html += fmt::format("<span class=\"key c{}\">{}</span> ", i % kColours, EscapeHtml(names[i]));
  return html + "</p>";
}

}  // namespace

ChartSeries Thinned(ChartSeries series, size_t most) {
  const size_t count = series.x.size();
  if (count <= most) return series;
  const size_t step = (count + most - 1) / most;
  ChartSeries thin;
  thin.name = series.name;
  for (size_t i = 0; i < count; i = i + step < count || i == count - 1 ? i + step : count - 1) {
    thin.x.push_back(series.x[i]);
    thin.y.push_back(series.y[i]);
    if (!series.low.empty()) {
      thin.low.push_back(series.low[i]);
      thin.high.push_back(series.high[i]);
    }
  }
  return thin;
}

std::string LineChart(const ChartAxes& axes, const std::vector<ChartSeries>& series) {
  const Scale x = XScale(series, axes.log_x), y = YScale(series, axes.percent);
  std::string svg = fmt::format(
      "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\" data-chart=\"{}\">", kWidth, kHeight,
      EscapeHtml(axes.title), EscapeHtml(HoverData(axes, series, x, y)));
  DrawYAxis(axes, y, &svg);
  DrawXAxis(axes, series, x, &svg);
  for (size_t i = 0; i < series.size(); ++i) DrawBand(series[i], x, y, i % kColours, &svg);
  for (size_t i = 0; i < series.size(); ++i) DrawLine(series[i], x, y, i % kColours, axes.markers, &svg);
  svg += "<g class=\"pointer\"></g></svg>";
  std::vector<std::string> names;
  names.reserve(series.size());
  for (const ChartSeries& one : series) names.push_back(one.name);
  return fmt::format("<figure class=\"plot\"><figcaption>{}</figcaption>{}{}<p class=\"axis-note\">{}</p></figure>",
                     EscapeHtml(axes.title), Legend(names), svg, EscapeHtml(axes.y_label));
}

std::string BarChart(const std::string& title, const std::vector<std::string>& legend, const std::vector<Bar>& bars) {
  double most = 0;
  for (const Bar& bar : bars) {
    double sum = 0;
    for (const BarPart& part : bar.parts) sum += part.value;
    most = std::max(most, sum);
  }
  std::string html = fmt::format("<figure class=\"plot\"><figcaption>{}</figcaption>", EscapeHtml(title));
  if (!legend.empty()) html += Legend(legend);
  html += "<div class=\"bars\">";
  for (const Bar& bar : bars) {
    html += fmt::format("<span class=\"bar-label\">{}</span><span class=\"bar\">", EscapeHtml(bar.label));
    for (size_t i = 0; i < bar.parts.size(); ++i)
      html += fmt::format("<span class=\"part c{}\" style=\"width:{:.2f}%\" title=\"{}\"></span>", i % kColours,
                          most > 0 ? bar.parts[i].value / most * 100 : 0.0, EscapeHtml(bar.parts[i].title));
    html += fmt::format("</span><span class=\"bar-text\">{}</span>", EscapeHtml(bar.text));
  }
  return html + "</div></figure>";
}

}  // namespace couplet
