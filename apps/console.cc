// SPDX-License-Identifier: Apache-2.0
#include "apps/console.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace couplet {
namespace {

std::atomic<int> caught_signal{0};
bool quiet = false;

void OnSignal(int number) {
  if (caught_signal.exchange(number) != 0) _exit(128 + number);
}

std::atomic<int> output_error{0};  // errno of the first flush of stdout that failed

void FlushOutput() {
  errno = 0;
  int none = 0;
  if (std::fflush(stdout) != 0) output_error.compare_exchange_strong(none, errno);
}

}  // namespace

void Write(std::FILE* file, std::string_view text) {
  if (file == stderr) FlushOutput();  // where both end in one file, lines keep their order, and none is torn
  std::fwrite(text.data(), 1, text.size(), file);
}

int FinishOutput(const std::string& program, int code) {
  FlushOutput();
  if (output_error == 0 && std::ferror(stdout) == 0) return code;
  if (output_error == EPIPE) return static_cast<int>(Code::kIo);
  return Fail(program, IoError("standard output: cannot write"));
}

double ShortestDouble(float value) { return std::stod(fmt::format("{}", value)); }

std::string OneLine(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= ' ' && byte != 0x7f) {
      line += c;
    } else if (const size_t at = std::string_view("\n\r\t").find(c); at != std::string_view::npos) {
      line += {'\\', "nrt"[at]};
    } else {
      line += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return line;
}

int Fail(const std::string& program, const Status& status) {
  std::fflush(stdout);
  const bool memory = status.code() == Code::kOutOfMemory;
  Err("{}: error: {}{}\n", program, OneLine(status.message()),
      memory ? "; a smaller network needs less, --device=cpu none of it" : "");
  return status.exit_code();
}

int Finish(const std::string& program, const Status& status) {
  const int code = status.ok() ? 0 : Fail(program, status);
  return status.code() == Code::kInterrupted ? 128 + CaughtSignal() : FinishOutput(program, code);
}

void LogInfo(const std::string& line) {
  if (!quiet) Err("INFO:tensorflow:{}\n", OneLine(line));
}
void LogWarning(const std::string& line) { Err("WARNING:tensorflow:{}\n", OneLine(line)); }
void SetQuiet(bool value) { quiet = value; }

void InstallSignalHandlers() {
  struct sigaction action {};
  action.sa_handler = OnSignal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
}
int CaughtSignal() { return caught_signal.load(); }

}  // namespace couplet
