// The lines that programs print, and signals.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/status.h"

namespace couplet {

// fmt::print throws when the pipe is closed or the disk is full; these do not. What stdout could not take is found by
// FinishOutput at the end, what stderr could not take is lost.
void Write(std::FILE* file, std::string_view text);
template <class... Args>
void Out(fmt::format_string<Args...> format, Args&&... args) {
  Write(stdout, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void Err(fmt::format_string<Args...> format, Args&&... args) {
  Write(stderr, fmt::format(format, std::forward<Args>(args)...));
}
// Exit code `code`, or 4 when standard output could not be written: said on stderr, unless its reader just went away.
int FinishOutput(const std::string& program, int code);

// Of all doubles that read back to this float the one with the fewest digits: 0.99978, not 0.9997799992561340.
double ShortestDouble(float value);

// Control characters written as in C: the names of files, and what stands in them, reach messages, and must
// neither break a line nor command a terminal. Fail, LogInfo and LogWarning print nothing else.
std::string OneLine(std::string_view text);

// Prints `<program>: error: <message>` on stderr and gives the exit code.
int Fail(const std::string& program, const Status& status);
// What a program ends with: FinishOutput, after Fail unless all went well. An interruption is said, too, and gives 128 + the signal.
int Finish(const std::string& program, const Status& status);

// The original's log form on stderr: "INFO:tensorflow:<line>".
void LogInfo(const std::string& line);
void LogWarning(const std::string& line);
// Silences LogInfo (--quiet); warnings and errors stay.
void SetQuiet(bool quiet);

// Turns SIGINT and SIGTERM into a flag that the loops poll; a second signal ends at once. SIGPIPE is
// ignored, and SIGXFSZ: what the limit on files refuses is an error of the write.
void InstallSignalHandlers();
// 0, or the signal that came.
int CaughtSignal();
inline bool Interrupted() { return CaughtSignal() != 0; }

}  // namespace couplet
