// Progress on stderr: a bar with rate and time left on a terminal, a plain line every few seconds otherwise.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

namespace couplet {

class Progress {
 public:
  // `what`: "Creating bottlenecks". Nothing is shown when `quiet`.
  Progress(std::string what, bool quiet);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `beside`: what else to show after the rate.
  void Show(size_t done, size_t total, double seconds, const std::string& beside = "");
  // A line that belongs to the progress; `transient`: the next one may overwrite it on a terminal.
  void Line(const std::string& line, bool transient);

 private:
  void EndBar();

  std::string what_;
  bool quiet_, terminal_, bar_shown_ = false;
  std::chrono::steady_clock::time_point last_line_;
};

}  // namespace couplet
