// What took how long: spans of the threads' time and the network's layers, for a table and for Chrome's trace
// viewer (chrome://tracing, Perfetto). Thread-safe; costs a lock a span, and nothing where there is no
// Profile.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "runtime/session.h"

namespace couplet {

class Profile {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Profile(size_t max_spans = 200'000) : max_spans_(max_spans) {}

  // Something this thread did for `photos` photos: "read", "decode".
  void AddStage(const char* stage, Clock::time_point from, Clock::time_point to, int photos);
  // A run of the network on this thread, and its layers as Session::RunTimed gives them, of which the first
  // is shown as "preprocess"; what the run took beyond its layers is copying and waiting.
  void AddRun(std::span<const LayerTime> layers, Clock::time_point from, Clock::time_point to, int photos);

  // Threads' stages, then the layers: milliseconds in all and a photo, share of its section, fraction of the
  // floor
  // ("-" where the floor is not known).
  std::string Table() const;
  // The trace event format's JSON. After max_spans spans there are no more of them, which the file says; the
  // table counts all.
  std::string ChromeTrace() const;

 private:
  struct Row {
    std::string name;
    bool layer = false;
    double ms = 0, floor_ms = 0;
    int64_t photos = 0;
  };
  struct Span {
    size_t row;
    int lane;
    double start_us, us;
    int photos;
  };

  // With mutex_ held.
  void Add(const std::string& name, bool layer, double start_us, double ms, double floor_ms, int photos);
  double Microseconds(Clock::time_point at) const;

  const size_t max_spans_;
  const Clock::time_point start_ = Clock::now();
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::pair<bool, std::string>, size_t> index_;
  std::vector<Row> rows_;  // in the order of their first span
  std::vector<Span> spans_;
  std::map<std::thread::id, int> lanes_;
  size_t dropped_ = 0;
};

// Adds the time from its construction to its end; nothing for a null profile.
class StageTimer {
 public:
  StageTimer(Profile* profile, const char* stage) : profile_(profile), stage_(stage) {
    if (profile_ != nullptr) from_ = Profile::Clock::now();
  }
  ~StageTimer() {
    if (profile_ != nullptr) profile_->AddStage(stage_, from_, Profile::Clock::now(), 1);
  }
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;

 private:
  Profile* const profile_;
  const char* const stage_;
  Profile::Clock::time_point from_;
};

// session.Run, timed layer by layer where there is a profile.
Status RunProfiled(const Session& session, Session::Worker& worker, const ImageBatch& images,
                   std::span<float> dst, Profile* profile, const KeptRows& kept = {});

}  // namespace couplet
