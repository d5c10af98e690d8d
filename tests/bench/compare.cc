// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

namespace couplet::bench {
namespace {

struct Figure {
  std::string unit;
  double median = 0, least = 0, most = 0;
};
struct Run {
  double fma_flops = 0, decode = 0;
  std::vector<std::string> order;
  std::map<std::string, Figure> rows;
};

// Throws what nlohmann's json throws.
Run Read(const std::string& text) {
  const auto json = nlohmann::json::parse(text);
  Run run;
  run.fma_flops = json.at("fma_flops"), run.decode = json.at("decode_photos_per_s");
  for (const auto& row : json.at("rows")) {
    const auto rounds = row.at("rounds").get<std::vector<double>>();
    const auto [least, most] = std::minmax_element(rounds.begin(), rounds.end());
    run.order.push_back(row.at("name"));
    run.rows[run.order.back()] = {row.at("unit"), row.at("median"), rounds.empty() ? 0 : *least, rounds.empty() ? 0 : *most};
  }
  return run;
}

}  // namespace

Result<std::string> CompareRuns(const std::string& before, const std::string& path, const std::string& now) {
  Run then, since;
  try {
    then = Read(before);
    since = Read(now);
  } catch (const nlohmann::json::exception& why) {
    return BadInput(fmt::format("{}: not what make bench writes ({}): give --compare a build/bench.json kept from before", path, why.what()));
  }
  std::string text = fmt::format("{:<46} {:>12} {:>12} {:>8}\n", "", "then", "now", "faster");
  const auto line = [&](const std::string& name, double old_value, double new_value, double ratio, const std::string& remark) {
    text += fmt::format("{:<46} {:>12.4g} {:>12.4g} {:>7.3f}x{}\n", name, old_value, new_value, ratio, remark);
  };
  line("the machine: GFLOP/s of FMA", then.fma_flops / 1e9, since.fma_flops / 1e9, since.fma_flops / then.fma_flops, "");
  line("the machine: photos/s decoded", then.decode, since.decode, since.decode / then.decode, "");
  for (const std::string& name : since.order) {
    const Figure& b = since.rows[name];
    if (then.rows.count(name) == 0 || then.rows[name].unit != b.unit) {
      text += fmt::format("{:<46} {:>12} {:>12.4g}\n", name, "-", b.median);
      continue;
    }
    const Figure& a = then.rows[name];
    const bool overlap = a.least <= b.most && b.least <= a.most;
    line(fmt::format("{}, {}", name, b.unit), a.median, b.median, b.unit == "photos/s" ? b.median / a.median : a.median / b.median,
         overlap ? "  within the rounds" : "");
  }
  for (const std::string& name : then.order)
    if (since.rows.count(name) == 0) text += fmt::format("{:<46} {:>12.4g} {:>12}\n", name, then.rows[name].median, "-");
  return text;
}

}  // namespace couplet::bench
