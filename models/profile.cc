// SPDX-License-Identifier: Apache-2.0
#include "models/profile.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace couplet {

double Profile::Microseconds(Clock::time_point at) const {
  return std::chrono::duration<double, std::micro>(at - start_).count();
}

void Profile::Add(const std::string& name, bool layer, double start_us, double ms, double floor_ms,
                  int photos) {
  const auto [at, is_new] = index_.try_emplace({layer, name}, rows_.size());
  if (is_new) rows_.push_back({name, layer, 0, 0, 0});
  Row& row = rows_[at->second];
  row.ms += ms;
  row.floor_ms += floor_ms;
  row.photos += photos;
  if (spans_.size() == max_spans_) {
    ++dropped_;
    return;
  }
  const int lane =
      lanes_.try_emplace(std::this_thread::get_id(), static_cast<int>(lanes_.size())).first->second;
  spans_.push_back({at->second, lane, start_us, ms * 1e3, photos});
}

void Profile::AddStage(const char* stage, Clock::time_point from, Clock::time_point to, int photos) {
  const std::lock_guard lock(mutex_);
  Add(stage, false, Microseconds(from), std::chrono::duration<double, std::milli>(to - from).count(), 0,
      photos);
}

void Profile::AddRun(std::span<const LayerTime> layers, Clock::time_point from, Clock::time_point to,
                     int photos) {
  const std::lock_guard lock(mutex_);
  // A device's clock tells how long, not when: layers are drawn one after the other from the start of the
  // run.
  double at_us = Microseconds(from);
  double rest_ms = std::chrono::duration<double, std::milli>(to - from).count();
  for (const LayerTime& layer : layers) {
    if (layer.ms <= 0) continue;
    Add(&layer == &layers[0] ? "preprocess" : layer.layer, true, at_us, layer.ms, layer.floor_ms, photos);
    at_us += layer.ms * 1e3;
    rest_ms -= layer.ms;
  }
  if (rest_ms > 0) Add("copy and wait", true, at_us, rest_ms, 0, photos);
}

std::string Profile::Table() const {
  const std::lock_guard lock(mutex_);
  std::string table;
  for (const bool layers : {false, true}) {
    double total = 0;
    for (const Row& row : rows_) total += row.layer == layers ? row.ms : 0;
    if (total <= 0) continue;
    table += fmt::format("{:<56} {:>10} {:>12} {:>7} {:>9}\n", layers ? "layers of the network" : "threads",
                         "ms", "ms a photo", "share", "of floor");
    for (const Row& row : rows_) {
      if (row.layer != layers) continue;
      table += fmt::format("  {:<54} {:>10.2f} {:>12.4f} {:>6.1f}% {:>9}\n", row.name, row.ms,
                           row.ms / static_cast<double>(row.photos), 100 * row.ms / total,
                           row.floor_ms > 0 ? fmt::format("{:.0f}%", 100 * row.floor_ms / row.ms) : "-");
    }
    table += fmt::format("  {:<54} {:>10.2f}\n", "in all", total);
  }
  return table;
}

std::string Profile::ChromeTrace() const {
  const std::lock_guard lock(mutex_);
  using Json = nlohmann::ordered_json;
  Json trace = {{"displayTimeUnit", "ms"}};
  if (dropped_ > 0) trace["otherData"] = {{"spans left out", dropped_}};
  trace["traceEvents"] = Json::array();
  for (const auto& [id, lane] : lanes_)
    trace["traceEvents"].push_back({{"name", "thread_name"},
                                    {"ph", "M"},
                                    {"pid", 1},
                                    {"tid", lane},
                                    {"args", {{"name", fmt::format("thread {}", lane)}}}});
  for (const Span& span : spans_)
    trace["traceEvents"].push_back({{"name", rows_[span.row].name},
                                    {"cat", rows_[span.row].layer ? "layer" : "stage"},
                                    {"ph", "X"},
                                    {"pid", 1},
                                    {"tid", span.lane},
                                    {"ts", span.start_us},
                                    {"dur", span.us},
                                    {"args", {{"photos", span.photos}}}});
  return trace.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Status RunProfiled(const Session& session, Session::Worker& worker, const ImageBatch& images,
                   std::span<float> dst, Profile* profile, const KeptRows& kept) {
  if (profile == nullptr) return session.Run(worker, images, dst, kept);
  std::vector<LayerTime> times;
  const auto from = Profile::Clock::now();
  COUPLET_RETURN_IF_ERROR(session.RunTimed(worker, images, dst, &times, kept));
  profile->AddRun(times, from, Profile::Clock::now(), static_cast<int>(images.images.size()));
  return {};
}

}  // namespace couplet
