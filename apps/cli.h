// Command lines as argparse reads them, on top of CLI11: `--flag value` and `--flag=value`, `-` and `_` alike in
// names, unique prefixes, the nearest name for an unknown flag.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "loaders/image.h"
#include "runtime/status.h"

// CLI11 takes seconds to compile: only what declares flags includes it.
namespace CLI {
class App;
class Validator;
}  // namespace CLI

namespace couplet {

// Rewrites `args` (without the program's name) to CLI11's form: full flag names, values as arguments of their own.
// kBadInput: an unknown or ambiguous flag, a flag without its value.
Result<std::vector<std::string>> CanonicalArguments(const CLI::App& app, const std::vector<std::string>& args);

// Parses; prints help or version and exits 0 when asked to. kBadInput with one line otherwise.
Status ParseCommandLine(CLI::App& app, int argc, char** argv);

// Checks of number flags; their messages name what was given and the bound.
CLI::Validator AtLeast(double low);
CLI::Validator Between(double low, double high);

// "drop", "white" or "black", checked already.
AlphaMode ParseAlpha(const std::string& text);

}  // namespace couplet
