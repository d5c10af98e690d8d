// SPDX-License-Identifier: Apache-2.0
#include "apps/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "apps/console.h"

namespace couplet {
namespace {

constexpr auto kLineInterval = std::chrono::seconds(5);
constexpr int kBarWidth = 28;

std::string TimeLeft(double seconds) {
  if (seconds < 60) return fmt::format("{:.0f} s", seconds);
  const int whole = static_cast<int>(seconds);
  return fmt::format("{} min {:02} s", whole / 60, whole % 60);
}

}  // namespace

Progress::Progress(std::string what, bool quiet)
    : what_(std::move(what)), quiet_(quiet), terminal_(isatty(2) != 0), last_line_(std::chrono::steady_clock::now()) {}

Progress::~Progress() { EndBar(); }

void Progress::EndBar() {
  if (bar_shown_) Err("\r\033[K");
  bar_shown_ = false;
}

void Progress::Show(size_t done, size_t total, double seconds, const std::string& beside) {
  if (quiet_ || total == 0) return;
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_ && now - last_line_ < kLineInterval) return;
  last_line_ = now;
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  std::string tail = fmt::format("{} of {}", done, total);
  if (rate > 0)
    tail += fmt::format(", {:.0f} photos/s, {} left", rate, TimeLeft(static_cast<double>(total - done) / rate));
  if (!beside.empty()) tail += "; " + beside;
  if (!terminal_) {
    LogInfo(fmt::format("{}: {}", what_, tail));
    return;
  }
  const int filled = static_cast<int>(static_cast<double>(done) / static_cast<double>(total) * kBarWidth);
  Err("\r\033[K{} [{:=<{}}{:{}}] {}", what_, "", filled, "", kBarWidth - filled, tail);
  std::fflush(stderr);
  bar_shown_ = true;
}

void Progress::Line(const std::string& line, bool transient) {
  if (quiet_) return;
  if (transient && terminal_) {
    Err("\r\033[K{}", line);
    std::fflush(stderr);
    bar_shown_ = true;
    return;
  }
  if (transient) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_line_ < kLineInterval) return;
    last_line_ = now;
  }
  EndBar();
  LogInfo(line);
}

}  // namespace couplet
