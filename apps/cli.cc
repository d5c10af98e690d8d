// SPDX-License-Identifier: Apache-2.0
#include "apps/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <type_traits>

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

// `text` as the one spelling CLI11 reads no other way: it takes 010 for eight, as C does, and keeps the nearest of what does not fit.
template <class Number>
std::string CheckNumber(std::string& text) {
  Number value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const bool too_large = error == std::errc::result_out_of_range && stop == end;
  if constexpr (std::is_integral_v<Number>) {
    if (too_large)
      return fmt::format("{} does not fit; {} to {} do", text, std::numeric_limits<Number>::min(), std::numeric_limits<Number>::max());
    if (error != std::errc() || stop != end) return fmt::format("'{}' is not a whole number", text);
    text = fmt::format("{}", value);
  } else if (error != std::errc() || stop != end || !std::isfinite(value)) {
    return fmt::format("'{}' is not a number", text);
  }
  return "";
}

// What an optional or a list holds.
template <class T>
struct ValueOf { using type = T; };
template <class T>
struct ValueOf<std::optional<T>> { using type = T; };
template <class T>
struct ValueOf<std::vector<T>> { using type = T; };

}  // namespace

Flag& Flag::AtLeast(double low) { return Between(low, std::numeric_limits<double>::infinity()); }

Flag& Flag::Between(double low, double high) {
  option_->check(CLI::Validator(
      [=](std::string& text) -> std::string {
        double value = 0;  // every number's text has been through CheckNumber
        std::from_chars(text.data(), text.data() + text.size(), value);
        if (value < low) return fmt::format("{} is below {}", text, low);
        if (value > high) return fmt::format("{} is above {}", text, high);
        return "";
      },
      ""));
  return *this;
}

Flag& Flag::OneOf(const std::vector<std::string>& values) {
  option_->check(CLI::IsMember(values));
  return *this;
}

Flag& Flag::Required() {
  option_->required();
  return *this;
}

Flag& Flag::ShowDefault(const std::string& text) {
  option_->default_str(text);
  return *this;
}

CommandLine::CommandLine(const std::string& program, const std::string& about)
    : app_(std::make_unique<CLI::App>(about, program)), group_("Options") {
  app_->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app_->get_formatter()->column_width(40);
}
CommandLine::~CommandLine() = default;

template <class T>
Flag CommandLine::Declare(const char* name, T* value, const char* help, bool show_default) {
  CLI::Option* option = app_->add_option(name, *value, help)->group(group_);
  if (show_default) option->capture_default_str();
  using Value = typename ValueOf<T>::type;
  if constexpr (std::is_arithmetic_v<Value>) option->transform(CLI::Validator(CheckNumber<Value>, ""));
  if constexpr (std::is_same_v<T, std::vector<std::string>> || std::is_same_v<T, std::vector<double>>) {
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    if (!option->get_lnames().empty()) option->delimiter(',')->expected(1, 64);
  }
  return Flag(option);
}

Flag CommandLine::Add(const char* name, std::string* value, const char* help) { return Declare(name, value, help, true); }
Flag CommandLine::Add(const char* name, int* value, const char* help) { return Declare(name, value, help, true); }
Flag CommandLine::Add(const char* name, int64_t* value, const char* help) { return Declare(name, value, help, true); }
Flag CommandLine::Add(const char* name, uint64_t* value, const char* help) { return Declare(name, value, help, true); }
Flag CommandLine::Add(const char* name, double* value, const char* help) { return Declare(name, value, help, true); }
Flag CommandLine::Add(const char* name, std::optional<std::string>* value, const char* help) { return Declare(name, value, help, false); }
Flag CommandLine::Add(const char* name, std::optional<int>* value, const char* help) { return Declare(name, value, help, false); }
Flag CommandLine::Add(const char* name, std::optional<double>* value, const char* help) { return Declare(name, value, help, false); }
Flag CommandLine::Add(const char* name, std::vector<std::string>* values, const char* help) { return Declare(name, values, help, !values->empty()); }
Flag CommandLine::Add(const char* name, std::vector<double>* values, const char* help) { return Declare(name, values, help, !values->empty()); }
Flag CommandLine::Add(const char* name, bool* value, const char* help) { return Flag(app_->add_flag(name, *value, help)->group(group_)); }

Result<std::vector<std::string>> CommandLine::Canonical(const std::vector<std::string>& args) const {
  const std::vector<std::string> names = FlagNames(*app_);
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
    const bool takes_value = app_->get_option("--" + name)->get_items_expected_min() > 0;
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

Status CommandLine::Parse(int argc, char** argv) {
  // Declared here to stand last in the help.
  app_->set_help_flag("-h,--help", "this text");
  app_->set_version_flag("--version", [this] { return VersionText(app_->get_name()); }, "version, commit, libraries, backends");
  COUPLET_ASSIGN_OR_RETURN(std::vector<std::string> args, Canonical(std::vector<std::string>(argv + 1, argv + argc)));
  std::reverse(args.begin(), args.end());  // CLI11 takes a vector from its end
  try {
    app_->parse(args);
  } catch (const CLI::CallForVersion& version) {
    Out("{}", version.what());
    std::exit(FinishOutput(app_->get_name(), 0));
  } catch (const CLI::CallForHelp&) {
    Out("{}", app_->help());
    std::exit(FinishOutput(app_->get_name(), 0));
  } catch (const CLI::ParseError& error) {
    return BadInput(fmt::format("{}; --help lists the flags", error.what()));
  }
  return {};
}

std::vector<CommandLine::Setting> CommandLine::Settings() const {
  std::vector<Setting> settings;
  for (const CLI::Option* option : app_->get_options()) {
    if (option->get_lnames().empty() || option == app_->get_help_ptr() || option == app_->get_version_ptr()) continue;
    const bool is_switch = option->get_items_expected_min() == 0, given = option->count() > 0;
    std::string value = option->get_default_str();
    if (given && !is_switch) value = option->as<std::string>();
    if (is_switch) value = given ? "yes" : "no";
    settings.push_back({"--" + option->get_lnames()[0], option->get_group(), value});
  }
  return settings;
}

int CommandLine::Run(int argc, char** argv, const std::function<Status()>& run) {
  const std::string program = app_->get_name();
  InstallSignalHandlers();
  Status status = Parse(argc, argv);
  if (status.ok()) status = run();
  if (Interrupted()) return 128 + CaughtSignal();
  return FinishOutput(program, status.ok() ? 0 : Fail(program, status));
}

Status CheckInputStd(const std::optional<double>& input_std) {
  if (!input_std || std::isfinite(1.0f / static_cast<float>(*input_std))) return {};
  return BadInput(fmt::format("--input_std={}: pixels are divided by it, and that is 0 or next to it", *input_std));
}

AlphaMode ParseAlpha(const std::string& text) {
  return text == "white" ? AlphaMode::kWhite : text == "black" ? AlphaMode::kBlack : AlphaMode::kDrop;
}

std::vector<std::string> SplitNames(const std::string& text) {
  return text.empty() ? std::vector<std::string>() : CLI::detail::split(text, ',');
}

}  // namespace couplet
