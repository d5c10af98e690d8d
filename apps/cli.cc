// SPDX-License-Identifier: Apache-2.0
#include "apps/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>

#include "apps/console.h"
#include "apps/version.h"
#include "loaders/nearest_name.h"

namespace couplet {
namespace {

// Flags that may stand without their value, and what they mean then.
const std::map<std::string, std::string> kBareValues = {{"verify_cache", "yes"},
                                                         {"profile", "couplet_trace.json"}};

std::vector<std::string> FlagNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back(name);
  return names;
}

Result<std::string> FullName(const std::string& given, const std::vector<std::string>& names) {
  std::string name = given;
  std::replace(name.begin(), name.end(), '-', '_');
  if (name == "summarys_dir") {  // the codelab's text has this typo
    LogWarning("--summarys_dir is taken as --summaries_dir");
    name = "summaries_dir";
  }
  if (std::find(names.begin(), names.end(), name) != names.end()) return name;
  std::vector<std::string> matches;
  for (const std::string& candidate : names)
    if (candidate.starts_with(name)) matches.push_back(candidate);
  if (matches.size() == 1) return matches[0];
  if (matches.size() > 1)
    return BadInput(fmt::format("--{} is ambiguous: --{}", given, fmt::join(matches, ", --")));
  const auto nearest = NearestNames(name, {names.begin(), names.end()}, 1);
  return BadInput(fmt::format("unknown flag --{}{}; --help lists them all", given,
                              nearest.empty() ? "" : fmt::format(" (nearest: --{})", nearest[0])));
}

}  // namespace

CLI::Validator AtLeast(double low) { return Between(low, std::numeric_limits<double>::infinity()); }

CLI::Validator Between(double low, double high) {
  return CLI::Validator(
      [=](std::string& text) -> std::string {
        double value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
          return fmt::format("'{}' is not a number", text);
        if (value < low) return fmt::format("{} is below {}", text, low);
        if (value > high) return fmt::format("{} is above {}", text, high);
        return "";
      },
      "");
}

Result<std::vector<std::string>> CanonicalArguments(const CLI::App& app, const std::vector<std::string>& args) {
  const std::vector<std::string> names = FlagNames(app);
  std::vector<std::string> out;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg == "--") {
      out.insert(out.end(), args.begin() + static_cast<std::ptrdiff_t>(i), args.end());
      break;
    }
    if (!arg.starts_with("--")) {
      out.push_back(arg);
      continue;
    }
    const size_t equals = arg.find('=');
    const size_t name_length = equals == std::string::npos ? std::string::npos : equals - 2;
    COUPLET_ASSIGN_OR_RETURN(const std::string name, FullName(arg.substr(2, name_length), names));
    out.push_back("--" + name);
    const bool takes_value = app.get_option("--" + name)->get_items_expected_min() > 0;
    if (equals != std::string::npos) {
      if (!takes_value) return BadInput(fmt::format("--{} is a switch and takes no value", name));
      out.push_back(arg.substr(equals + 1));
    } else if (const auto bare = kBareValues.find(name); bare != kBareValues.end()) {
      out.push_back(bare->second);
    } else if (takes_value) {
      if (i + 1 == args.size() || args[i + 1].starts_with("--"))
        return BadInput(fmt::format("--{} needs a value", name));
      out.push_back(args[++i]);
    }
  }
  return out;
}

Status ParseCommandLine(CLI::App& app, int argc, char** argv) {
  app.set_help_flag("-h,--help", "this text");
  app.set_version_flag("--version", [&app] { return VersionText(app.get_name()); },
                       "version, commit, libraries, backends");
  app.get_formatter()->column_width(40);
  COUPLET_ASSIGN_OR_RETURN(std::vector<std::string> args,
                           CanonicalArguments(app, std::vector<std::string>(argv + 1, argv + argc)));
  std::reverse(args.begin(), args.end());  // CLI11 takes a vector from its end
  try {
    app.parse(args);
  } catch (const CLI::CallForVersion& version) {
    Out("{}", version.what());
    std::exit(FinishOutput(app.get_name(), 0));
  } catch (const CLI::CallForHelp&) {
    Out("{}", app.help());
    std::exit(FinishOutput(app.get_name(), 0));
  } catch (const CLI::ParseError& error) {
    return BadInput(fmt::format("{}; --help lists the flags", error.what()));
  }
  return {};
}

AlphaMode ParseAlpha(const std::string& text) {
  return text == "white" ? AlphaMode::kWhite : text == "black" ? AlphaMode::kBlack : AlphaMode::kDrop;
}

}  // namespace couplet
