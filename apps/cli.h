// Command lines as argparse reads them, on top of CLI11: `--flag value` and `--flag=value`, `-` and `_` alike in
// names, unique prefixes, the nearest name for an unknown flag; the lines programs print; signals.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Validators.hpp>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loaders/image.h"
#include "runtime/status.h"

namespace couplet {

// Rewrites `args` (without the program's name) to CLI11's form: full flag names, values as arguments of their own.
// kBadInput: an unknown or ambiguous flag, a flag without its value.
Result<std::vector<std::string>> CanonicalArguments(const CLI::App& app, const std::vector<std::string>& args);

// Parses; prints help or version and exits 0 when asked to. kBadInput with one line otherwise.
Status ParseCommandLine(CLI::App& app, int argc, char** argv);

// Checks of number flags; their messages name what was given and the bound.
CLI::Validator AtLeast(double low);
CLI::Validator Between(double low, double high);

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

// Prints `<program>: error: <message>` on stderr and gives the exit code.
int Fail(const std::string& program, const Status& status);

// "drop", "white" or "black", checked already.
AlphaMode ParseAlpha(const std::string& text);

// The original's log form on stderr: "INFO:tensorflow:<line>".
void LogInfo(const std::string& line);
void LogWarning(const std::string& line);
// Silences LogInfo (--quiet); warnings and errors stay.
void SetQuiet(bool quiet);

// Turns SIGINT and SIGTERM into a flag that the loops poll; a second signal ends at once. SIGPIPE is ignored.
void InstallSignalHandlers();
// 0, or the signal that came.
int CaughtSignal();

}  // namespace couplet
